/** Which page is shown for which path. Every page is a chunk of its own, loaded when it is asked for. */
import { createRouter } from 'sv-router';

export const { p, navigate, isActive, route, preload } = createRouter({
  '/': () => import('./pages/overview/Overview.svelte'),
  '/runs': () => import('./pages/runs/Runs.svelte'),
  '/runs/:id': () => import('./pages/run/Run.svelte'),
  '/logs': () => import('./pages/explore/Explore.svelte'),
  '/flows': () => import('./pages/flows/Flows.svelte'),
  '/flows/:id': () => import('./pages/flows/Flow.svelte'),
  '/deployments': () => import('./pages/deployments/Deployments.svelte'),
  '/deployments/:id': () => import('./pages/deployments/Deployment.svelte'),
  '/agents': () => import('./pages/agents/Agents.svelte'),
  '/agents/:name': () => import('./pages/agents/Pool.svelte'),
  '/archive': () => import('./pages/archive/Archive.svelte'),
  '/sql': () => import('./pages/sql/Sql.svelte'),
  '/jobs': () => import('./pages/jobs/Jobs.svelte'),
  '/settings': () => import('./pages/settings/Settings.svelte'),
  '*': () => import('./pages/NotFound.svelte'),
});
