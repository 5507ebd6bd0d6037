/** Work pools as their pages show them: how full each is, what waits, who is there. */
import { api, read, type Schema } from '../../api/client';
import type { FlowRun } from '../../parts/flowRuns';

export type Pool = Schema<'WorkPool'>;
export type Queue = Schema<'WorkQueue'>;
export type Worker = Schema<'Worker'>;

// Types of runs that take up a slot.
const AT_WORK = ['PENDING', 'RUNNING', 'CANCELLING'] as const;

const named = (pool: string) => ({ work_pools: { name: { any_: [pool] } } });

/** Runs that are due and that nobody has taken yet; of one queue, where it is given. */
export function backlog(pool: string, queue?: string, signal?: AbortSignal): Promise<number> {
  return read(
    api.POST('/api/flow_runs/count', {
      body: {
        ...named(pool),
        ...(queue && { work_pool_queues: { id: { any_: [queue] } } }),
        flow_runs: {
          state: { type: { any_: ['SCHEDULED'] } },
          next_scheduled_start_time: { before_: new Date().toISOString() },
        },
      },
      signal,
    }),
  );
}

/** Workers of a pool, online ones first. */
export async function workersOf(pool: string, signal?: AbortSignal): Promise<Worker[]> {
  const params = { path: { pool_name: pool } };
  const found = await read(
    api.POST('/api/work_pools/{pool_name}/workers/filter', {
      params,
      body: { limit: 200 },
      signal,
    }),
  );
  return found.sort(
    (one, other) =>
      Number(other.status === 'ONLINE') - Number(one.status === 'ONLINE') ||
      one.name.localeCompare(other.name),
  );
}

/** Slots of a pool and of each of its queues that are taken. */
export function slotsOf(pool: string, signal?: AbortSignal) {
  const params = { path: { name: pool } };
  const body = { limit: 200, flow_run_limit: 0 };
  return read(api.POST('/api/work_pools/{name}/concurrency_status', { params, body, signal }));
}

/** Runs that take up slots of a pool now. */
export function runsNow(pool: string, signal?: AbortSignal): Promise<FlowRun[]> {
  return read(
    api.POST('/api/flow_runs/filter', {
      body: {
        ...named(pool),
        flow_runs: { state: { type: { any_: [...AT_WORK] } } },
        sort: 'START_TIME_DESC',
        limit: 100,
      },
      signal,
    }),
  );
}

/** Runs that a pool takes next, in their order by time. */
export function runsDue(pool: string, limit: number, signal?: AbortSignal): Promise<FlowRun[]> {
  return read(
    api.POST('/api/flow_runs/filter', {
      body: {
        ...named(pool),
        flow_runs: { state: { type: { any_: ['SCHEDULED'] } } },
        sort: 'NEXT_SCHEDULED_START_TIME_ASC',
        limit,
      },
      signal,
    }),
  );
}

/** Name of the worker that runs it, as the worker wrote it down. */
export function workerOf(run: FlowRun): string | undefined {
  const name = run.labels?.['prefect.worker.name'];
  return typeof name === 'string' ? name : undefined;
}

/** How a pool or queue stands; a pause counts before all else. */
export const standing = (it: Pool | Queue) => (it.is_paused ? 'PAUSED' : it.status);
