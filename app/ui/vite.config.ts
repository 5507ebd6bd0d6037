import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `npm run dev` serves the sources and hands /api on to a Tailrace that runs at this address.
const server = process.env.TAILRACE_DEV_SERVER ?? 'http://127.0.0.1:4200';

export default defineConfig({
  plugins: [svelte()],
  // No data: URLs: the Content-Security-Policy admits files of our own alone.
  build: {
    outDir: 'dist',
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { host: '127.0.0.1', proxy: { '/api': { target: server, ws: true } } },
  test: { include: ['src/**/*.test.ts'] },
});
