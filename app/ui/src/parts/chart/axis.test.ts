import { expect, it } from 'vitest';

import { axisTime, spanText } from './axis';

const at = (time: string) => new Date(time).getTime() / 1000;

it.each([
  [10, '2026-11-24T14:30:20Z', '14:30:20'],
  [600, '2026-11-24T14:30:00Z', '14:30'],
  [3600, '2026-11-24T00:00:00Z', 'Nov 24'],
  [86400, '2026-11-05T00:00:00Z', 'Nov 5'],
  [30 * 86400, '2026-11-01T00:00:00Z', 'Nov 2026'],
])('a tick of an axis with one each %d s at %s reads %s', (step, time, text) => {
  expect(axisTime(at(time), step, 'utc')).toBe(text);
});

it('a span says its day once, and seconds only where they matter', () => {
  const from = at('2026-11-24T14:30:00Z');
  expect(spanText(from, from + 1800, 'utc')).toBe('2026-11-24 14:30 – 15:00');
  expect(spanText(from, from + 10, 'utc')).toBe('2026-11-24 14:30:00 – 14:30:10');
  expect(spanText(from, from + 86400, 'utc')).toBe('2026-11-24 14:30 – 2026-11-25 14:30');
});
