/** Runs of something, as its page shows them: the last, the next, and how long each took. */
import { api, read, type Schema } from '../api/client';
import { duration } from '../format/time';

export type FlowRun = Schema<'FlowRun'>;
/** What lists tell of a run. */
export type RunInBrief = Schema<'RunInBrief'>;
export type RecentRuns = Schema<'RecentRuns'>;
type Timed = FlowRun | RunInBrief;

/** Whose runs. */
export type Owner = { flow: string } | { deployment: string };

const belonging = (owner: Owner) =>
  'flow' in owner
    ? { flows: { id: { any_: [owner.flow] } } }
    : { deployments: { id: { any_: [owner.deployment] } } };

/** The last runs that began, or ended without beginning; newest first. */
export function lastRuns(owner: Owner, limit: number, signal?: AbortSignal): Promise<FlowRun[]> {
  return read(
    api.POST('/api/flow_runs/filter', {
      body: {
        ...belonging(owner),
        flow_runs: { state: { type: { not_any_: ['SCHEDULED'] } } },
        sort: 'EXPECTED_START_TIME_DESC',
        limit,
      },
      signal,
    }),
  );
}

/** The runs that wait to begin, the next one first. */
export function nextRuns(owner: Owner, limit: number, signal?: AbortSignal): Promise<FlowRun[]> {
  return read(
    api.POST('/api/flow_runs/filter', {
      body: {
        ...belonging(owner),
        flow_runs: { state: { type: { any_: ['SCHEDULED'] } } },
        sort: 'NEXT_SCHEDULED_START_TIME_ASC',
        limit,
      },
      signal,
    }),
  );
}

/** The last runs and the next one of each row of a list, by the id of the flow or deployment. */
export async function recentRuns(
  owners: { flow_ids: string[] } | { deployment_ids: string[] },
  limit: number,
  signal?: AbortSignal,
): Promise<Record<string, RecentRuns>> {
  if (!Object.values(owners).flat().length) return {};
  return read(api.POST('/api/tailrace/recent_runs', { body: { ...owners, limit }, signal }));
}

/** The token of a state type's colour. */
export const stateColour = (type: string | null | undefined) =>
  `--state-${(type ?? 'scheduled').toLowerCase()}`;

/** Seconds that a run has taken so far; undefined before it begins. */
export function seconds(run: Timed): number | undefined {
  if (!run.start_time) return undefined;
  return run.end_time ? run.total_run_time : run.estimated_run_time;
}

/** The same as people read it. */
export function took(run: Timed): string {
  const span = seconds(run);
  return span === undefined ? '–' : duration(span);
}

/** When it began, or should begin. */
export const startOf = (run: Timed) =>
  run.start_time ?? run.next_scheduled_start_time ?? run.expected_start_time;
