/** How the time of a line is shown. */

import { timeOfDay, timestamp } from '../format/time';

/** In the reader's zone, in UTC, or since the run began. */
export type TimeShown = 'local' | 'utc' | 'relative';

const two = (value: number) => String(value).padStart(2, '0');

/** A line's time in the form that is wanted; `start` is the run's, in milliseconds since 1970. */
export function lineTime(time: string, shown: TimeShown, start: number | undefined): string {
  if (shown !== 'relative') return timestamp(time, shown, 3);
  return start === undefined ? timeOfDay(time, 'local', 3) : sinceStart(Date.parse(time) - start);
}

/** `+1:02:03.456`, of milliseconds. */
export function sinceStart(milliseconds: number): string {
  const sign = milliseconds < 0 ? '-' : '+';
  const span = Math.abs(Math.round(milliseconds));
  const [hours, minutes] = [Math.floor(span / 3_600_000), Math.floor(span / 60_000) % 60];
  const rest = `${two(Math.floor(span / 1000) % 60)}.${String(span % 1000).padStart(3, '0')}`;
  return hours ? `${sign}${hours}:${two(minutes)}:${rest}` : `${sign}${minutes}:${rest}`;
}

const UNITS: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/**
 * The time that somebody typed, in milliseconds since 1970: `14:03`, `14:03:22.5` (of the day of `near`),
 * `2026-11-24 14:03`, an ISO time, `+10m` or `+1h30m` after `start`. Undefined when it is none of these.
 */
export function typedTime(
  text: string,
  clock: 'local' | 'utc',
  near: number,
  start: number | undefined,
): number | undefined {
  const typed = text.trim();
  if (/^[+-](?:\d+(?:\.\d+)?[dhms]\s*)+$/i.test(typed)) {
    if (start === undefined) return undefined;
    let span = 0;
    for (const [, value, unit] of typed.matchAll(/(\d+(?:\.\d+)?)([dhms])/gi))
      span += Number(value) * UNITS[unit!.toLowerCase()]!;
    return start + (typed.startsWith('-') ? -span : span);
  }
  const full =
    /^(\d{4}-\d\d-\d\d)(?:[T ]+(\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(
      typed,
    );
  const bare = /^(\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z)?$/i.exec(typed);
  const day = full?.[1] ?? timestamp(new Date(near), clock).slice(0, 10);
  const time = full ? (full[2] ?? '00:00') : bare?.[1];
  if (time === undefined) return undefined;
  const zone = (full ? full[3] : bare?.[2])?.toUpperCase() ?? (clock === 'utc' ? 'Z' : '');
  const found = Date.parse(
    `${day}T${time.padStart(time.indexOf(':') < 2 ? time.length + 1 : 0, '0')}${zone}`,
  );
  return Number.isNaN(found) ? undefined : found;
}
