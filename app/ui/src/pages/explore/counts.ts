/** How many lines there are: over time by level, and by run. */

import { api, read, type Schema } from '../../api/client';
import { LEVELS, byName } from '../../logs/filter';
import { bucketSeconds, spread, wholeBuckets, type Series } from '../../parts/chart/buckets';
import { linesBody, type Filters, type Range } from './filters';
import { names } from './names.svelte';

// A chart has about as many bars.
const BARS = 120;
// Of which flows and deployments are counted.
export const COUNTED_RUNS = 1000;

export interface Histogram {
  times: number[];
  bucket: number;
  /** Of all levels, whatever levels are chosen. */
  series: Series[];
  levels: Record<string, number>;
}

/** Lines over time. Levels that are not chosen are counted too: choosing them shows what there is. */
export async function histogram(
  filters: Filters,
  range: Range,
  signal: AbortSignal,
): Promise<Histogram> {
  const end = range.end ?? Date.now();
  const start = range.start ?? (await oldest(signal)) ?? end - 3_600_000;
  const span = { from: start / 1000, to: Math.max(end, start + 1000) / 1000 };
  const bucket = bucketSeconds(span.to - span.from, BARS);
  const whole = wholeBuckets(span, bucket);
  const found = await read(
    api.POST('/api/tailrace/logs/histogram', {
      body: {
        start: new Date(span.from * 1000).toISOString(),
        end: new Date(span.to * 1000).toISOString(),
        bucket_seconds: bucket,
        ...linesBody(filters, undefined, false),
      },
      signal,
    }),
  );
  const first = found.buckets[0] && Date.parse(found.buckets[0].start);
  // All time is that of the lines that match, not of the archive.
  if (range.start === undefined && first && first > start + (end - start) / 2)
    return histogram(filters, { start: first, end }, signal);
  const { times, values } = spread(
    whole,
    bucket,
    LEVELS.map((level) => level.name),
    found.buckets.flatMap((each) => {
      // The first bucket is cut off by the range.
      const at = Math.floor(Date.parse(each.start) / 1000 / bucket) * bucket;
      return Object.entries(byName(each.levels)).map(([name, count]) => ({ at, name, count }));
    }),
  );
  const levels: Record<string, number> = {};
  const series = LEVELS.map(({ name }) => {
    const counted = values.get(name) ?? [];
    levels[name] = counted.reduce((sum, each) => sum + each, 0);
    return {
      name: name[0]?.toUpperCase() + name.slice(1),
      colour: `--level-${name}`,
      values: counted,
    };
  });
  return { times, bucket, series, levels };
}

async function oldest(signal: AbortSignal): Promise<number | undefined> {
  const tiers = await read(api.GET('/api/tailrace/tiers', { signal }));
  return tiers.oldest ? Date.parse(tiers.oldest) : undefined;
}

export interface Counted {
  id: string;
  lines: number;
}

export interface Facets {
  lines: number;
  runCount: number;
  runs: Counted[];
  flows: Counted[];
  deployments: Counted[];
}

/** Lines by run, flow and deployment: of the runs with the most lines. */
export async function facets(filters: Filters, range: Range, signal: AbortSignal): Promise<Facets> {
  const counts: Schema<'LogCounts'> = await read(
    api.POST('/api/tailrace/logs/counts', {
      body: {
        ...(range.start !== undefined ? { start: new Date(range.start).toISOString() } : {}),
        ...(range.end !== undefined ? { end: new Date(range.end).toISOString() } : {}),
        ...linesBody(filters),
        limit: COUNTED_RUNS,
      },
      signal,
    }),
  );
  await names.of(counts.runs.map((run) => run.flow_run_id));
  const flows = new Map<string, number>();
  const deployments = new Map<string, number>();
  for (const { flow_run_id, lines } of counts.runs) {
    const run = flow_run_id ? names.runs.get(flow_run_id) : undefined;
    if (!run) continue;
    flows.set(run.flowId, (flows.get(run.flowId) ?? 0) + lines);
    if (run.deploymentId)
      deployments.set(run.deploymentId, (deployments.get(run.deploymentId) ?? 0) + lines);
  }
  return {
    lines: counts.lines,
    runCount: counts.run_count,
    runs: counts.runs.flatMap(({ flow_run_id: id, lines }) => (id ? [{ id, lines }] : [])),
    flows: ordered(flows),
    deployments: ordered(deployments),
  };
}

const ordered = (counted: Map<string, number>): Counted[] =>
  [...counted].map(([id, lines]) => ({ id, lines })).sort((one, other) => other.lines - one.lines);
