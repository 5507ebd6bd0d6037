/** Which lines of a run are shown. */

import { levelName, type Line } from './line';

/** Inclusive bounds of the level number. */
export interface LevelRange {
  from?: number | undefined;
  to?: number | undefined;
}

/** Levels that are shown: ranges in order, apart from each other; none for all levels. */
export type Levels = LevelRange[];

export interface LineFilter {
  levels?: Levels | undefined;
  /** A text query. */
  text?: string | undefined;
  /** A regular expression (RE2). */
  regex?: string | undefined;
  taskRunId?: string | undefined;
}

/** The named levels with the numbers that count as each. */
export const LEVELS = [
  { name: 'debug', from: undefined, to: 19 },
  { name: 'info', from: 20, to: 29 },
  { name: 'warning', from: 30, to: 39 },
  { name: 'error', from: 40, to: 49 },
  { name: 'critical', from: 50, to: undefined },
] as const;

export type Level = (typeof LEVELS)[number];

// The API takes a set with a gap as at most 50 numbers, which is all named levels but one of ten numbers.
const LEAST = 0;
const MOST = 59;

const has = ({ from, to }: LevelRange, level: number) =>
  (from === undefined || level >= from) && (to === undefined || level <= to);

/** Whether a level number is among those that are shown. */
export const shows = (levels: Levels, level: number) =>
  !levels.length || levels.some((range) => has(range, level));

/** The named levels that are shown, be it in part. */
export const named = (levels: Levels): Level[] =>
  LEVELS.filter(
    (level) =>
      !levels.length ||
      levels.some(
        ({ from, to }) =>
          (level.to ?? Infinity) >= (from ?? -Infinity) &&
          (level.from ?? -Infinity) <= (to ?? Infinity),
      ),
  );

/** These named levels as ranges; all of them, and none, are all levels. */
export function levelsOf(chosen: Level[]): Levels {
  const ranges: LevelRange[] = [];
  for (const level of LEVELS) {
    if (!chosen.includes(level)) continue;
    const last = ranges.at(-1);
    if (last && last.to === (level.from ?? 0) - 1) last.to = level.to;
    else ranges.push({ from: level.from, to: level.to });
  }
  return ranges.length === 1 && chosen.length === LEVELS.length ? [] : ranges;
}

/** The levels as the API takes them; undefined for all. */
function levelBody(levels: Levels) {
  const [first] = levels;
  if (!first) return undefined;
  if (levels.length === 1)
    return {
      ...(first.from !== undefined ? { ge_: first.from } : {}),
      ...(first.to !== undefined ? { le_: first.to } : {}),
    };
  const any_: number[] = [];
  for (let level = LEAST; level <= MOST; level += 1) if (shows(levels, level)) any_.push(level);
  return { any_ };
}

/** The least level that is shown; undefined when there is none. */
export const leastLevel = (levels: Levels) => levels[0]?.from;

/** Of these levels those from a level up; none when there are none, which is not all levels. */
export const above = (levels: Levels, least: number): Levels =>
  (levels.length ? levels : [{}])
    .filter(({ to }) => to === undefined || to >= least)
    .map(({ from, to }) => ({ from: Math.max(from ?? least, least), to }));

/** The filter as the API takes it, but for the run and the regular expression. */
export function filterBody({ levels, text, taskRunId }: LineFilter) {
  const level = levelBody(levels ?? []);
  return {
    ...(level ? { level } : {}),
    ...(text ? { text: { query: text } } : {}),
    ...(taskRunId ? { task_run_id: { any_: [taskRunId] } } : {}),
  };
}

/** The regular expression as the API takes it, where it is beside the rest. */
export const regexBody = ({ regex }: LineFilter) => (regex ? { regex } : {});

/** Whether a line passes what the live stream does not filter by, but for a regular expression. */
export const passes = (line: Line, { levels, taskRunId }: LineFilter) =>
  shows(levels ?? [], line.level) && (taskRunId === undefined || line.task_run_id === taskRunId);

/** `30` (and up), `30-39` or `-19,40-49` of an address as ranges; all levels for what is none of these. */
export function parseLevels(text: string | null): Levels {
  const ranges: LevelRange[] = [];
  for (const part of (text ?? '').split(',')) {
    const found = /^(\d+)?(?:(-)(\d+)?)?$/.exec(part);
    if (!part || part === '-' || !found) return [];
    const bound = (digits: string | undefined) =>
      digits === undefined ? undefined : Number(digits);
    ranges.push({ from: bound(found[1]), to: bound(found[3]) });
  }
  return ranges;
}

/** The other way round; empty for all levels. */
export const formatLevels = (levels: Levels) =>
  levels
    .map(({ from, to }) => (to === undefined ? `${from ?? ''}` : `${from ?? ''}-${to}`))
    .join(',');

/** Lines by named level, of counts by number. */
export function byName(levels: Record<string, number>): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const [level, lines] of Object.entries(levels)) {
    const name = levelName(Number(level));
    counted[name] = (counted[name] ?? 0) + lines;
  }
  return counted;
}
