/** Partitions of the archive as a map: hours of days, or days of weeks. All in UTC, as the objects' keys. */

import type { Schema } from '../../api/client';

export type Partition = Schema<'ArchivePartition'>;
export type Measure = 'rows' | 'bytes';

export interface Cell {
  partition: Partition;
  column: number;
  row: number;
  /** 1 to 5, 5 the most. */
  heat: number;
}

export interface HeatMap {
  columns: number;
  rows: number;
  cells: Cell[];
  /** Below some columns: which day or month begins. */
  labels: { column: number; text: string }[];
  /** Beside the rows. */
  rowLabels: { row: number; text: string }[];
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
export const HEATS = 5;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

const dayOf = (time: number) => Math.floor(time / DAY);
// 1970-01-01 was a Thursday; weeks begin on Monday.
const weekOf = (time: number) => Math.floor((dayOf(time) + 3) / 7);

/** A map of partitions by the hour: a column for each day, `least` or more, and a row for each hour. */
export function byHour(partitions: Partition[], measure: Measure, least = 30): HeatMap {
  const times = partitions.map((each) => Date.parse(each.start));
  const last = dayOf(Math.max(...times));
  const first = Math.min(dayOf(Math.min(...times)), last - least + 1);
  const columns = last - first + 1;
  return {
    columns,
    rows: 24,
    cells: partitions.map((partition, index) => ({
      partition,
      column: dayOf(times[index]!) - first,
      row: Math.floor((times[index]! % DAY) / HOUR),
      heat: heatOf(partitions, partition, measure),
    })),
    labels: spaced(
      Array.from({ length: columns }, (_, column) => ({
        column,
        text: dayText((first + column) * DAY),
      })),
      5,
    ),
    rowLabels: [0, 6, 12, 18].map((row) => ({
      row,
      text: `${String(row).padStart(2, '0')}:00`,
    })),
  };
}

/** A calendar: a column for each week, `least` or more, and a row for each day of it. */
export function byDay(partitions: Partition[], measure: Measure, least = 26): HeatMap {
  const times = partitions.map((each) => Date.parse(each.start));
  const last = weekOf(Math.max(...times));
  const first = Math.min(weekOf(Math.min(...times)), last - least + 1);
  const columns = last - first + 1;
  const labels = Array.from({ length: columns }, (_, column) => {
    const monday = new Date(((first + column) * 7 - 3) * DAY);
    return { column, text: MONTHS[monday.getUTCMonth()] ?? '', day: monday.getUTCDate() };
  }).filter(({ column, day }) => column === 0 || day <= 7);
  return {
    columns,
    rows: 7,
    cells: partitions.map((partition, index) => ({
      partition,
      column: weekOf(times[index]!) - first,
      row: (dayOf(times[index]!) + 3) % 7,
      heat: heatOf(partitions, partition, measure),
    })),
    labels: spaced(labels, 2),
    rowLabels: ['Mon', '', 'Wed', '', 'Fri', '', 'Sun'].flatMap((text, row) =>
      text ? [{ row, text }] : [],
    ),
  };
}

/** Fifths of the most, on a scale of roots: few rows beside many are still seen to be some. */
function heatOf(all: Partition[], one: Partition, measure: Measure): number {
  const most = Math.max(...all.map((each) => each[measure]), 1);
  return Math.min(HEATS, Math.max(1, Math.ceil(HEATS * Math.sqrt(one[measure] / most))));
}

function spaced<T extends { column: number }>(labels: T[], apart: number): T[] {
  const kept: T[] = [];
  for (const label of labels)
    if (!kept.length || label.column - kept.at(-1)!.column >= apart) kept.push(label);
  return kept;
}

function dayText(time: number): string {
  const date = new Date(time);
  return `${MONTHS[date.getUTCMonth()]} ${date.getUTCDate()}`;
}
