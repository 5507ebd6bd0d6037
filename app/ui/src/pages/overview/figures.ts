/** Figures of runs, from the history that the API gives. */
import type { Schema } from '../../api/client';
import { spread, type Series, type Span } from '../../parts/chart/buckets';

type History = Schema<'HistoryInterval'>[];

/** What a run counts as in the chart, lowest first: its state's type, but late ones apart. */
const KINDS: { type: string; name: string; colour: string }[] = [
  { type: 'COMPLETED', name: 'Completed', colour: '--state-completed' },
  { type: 'RUNNING', name: 'Running', colour: '--state-running' },
  { type: 'PENDING', name: 'Pending', colour: '--state-pending' },
  { type: 'PAUSED', name: 'Paused', colour: '--state-paused' },
  { type: 'SCHEDULED', name: 'Scheduled', colour: '--state-scheduled' },
  { type: 'LATE', name: 'Late', colour: '--level-critical' },
  { type: 'CANCELLING', name: 'Cancelling', colour: '--state-cancelling' },
  { type: 'CANCELLED', name: 'Cancelled', colour: '--state-cancelled' },
  { type: 'CRASHED', name: 'Crashed', colour: '--state-crashed' },
  { type: 'FAILED', name: 'Failed', colour: '--state-failed' },
];

const kindOf = (state: { state_type: string; state_name: string }) =>
  state.state_name === 'Late' ? 'LATE' : state.state_type;

/** Runs by state, for the chart. */
export function runSeries(
  history: History,
  span: Span,
  bucket: number,
): { times: number[]; series: Series[] } {
  const found = history.flatMap((interval) =>
    interval.states.map((state) => ({
      at: Date.parse(interval.interval_start) / 1000,
      name: kindOf(state),
      count: state.count_runs,
    })),
  );
  const { times, values } = spread(
    span,
    bucket,
    KINDS.map((kind) => kind.type),
    found,
  );
  return {
    times,
    series: KINDS.map(({ type, name, colour }) => ({
      name,
      colour,
      values: values.get(type) ?? [],
    })),
  };
}

export interface Outcome {
  runs: number;
  failed: number;
  /** Of those that ended by themselves, the share that completed; null when none did. */
  success: number | null;
}

/** How the runs of an interval went. Cancelled ones count neither way. */
export function outcome(interval: History[number] | undefined): Outcome {
  const of = (type: string) =>
    (interval?.states ?? [])
      .filter((state) => state.state_type === type)
      .reduce((sum, state) => sum + state.count_runs, 0);
  const completed = of('COMPLETED');
  const failed = of('FAILED') + of('CRASHED');
  return {
    runs: (interval?.states ?? []).reduce((sum, state) => sum + state.count_runs, 0),
    failed,
    success: completed + failed ? completed / (completed + failed) : null,
  };
}

/** What went wrong, in one line, without the words that every such message begins with. */
export function firstLine(message: string | null | undefined): string {
  const line = (message ?? '').split('\n', 1)[0] ?? '';
  return line.replace(/^(Flow run|Task run) encountered an exception:?\s*/, '');
}
