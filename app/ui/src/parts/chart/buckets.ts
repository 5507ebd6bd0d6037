/** Spans of time cut into equal buckets, and the figures that fall into them. Times are seconds since 1970. */

/** From `from` until before `to`, in seconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** One kind of what is counted: a colour of the bars. */
export interface Series {
  name: string;
  /** A token of style/tokens.css: `--state-failed`. */
  colour: string;
  /** How many in each bucket, as long as the chart's `times`. */
  values: number[];
}

// Every step divides the next day, so that bars begin at round times.
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];
const DAY = 86400;

/** The length of buckets, in seconds, that cuts a span of `seconds` into at most `most` of them. */
export function bucketSeconds(seconds: number, most = 90): number {
  const wanted = seconds / most;
  const step = STEPS.find((each) => each >= wanted);
  return step ?? Math.ceil(wanted / DAY) * DAY;
}

/** The span, widened to whole buckets (they begin at multiples of their length since 1970, UTC). */
export function wholeBuckets({ from, to }: Span, bucket: number): Span {
  return { from: Math.floor(from / bucket) * bucket, to: Math.ceil(to / bucket) * bucket };
}

/** Where each bucket of a span begins. */
export function bucketStarts(span: Span, bucket: number): number[] {
  const { from, to } = wholeBuckets(span, bucket);
  return Array.from(
    { length: Math.max(0, Math.round((to - from) / bucket)) },
    (_, index) => from + index * bucket,
  );
}

/**
 * Figures by bucket for each of `names`, zero where `found` has none. What lies outside of the span, or
 * has another name, is left out.
 */
export function spread(
  span: Span,
  bucket: number,
  names: string[],
  found: { at: number; name: string; count: number }[],
): { times: number[]; values: Map<string, number[]> } {
  const times = bucketStarts(span, bucket);
  const values = new Map(names.map((name) => [name, new Array<number>(times.length).fill(0)]));
  const first = times[0] ?? 0;
  for (const { at, name, count } of found) {
    const row = values.get(name);
    const index = Math.floor((at - first) / bucket);
    if (row && index >= 0 && index < times.length) row[index] = (row[index] ?? 0) + count;
  }
  return { times, values };
}

/**
 * What is drawn: one row per series, the first one lowest, each the sum of itself and of those below it.
 * A series that is hidden takes no room.
 */
export function stacked(
  series: Pick<Series, 'name' | 'values'>[],
  hidden: ReadonlySet<string> = new Set(),
): number[][] {
  let below: number[] | undefined;
  return series.map(({ name, values }) => {
    const base: number[] | undefined = below;
    const row: number[] = values.map(
      (value, index) => (hidden.has(name) ? 0 : value) + (base?.[index] ?? 0),
    );
    below = row;
    return row;
  });
}

/** Sum of a row of figures. */
export const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
