/** A log line, and its place in the order of lines: (timestamp, number of arrival). */

import type { Schema } from '../api/client';

export type Line = Schema<'Log'>;

/** Where a line lies in the order of its run, as the cursors of the API write it: `microseconds.seq`. */
export interface Key {
  microseconds: bigint;
  seq: bigint;
}

const TIME = /^(.*?)(?:\.(\d{1,6}))?(Z|[+-]\d\d:?\d\d)?$/;

/** Microseconds since 1970 of a timestamp of the API's. */
export function microsecondsOf(timestamp: string): bigint {
  const [, whole = '', fraction = '', zone = 'Z'] = TIME.exec(timestamp) ?? [];
  return BigInt(Date.parse(whole + zone)) * 1000n + BigInt(fraction.padEnd(6, '0'));
}

/** The number of arrival that the id of a line carries around its version and variant. */
export function seqOf(id: string): bigint {
  const value = BigInt(`0x${id.replaceAll('-', '')}`);
  return ((value >> 80n) << 16n) | (((value >> 64n) & 0xfffn) << 4n) | ((value >> 58n) & 0xfn);
}

/** The place of a line. */
export const keyOf = (line: Pick<Line, 'id' | 'timestamp'>): Key => ({
  microseconds: microsecondsOf(line.timestamp),
  seq: seqOf(line.id),
});

/** Negative when `a` comes first, positive when `b` does. */
export function compare(a: Key, b: Key): number {
  const by = a.microseconds - b.microseconds || a.seq - b.seq;
  return by < 0n ? -1 : by > 0n ? 1 : 0;
}

/** A place as the API takes it. */
export const cursorOf = (key: Key) => `${key.microseconds}.${key.seq}`;

const NAMES: [number, string][] = [
  [50, 'critical'],
  [40, 'error'],
  [30, 'warning'],
  [20, 'info'],
];

/** The name of the named level at or below this number; `debug` below all. */
export const levelName = (level: number) => NAMES.find(([from]) => level >= from)?.[1] ?? 'debug';
