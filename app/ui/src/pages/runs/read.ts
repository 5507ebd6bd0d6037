/** Pages of runs, and how many there are. */
import { api, read } from '../../api/client';
import type { FlowRun } from '../../parts/flowRuns';
import { asked, type Filter } from './filter';

const PAGE = 200;

/** Up to 10,000 they are counted; beyond, `exact` is false. */
export interface Count {
  count: number;
  exact: boolean;
}

/** A page of the runs that a filter finds; `next` leads to the one after it, null when there is none. */
export async function pageOf(
  filter: Filter,
  after: string | null,
  signal: AbortSignal,
  limit = PAGE,
): Promise<{ runs: FlowRun[]; next: string | null }> {
  const offset = Number(after ?? 0);
  const body = { ...asked(filter, new Date()), limit, offset };
  const runs = await read(api.POST('/api/flow_runs/filter', { body, signal }));
  return { runs, next: runs.length < limit ? null : String(offset + limit) };
}

/** How many runs a filter finds. */
export async function countOf(filter: Filter, signal: AbortSignal): Promise<Count> {
  const { sort: _, ...body } = asked(filter, new Date());
  return { count: await read(api.POST('/api/flow_runs/count', { body, signal })), exact: true };
}

/** These runs as they are now; those that are gone are missing. */
export async function runsById(ids: string[], signal?: AbortSignal): Promise<FlowRun[]> {
  if (!ids.length) return [];
  const body = { flow_runs: { id: { any_: ids } }, limit: PAGE };
  return read(api.POST('/api/flow_runs/filter', { body, signal }));
}
