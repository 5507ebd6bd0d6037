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

export interface RunPage {
  runs: FlowRun[];
  /** Leads to the page after it; null when there is none. */
  next: string | null;
  /** Counted with the first page. */
  count: Count | null;
}

/**
 * A page of the runs that a filter finds as of `at`: pages of one list have the same. Deep pages cost no
 * more than the first.
 */
export async function pageOf(
  filter: Filter,
  at: Date,
  cursor: string | null,
  signal: AbortSignal,
  limit = PAGE,
): Promise<RunPage> {
  const where = cursor ? { cursor } : { count: limit === PAGE };
  const body = { ...asked(filter, at), ...where, limit };
  const page = await read(api.POST('/api/tailrace/flow_runs', { body, signal }));
  return { runs: page.flow_runs, next: page.next ?? null, count: page.count ?? null };
}

/** These runs as they are now; those that are gone are missing. */
export async function runsById(ids: string[], signal?: AbortSignal): Promise<FlowRun[]> {
  if (!ids.length) return [];
  const body = { flow_runs: { id: { any_: ids } }, limit: PAGE };
  return read(api.POST('/api/flow_runs/filter', { body, signal }));
}
