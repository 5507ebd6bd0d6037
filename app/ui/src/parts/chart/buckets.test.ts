import { describe, expect, it } from 'vitest';

import { bucketSeconds, bucketStarts, spread, stacked } from './buckets';

describe('buckets of a span', () => {
  it.each([
    [60, 1],
    [3600, 60],
    [86400, 1800],
    [7 * 86400, 7200],
    [30 * 86400, 43200],
    [3 * 365 * 86400, 13 * 86400],
  ])('of %d s are %d s long', (seconds, bucket) => {
    expect(bucketSeconds(seconds)).toBe(bucket);
    expect(seconds / bucket).toBeLessThanOrEqual(90);
  });

  it('begin at round times and cover it', () => {
    expect(bucketStarts({ from: 130, to: 310 }, 60)).toEqual([120, 180, 240, 300]);
    expect(bucketStarts({ from: 120, to: 180 }, 60)).toEqual([120]);
  });

  it('are zero where nothing was found, and count what fell into them', () => {
    const { times, values } = spread(
      { from: 0, to: 180 },
      60,
      ['failed', 'done'],
      [
        { at: 61, name: 'failed', count: 2 },
        { at: 119, name: 'failed', count: 1 },
        { at: 180, name: 'failed', count: 9 },
        { at: 0, name: 'other', count: 9 },
      ],
    );
    expect(times).toEqual([0, 60, 120]);
    expect(values.get('failed')).toEqual([0, 3, 0]);
    expect(values.get('done')).toEqual([0, 0, 0]);
  });
});

describe('stacked series', () => {
  const series = [
    { name: 'done', values: [1, 2] },
    { name: 'failed', values: [0, 3] },
    { name: 'crashed', values: [4, 0] },
  ];

  it('lie on top of one another', () => {
    expect(stacked(series)).toEqual([
      [1, 2],
      [1, 5],
      [5, 5],
    ]);
  });

  it('take no room when hidden', () => {
    expect(stacked(series, new Set(['failed'])).at(-1)).toEqual([5, 2]);
  });
});
