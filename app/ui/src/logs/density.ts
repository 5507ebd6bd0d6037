/** Where in a run its lines of each level lie: a strip along the scroll bar. */

import type { Schema } from '../api/client';

const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
  1800, 3600, 7200, 14400, 43200, 86400, 604800,
];
const MAX_BUCKETS = 400;

/** The seconds of a bucket for a span in seconds: at most some hundred buckets, none shorter than a
 * millisecond, the shortest that the API knows. */
export const bucketSeconds = (span: number) =>
  STEPS.find((step) => span / step <= MAX_BUCKETS) ??
  Math.min(366 * 86400, Math.ceil(span / MAX_BUCKETS / 86400) * 86400);

/** A part of the strip: from `top` to `bottom`, both of 1, by lines. `density` of 1 is that of the part with
 * the most lines a second. */
export interface Band {
  top: number;
  bottom: number;
  /** When its lines begin, in milliseconds since 1970. */
  start: number;
  density: number;
  warnings: number;
  errors: number;
}

/** The strip of a histogram. */
export function bands({ buckets, lines }: Schema<'LogHistogram'>): Band[] {
  const most = Math.max(1, ...buckets.map((bucket) => bucket.lines));
  let before = 0;
  return buckets.map((bucket) => {
    const top = before / lines;
    before += bucket.lines;
    let warnings = 0;
    let errors = 0;
    for (const [level, count] of Object.entries(bucket.levels)) {
      if (Number(level) >= 40) errors += count;
      else if (Number(level) >= 30) warnings += count;
    }
    return {
      top,
      bottom: before / lines,
      start: Date.parse(bucket.start),
      density: Math.log1p(bucket.lines) / Math.log1p(most),
      warnings: warnings / bucket.lines,
      errors: errors / bucket.lines,
    };
  });
}
