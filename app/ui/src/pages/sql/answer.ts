/** Results of statements, and what is wrong with a statement, as the API says it. */

import type { ApiError } from '../../api/client';
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

/** Where in a statement something is wrong, counted from 1. */
export interface Place {
  line: number;
  column: number;
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
export function explained(error: Pick<ApiError, 'message' | 'fields'>): {
  message: string;
  place: Place | undefined;
} {
  const message = error.fields.find((each) => each.path[0] === 'sql')?.message ?? error.message;
  const found = / \(line (\d+), column (\d+)\)$/.exec(message);
  return {
    message: found ? message.slice(0, found.index) : message,
    place: found ? { line: Number(found[1]), column: Number(found[2]) } : undefined,
  };
}
