/** The period that the overview looks at, as its address says. */
import type { Span } from '../../parts/chart/buckets';

/** `name` is also what Explore calls it (`last`), `ofRuns` what the list of runs does (`time`). */
export const PERIODS = [
  { name: '1h', ofRuns: 'hour', seconds: 3600, title: 'Last hour' },
  { name: '24h', ofRuns: 'day', seconds: 86400, title: 'Last 24 hours' },
  { name: '7d', ofRuns: 'week', seconds: 7 * 86400, title: 'Last 7 days' },
  { name: '30d', ofRuns: 'month', seconds: 30 * 86400, title: 'Last 30 days' },
] as const;

export type Period = (typeof PERIODS)[number];

const DEFAULT: Period = PERIODS[1];

/** The period of this name; the last 24 hours for any other text. */
export function periodNamed(name: unknown): Period {
  return PERIODS.find((each) => each.name === name) ?? DEFAULT;
}

/** The span that ends now. */
export function spanOf(period: Period, now: Date): Span {
  const to = now.getTime() / 1000;
  return { from: to - period.seconds, to };
}

/** The span between two times of an address (ISO 8601); null when they are not two times in order. */
export function brushed(from: unknown, to: unknown): Span | null {
  if (typeof from !== 'string' || typeof to !== 'string') return null;
  const span = { from: Date.parse(from) / 1000, to: Date.parse(to) / 1000 };
  return span.from < span.to ? span : null;
}

/** Seconds since 1970 as they stand in an address and in a question to the API: ISO 8601, UTC. */
export const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
