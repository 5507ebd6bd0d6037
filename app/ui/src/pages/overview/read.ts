/** What the overview asks the API. */
import { api, read, type Schema } from '../../api/client';
import { bucketSeconds, spread, wholeBuckets, type Span } from '../../parts/chart/buckets';
import { outcome, runSeries } from './figures';
import { iso } from './period';

/** Runs by state over the span, for the chart. */
export async function readRuns(span: Span, signal: AbortSignal) {
  const bucket = bucketSeconds(span.to - span.from);
  const whole = wholeBuckets(span, bucket);
  const history = await read(
    api.POST('/api/flow_runs/history', {
      body: {
        history_start: iso(whole.from),
        history_end: iso(whole.to),
        history_interval_seconds: bucket,
      },
      signal,
    }),
  );
  return { bucket, ...runSeries(history, whole, bucket) };
}

/** How the runs of the span went, and those of the same time before it. */
export async function readOutcomes({ from, to }: Span, signal: AbortSignal) {
  const seconds = to - from;
  const [before, during] = await read(
    api.POST('/api/flow_runs/history', {
      body: {
        history_start: iso(from - seconds),
        history_end: iso(to),
        history_interval_seconds: seconds,
      },
      signal,
    }),
  );
  return { before: outcome(before), during: outcome(during) };
}

/** How many run and how many are late at this moment, and whether there ever was a run. */
export async function readNow(signal: AbortSignal) {
  const count = (
    state?: { type: { any_: ('RUNNING' | 'PENDING')[] } } | { name: { any_: string[] } },
  ) =>
    read(
      api.POST('/api/flow_runs/count', {
        body: state ? { flow_runs: { state } } : {},
        signal,
      }),
    );
  const [running, pending, late, all] = await Promise.all([
    count({ type: { any_: ['RUNNING'] } }),
    count({ type: { any_: ['PENDING'] } }),
    count({ name: { any_: ['Late'] } }),
    count(),
  ]);
  return { running, pending, late, all };
}

/** A run with the name of its flow. */
export interface NamedRun {
  run: Schema<'FlowRun'>;
  flow: string | undefined;
}

/** Those that will start next. */
export async function readNext(signal: AbortSignal): Promise<NamedRun[]> {
  const runs = await read(
    api.POST('/api/flow_runs/filter', {
      body: {
        flow_runs: {
          state: { type: { any_: ['SCHEDULED'] } },
          expected_start_time: { after_: new Date().toISOString() },
        },
        sort: 'EXPECTED_START_TIME_ASC',
        limit: 8,
      },
      signal,
    }),
  );
  return named(runs, signal);
}

/** Those of the span that failed or crashed, the newest first. */
export async function readFailures(span: Span, signal: AbortSignal): Promise<NamedRun[]> {
  const runs = await read(
    api.POST('/api/flow_runs/filter', {
      body: {
        flow_runs: {
          state: { type: { any_: ['FAILED', 'CRASHED'] } },
          expected_start_time: { after_: iso(span.from), before_: iso(span.to) },
        },
        sort: 'END_TIME_DESC',
        limit: 8,
      },
      signal,
    }),
  );
  return named(runs, signal);
}

async function named(runs: Schema<'FlowRun'>[], signal: AbortSignal): Promise<NamedRun[]> {
  const ids = [...new Set(runs.map((run) => run.flow_id))];
  const flows = ids.length
    ? await read(api.POST('/api/flows/filter', { body: { flows: { id: { any_: ids } } }, signal }))
    : [];
  const names = new Map(flows.map((flow) => [flow.id, flow.name]));
  return runs.map((run) => ({ run, flow: names.get(run.flow_id) }));
}

/** Lines of level ERROR and above over the span. */
export async function readErrorLines(span: Span, signal: AbortSignal) {
  // At least a minute: shorter bars say nothing of a rate.
  const bucket = Math.max(60, bucketSeconds(span.to - span.from, 60));
  const whole = wholeBuckets(span, bucket);
  const { buckets, lines } = await read(
    api.POST('/api/tailrace/logs/histogram', {
      body: {
        start: iso(whole.from),
        end: iso(whole.to),
        bucket_seconds: bucket,
        logs: { level: { ge_: 40 } },
      },
      signal,
    }),
  );
  const found = buckets.flatMap((each) =>
    Object.entries(each.levels).map(([level, count]) => ({
      at: Date.parse(each.start) / 1000,
      name: Number(level) >= 50 ? 'Critical' : 'Error',
      count,
    })),
  );
  const { times, values } = spread(whole, bucket, ['Error', 'Critical'], found);
  return {
    bucket,
    lines,
    perMinute: (lines / (whole.to - whole.from)) * 60,
    times,
    series: [
      { name: 'Error', colour: '--level-error', values: values.get('Error') ?? [] },
      { name: 'Critical', colour: '--level-critical', values: values.get('Critical') ?? [] },
    ],
  };
}
