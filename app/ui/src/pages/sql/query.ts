/** Statements, their results, and what went wrong with them. */

import { ApiError, headers, refusal } from '../../api/client';
import type { Column } from './views';

export type Value = string | number | bigint | boolean | null | object;

export interface Result {
  columns: Column[];
  rows: Value[][];
  /** There were more rows than `limit`. */
  truncated: boolean;
  limit: number;
  sql: string;
  milliseconds: number;
  /** Of the answer. */
  bytes: number;
}

export type FileFormat = 'csv' | 'json' | 'parquet' | 'arrow';

/** As many rows as an answer can have. */
export const MOST_ROWS = 1_000_000;

/** Where in a statement something is wrong, counted from 1. */
export interface Place {
  line: number;
  column: number;
}

/** Run a statement; aborting ends its work on the server. Throws ApiError. */
export async function run(sql: string, limit: number, signal: AbortSignal): Promise<Result> {
  const began = performance.now();
  const response = await ask(sql, 'json', limit, signal);
  const text = await body(() => response.text());
  const answer = parse(text) as Pick<Result, 'columns' | 'rows' | 'truncated'>;
  return {
    ...answer,
    sql,
    limit,
    milliseconds: performance.now() - began,
    bytes: new TextEncoder().encode(text).length,
  };
}

/** The result as a file, and whether there were more rows than it has. */
export async function file(
  sql: string,
  format: FileFormat,
  signal: AbortSignal,
): Promise<{ file: Blob; truncated: boolean }> {
  const response = await ask(sql, format, MOST_ROWS, signal);
  return {
    file: await body(() => response.blob()),
    truncated: response.headers.get('Tailrace-Truncated') === 'true',
  };
}

async function ask(sql: string, format: FileFormat, limit: number, signal: AbortSignal) {
  const response = await body(() =>
    fetch('/api/tailrace/sql', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers() },
      body: JSON.stringify({ sql, format, limit }),
      signal,
    }),
  );
  if (!response.ok) throw refusal(response.status, await response.json().catch(() => undefined));
  return response;
}

async function body<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError('The server does not answer.', 0);
  }
}

type Reviver = (key: string, value: unknown, context?: { source?: string }) => unknown;

/** JSON whose whole numbers keep all their digits, where the browser tells them. */
export function parse(text: string): unknown {
  // Only there do numbers beyond 2^53 occur, and a reviver takes its time.
  if (!/[:,[\s]-?\d{16,}/.test(text)) return JSON.parse(text);
  const exact: Reviver = (_, value, context) =>
    typeof value === 'number' &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? 0)
      : value;
  return JSON.parse(text, exact as Parameters<typeof JSON.parse>[1]);
}

/** What an error says about a statement, without the name of the field, and where it says it is. */
export function explained(error: ApiError): { message: string; place: Place | undefined } {
  const message = error.fields.find((each) => each.path[0] === 'sql')?.message ?? error.message;
  const found = / \(line (\d+), column (\d+)\)$/.exec(message);
  return {
    message: found ? message.slice(0, found.index) : message,
    place: found ? { line: Number(found[1]), column: Number(found[2]) } : undefined,
  };
}
