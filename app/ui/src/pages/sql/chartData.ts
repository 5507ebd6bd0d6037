/** What a chart of a result shows: which columns can be its axes, and the figures. */

import type { Result, Value } from './answer';
import { isNumeric, isTime, numberOf, textOf } from './values';

/** Tokens of the series, in order. */
export const COLOURS = [
  '--state-running',
  '--state-failed',
  '--state-completed',
  '--state-paused',
  '--state-scheduled',
  '--level-critical',
];

export type Kind = 'line' | 'bar';

export interface Axes {
  kind: Kind;
  /** Place of the column along the x axis. */
  x: number;
  /** Places of the columns that are drawn. */
  y: number[];
}

export interface Figures {
  /** Seconds since 1970, numbers, or places in `names`. */
  xs: number[];
  /** Of categories: what stands below each place. */
  names: string[] | undefined;
  time: boolean;
  series: { name: string; values: (number | null)[] }[];
  /** Rows that are not drawn, for there are too many. */
  left: number;
}

// More points than pixels tell nothing; more bars cannot be read.
const MOST_POINTS = 20_000;
const MOST_NAMES = 60;

/** Columns that have figures to draw. */
export const drawable = (result: Result) =>
  result.columns.flatMap((column, index) => (isNumeric(column) ? [index] : []));

/** The axes that say most: over time if there is a time, else by the first column that is no figure. */
export function usualAxes(result: Result): Axes | undefined {
  const numbers = drawable(result);
  if (!numbers.length || !result.rows.length) return undefined;
  const time = result.columns.findIndex(isTime);
  const other = result.columns.findIndex((column) => !isNumeric(column) && column.type !== 'UUID');
  const x = time >= 0 ? time : other >= 0 ? other : (numbers[0] ?? 0);
  const y = numbers.filter((index) => index !== x).slice(0, 3);
  if (!y.length) return undefined;
  return { kind: time >= 0 ? 'line' : 'bar', x, y };
}

/** The figures of a result along these axes. */
export function figures(result: Result, { x, y, kind }: Axes): Figures {
  const column = result.columns[x];
  const time = !!column && isTime(column);
  const category = !!column && !time && !isNumeric(column);
  const place = (row: Value[]) => {
    const value = row[x] ?? null;
    return time ? secondsOf(value) : numberOf(value);
  };
  let rows = result.rows;
  const bars = category || (kind === 'bar' && !time);
  const most = bars ? MOST_NAMES : MOST_POINTS;
  if (!bars) {
    rows = rows
      .filter((row) => place(row) !== null)
      .sort((one, other) => (place(one) ?? 0) - (place(other) ?? 0));
  }
  const drawn = rows.slice(0, most);
  return {
    xs: bars ? drawn.map((_, index) => index) : drawn.map((row) => place(row) ?? 0),
    names: bars ? drawn.map((row) => textOf(row[x] ?? null) || 'NULL') : undefined,
    time,
    series: y.map((index) => ({
      name: result.columns[index]?.name ?? '',
      values: drawn.map((row) => numberOf(row[index] ?? null)),
    })),
    left: result.rows.length - drawn.length,
  };
}

function secondsOf(value: Value): number | null {
  if (typeof value !== 'string') return null;
  // A time without a zone is UTC.
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(value) || !value.includes('T') ? value : `${value}Z`;
  const milliseconds = Date.parse(zoned);
  return Number.isNaN(milliseconds) ? null : milliseconds / 1000;
}
