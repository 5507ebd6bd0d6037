import { describe, expect, it } from 'vitest';

import { afterStart, type Bar, inOrder, marks, moved, step, whole, zoomed } from './gantt';

const bar = (id: string, start: number, end?: number): Bar => ({
  id,
  label: id,
  kind: 'task-run',
  state: end === undefined ? 'RUNNING' : 'COMPLETED',
  start,
  end,
  parents: [],
  children: [],
});
const limits = { from: 0, to: 1000 };

describe('a timeline', () => {
  it('reaches from the first start to the last end, or to now while something runs', () => {
    const ended = [bar('a', 1000, 2000), bar('b', 1500, 5000)];
    expect(whole(ended, 9000)).toEqual({ from: 920, to: 5080 });
    expect(whole([...ended, bar('c', 3000)], 9000).to).toBeGreaterThan(9000);
    expect(whole([], 9000).to).toBe(9000);
  });

  it('has what began first on top', () => {
    const bars = new Map([bar('b', 2), bar('a', 2), bar('c', 1)].map((each) => [each.id, each]));
    expect(inOrder(bars).map(({ id }) => id)).toEqual(['c', 'a', 'b']);
  });

  it('keeps the time under the pointer where it is when zoomed', () => {
    expect(zoomed({ from: 0, to: 1000 }, 2, 250, limits)).toEqual({ from: 125, to: 625 });
  });

  it('is never zoomed or moved beyond its ends', () => {
    expect(zoomed({ from: 100, to: 600 }, 0.1, 300, limits)).toEqual(limits);
    expect(zoomed({ from: 0, to: 100 }, 1e9, 50, limits)).toEqual({ from: 40, to: 60 });
    expect(moved({ from: 100, to: 600 }, 900, limits)).toEqual({ from: 500, to: 1000 });
    expect(moved({ from: 100, to: 600 }, -900, limits)).toEqual({ from: 0, to: 500 });
  });

  it('marks its axis at round times', () => {
    expect(step({ from: 0, to: 3_600_000 }, 8)).toBe(600_000);
    expect(marks({ from: 950, to: 3100 }, 100, 5)).toEqual([1000, 1500, 2000, 2500, 3000]);
    expect(step({ from: 0, to: 40 * 86_400_000 }, 8)).toBe(5 * 86_400_000);
  });

  it.each([
    [0, '0'],
    [850, '850 ms'],
    [1500, '1.5 s'],
    [125_000, '2:05'],
    [3_725_000, '1:02:05'],
  ])('tells %d ms as %s', (milliseconds, text) => {
    expect(afterStart(milliseconds)).toBe(text);
  });
});
