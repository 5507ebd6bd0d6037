/** Values of a result: as text, in order, and what they lead to. */

import type { Value } from './answer';
import { namedViews, type Column } from './views';

const NUMERIC =
  /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|REAL|DECIMAL\b.*|NUMERIC\b.*)$/i;

export const isNumeric = (column: Column) => NUMERIC.test(column.type);
export const isTime = (column: Column) => /^(TIMESTAMP|DATE$)/i.test(column.type);

/** A value as text, as it is copied; nothing for NULL. */
export function textOf(value: Value): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A value spread over lines, if it is JSON; else its text. */
export function unfoldedText(value: Value): string {
  if (value !== null && typeof value === 'object') return JSON.stringify(value, null, 2);
  const text = textOf(value);
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A value as a number, for charts and order; null when it is none. */
export function numberOf(value: Value): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string' || !value.trim()) return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

/** The places of rows in the order of a column; NULL comes last either way. */
export function sorted(rows: Value[][], column: number, numeric: boolean, down: boolean): number[] {
  const sign = down ? -1 : 1;
  return rows
    .map((_, index) => index)
    .sort((one, other) => {
      const a = rows[one]?.[column] ?? null;
      const b = rows[other]?.[column] ?? null;
      if (a === null || b === null) return Number(a === null) - Number(b === null);
      return sign * compare(a, b, numeric) || one - other;
    });
}

function compare(a: Value, b: Value, numeric: boolean): number {
  // Comparing a bigint with a number is exact; decimals come as texts.
  const exact = (value: Value) =>
    typeof value === 'bigint' || typeof value === 'number' ? value : (numberOf(value) ?? 0);
  const [x, y] = numeric ? [exact(a), exact(b)] : [textOf(a), textOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** A row or all of them as tab-separated values, to paste into a sheet. */
export function tabbed(rows: Value[][], columns?: Column[]): string {
  const cell = (text: string) =>
    /[\t\n\r"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = rows.map((row) => row.map((value) => cell(textOf(value))).join('\t'));
  if (columns) lines.unshift(columns.map((column) => cell(column.name)).join('\t'));
  return lines.join('\n');
}

export type Leads = 'run' | 'flow' | 'deployment';

const UUID_TEXT = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What the values of a column are ids of, as far as its name says so. */
export function leadsTo(column: Column, sql: string): Leads | undefined {
  if (column.type !== 'UUID') return undefined;
  const named = /^(?:(flow)_?run|run|(flow)|(deployment))_?id$/i.exec(column.name);
  if (named) return named[3] ? 'deployment' : named[2] ? 'flow' : 'run';
  const views = namedViews(sql).map((view) => view.name);
  if (column.name !== 'id' || views.length !== 1) return undefined;
  return ({ runs: 'run', flows: 'flow', deployments: 'deployment' } as const)[views[0] ?? ''];
}

export const isId = (value: Value): value is string =>
  typeof value === 'string' && UUID_TEXT.test(value);

// So many values, from all over the result, say how wide a column is.
const LOOKED_AT = 500;

/** How wide a column is drawn, in characters: as its values need, within bounds. */
export function widthOf(column: Column, rows: Value[][], index: number): number {
  let widest = Math.max(column.name.length + 2, column.type.length);
  const step = Math.max(1, Math.ceil(rows.length / LOOKED_AT));
  for (let row = 0; row < rows.length; row += step) {
    const value = rows[row]?.[index] ?? null;
    if (value !== null) widest = Math.max(widest, textOf(value).length);
    else widest = Math.max(widest, 4);
  }
  return Math.min(Math.max(widest, 6), 60);
}

/** Pages of what ids lead to. */
export const PATHS = {
  run: '/runs/:id',
  flow: '/flows/:id',
  deployment: '/deployments/:id',
} as const;
