/** Days of a calendar, and the runs that fall on each. Weeks begin on Monday. */
import type { Schema } from '../../api/client';
import { timestamp, type Clock } from '../../format/time';

export type View = 'month' | 'week';
/** Runs by state, in intervals of an hour. */
export type History = Schema<'HistoryInterval'>[];

export const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** How many runs of one state begin in a span of time. */
export interface Count {
  type: string;
  name: string;
  runs: number;
}

/** A day, or an hour of one. */
export interface Cell {
  start: Date;
  end: Date;
  counts: Count[];
}

const HOUR = 3_600_000;
// So many hours does one question about the history cover: the server gives 500 intervals at most.
const ASKED_HOURS = 14 * 24;

/** A point in time of the reader's calendar: local, or UTC. */
export function at(clock: Clock, year: number, month: number, day: number, hour = 0): Date {
  return clock === 'utc'
    ? new Date(Date.UTC(year, month, day, hour))
    : new Date(year, month, day, hour);
}

/** Year, month (0..11), day, hour and weekday (0 = Monday) of a point in time. */
export function partsOf(time: Date, clock: Clock) {
  const utc = clock === 'utc';
  return {
    year: utc ? time.getUTCFullYear() : time.getFullYear(),
    month: utc ? time.getUTCMonth() : time.getMonth(),
    day: utc ? time.getUTCDate() : time.getDate(),
    hour: utc ? time.getUTCHours() : time.getHours(),
    weekday: ((utc ? time.getUTCDay() : time.getDay()) + 6) % 7,
  };
}

/** Midnights of the days that a view around a day shows, and the one after them. */
export function days(view: View, around: Date, clock: Clock): Date[] {
  const { year, month, day, weekday } = partsOf(around, clock);
  if (view === 'week')
    return Array.from({ length: 8 }, (_, index) => at(clock, year, month, day - weekday + index));
  const before = partsOf(at(clock, year, month, 1), clock).weekday;
  const last = partsOf(at(clock, year, month + 1, 0), clock).day;
  const length = Math.ceil((before + last) / 7) * 7 + 1;
  return Array.from({ length }, (_, index) => at(clock, year, month, 1 - before + index));
}

/** The day that the view before or after this one is around. */
export function turned(view: View, around: Date, clock: Clock, by: 1 | -1): Date {
  const { year, month, day } = partsOf(around, clock);
  return view === 'week' ? at(clock, year, month, day + 7 * by) : at(clock, year, month + by, 1);
}

/** Spans that the history is asked for, one question each, hour by hour. */
export function spans(from: Date, to: Date): { from: Date; to: Date }[] {
  const asked = [];
  for (let start = from.getTime(); start < to.getTime(); start += ASKED_HOURS * HOUR)
    asked.push({
      from: new Date(start),
      to: new Date(Math.min(start + ASKED_HOURS * HOUR, to.getTime())),
    });
  return asked;
}

/** The runs of each span between two of `edges`, out of a history by hours. */
export function cells(edges: Date[], history: History): Cell[] {
  const made = edges
    .slice(0, -1)
    .map((start, index) => ({ start, end: edges[index + 1] as Date, counts: [] as Count[] }));
  for (const { interval_start, states } of history) {
    const time = new Date(interval_start);
    const cell = made.find((each) => each.start <= time && time < each.end);
    for (const { state_type: type, state_name: name, count_runs: runs } of states) {
      if (!cell || !runs) continue;
      const known = cell.counts.find((each) => each.name === name && each.type === type);
      if (known) known.runs += runs;
      else cell.counts.push({ type, name, runs });
    }
  }
  return made;
}

/** Edges of the hours of a day; a day on which the clocks change has 23 or 25. */
export function hours(start: Date, end: Date): Date[] {
  const edges = [];
  for (let time = start.getTime(); time <= end.getTime(); time += HOUR) edges.push(new Date(time));
  return edges;
}

/** All runs of a cell. */
export const total = (cell: Cell) => cell.counts.reduce((sum, each) => sum + each.runs, 0);

/** `November 2026`. */
export const monthOf = (date: Date, clock: Clock) =>
  date.toLocaleDateString('en-US', {
    month: 'long',
    year: 'numeric',
    timeZone: clock === 'utc' ? 'UTC' : undefined,
  });

/** Whether a time is of this day. */
export const isToday = (date: Date, clock: Clock) =>
  timestamp(date, clock).slice(0, 10) === timestamp(new Date(), clock).slice(0, 10);
