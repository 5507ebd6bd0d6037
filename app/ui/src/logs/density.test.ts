import { expect, it } from 'vitest';

import { bands, bucketSeconds } from './density';

it('a span is cut into some hundred buckets at most', () => {
  expect(bucketSeconds(0.001)).toBe(0.001);
  expect(bucketSeconds(3)).toBe(0.01);
  expect(bucketSeconds(10)).toBe(0.05);
  expect(bucketSeconds(6 * 3600)).toBe(60);
  for (const span of [0.01, 1, 1e3, 1e5, 1e7, 1e9])
    expect(span / bucketSeconds(span)).toBeLessThanOrEqual(400);
});

it('a strip is measured in lines, so that it lies beside the scroll bar', () => {
  const found = bands({
    bucket_seconds: 60,
    lines: 4,
    buckets: [
      { start: '2026-11-24T14:00:00Z', lines: 3, levels: { 20: 2, 40: 1 } },
      { start: '2026-11-24T15:00:00Z', lines: 1, levels: { 30: 1 } },
    ],
  });
  expect(found.map(({ top, bottom }) => [top, bottom])).toEqual([
    [0, 0.75],
    [0.75, 1],
  ]);
  expect(found[0]!.errors).toBeCloseTo(1 / 3);
  expect(found[0]!.density).toBe(1);
  expect(found[1]!.warnings).toBe(1);
});
