import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `npm run dev` serves the sources and hands /api on to a Tailrace that runs at this address.
const server = process.env.TAILRACE_DEV_SERVER ?? 'http://127.0.0.1:4200';

export default defineConfig({
  plugins: [svelte()],
  // No data: URLs: the Content-Security-Policy admits files of our own alone.
  build: {
    outDir: 'dist',
    // The server reads in it which files a page needs.
    manifest: 'manifest.json',
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            // What most pages share comes in one piece: a dozen small ones wait for one another.
            {
              name: 'shared',
              test: /src\/(api|format|parts|shell)\/|node_modules\/(@lucide|svelte|sv-router)\//,
              minShareCount: 4,
            },
          ],
        },
      },
    },
  },
  server: { host: '127.0.0.1', proxy: { '/api': { target: server, ws: true } } },
  test: { include: ['src/**/*.test.ts'] },
});
