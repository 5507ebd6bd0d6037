/** Which lines of a run are shown. */

import { levelName, type Line } from './line';

/** What the API filters by. Levels are one range: it takes no set of levels with a gap. */
export interface LineFilter {
  /** Inclusive bounds of the level number. */
  from?: number | undefined;
  to?: number | undefined;
  /** A text query. */
  text?: string | undefined;
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

/** The filter as the API takes it, but for the run. */
export function filterBody({ from, to, text, taskRunId }: LineFilter) {
  return {
    ...(from !== undefined || to !== undefined
      ? {
          level: {
            ...(from !== undefined ? { ge_: from } : {}),
            ...(to !== undefined ? { le_: to } : {}),
          },
        }
      : {}),
    ...(text ? { text: { query: text } } : {}),
    ...(taskRunId ? { task_run_id: { any_: [taskRunId] } } : {}),
  };
}

/** Whether a line passes what the live stream does not filter by. */
export const passes = (line: Line, { to, taskRunId }: LineFilter) =>
  (to === undefined || line.level <= to) &&
  (taskRunId === undefined || line.task_run_id === taskRunId);

/** `30-39` or `30` (and up) of an address as bounds; nothing of what is neither. */
export function parseLevels(text: string | null): Pick<LineFilter, 'from' | 'to'> {
  const found = /^(\d+)?(?:(-)(\d+)?)?$/.exec(text ?? '');
  if (!text || !found) return {};
  const bound = (digits: string | undefined) => (digits === undefined ? undefined : Number(digits));
  return { from: bound(found[1]), to: bound(found[3]) };
}

/** The other way round; empty for all levels. */
export const formatLevels = ({ from, to }: Pick<LineFilter, 'from' | 'to'>) =>
  to === undefined ? `${from ?? ''}` : `${from ?? ''}-${to}`;

/** Lines by named level, of counts by number. */
export function byName(levels: Record<string, number>): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const [level, lines] of Object.entries(levels)) {
    const name = levelName(Number(level));
    counted[name] = (counted[name] ?? 0) + lines;
  }
  return counted;
}
