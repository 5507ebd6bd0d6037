import { expect, it } from 'vitest';

import { byDay, byHour, type Partition } from './heat';

const partition = (start: string, rows: number): Partition => ({
  start,
  rows,
  bytes: rows * 10,
  segments: 1,
  final_segments: 1,
});

it('hours lie in the column of their day', () => {
  const map = byHour(
    [partition('2026-11-23T22:00:00Z', 1), partition('2026-11-25T03:00:00Z', 100)],
    'rows',
    1,
  );
  expect(map.columns).toBe(3);
  expect(map.cells.map(({ column, row, heat }) => [column, row, heat])).toEqual([
    [0, 22, 1],
    [2, 3, 5],
  ]);
});

it('days lie in the column of their week, Monday first', () => {
  // A Sunday and the Monday after it.
  const map = byDay(
    [partition('2026-11-22T00:00:00Z', 50), partition('2026-11-23T00:00:00Z', 200)],
    'bytes',
    1,
  );
  expect(map.columns).toBe(2);
  expect(map.cells.map(({ column, row, heat }) => [column, row, heat])).toEqual([
    [0, 6, 3],
    [1, 0, 5],
  ]);
});

it('a short history has room for what comes before', () => {
  const map = byDay([partition('2026-11-23T00:00:00Z', 1)], 'rows');
  expect(map.columns).toBe(26);
  expect(map.cells[0]!.column).toBe(25);
});
