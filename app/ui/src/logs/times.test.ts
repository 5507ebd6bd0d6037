import { describe, expect, it } from 'vitest';

import { lineTime, sinceStart, typedTime } from './times';

const START = Date.parse('2026-11-24T14:00:00Z');
const typed = (text: string) => {
  const found = typedTime(text, 'utc', START, START);
  return found === undefined ? undefined : new Date(found).toISOString();
};

describe('the time of a line', () => {
  it('counts from the start of the run', () => {
    expect(lineTime('2026-11-24T15:02:03.456789Z', 'relative', START)).toBe('+1:02:03.456');
    expect(sinceStart(-1500)).toBe('-0:01.500');
    expect(lineTime('2026-11-24T15:02:03.456789Z', 'utc', START)).toBe('2026-11-24 15:02:03.456');
  });
});

describe('a time that somebody types', () => {
  it.each([
    ['14:03', '2026-11-24T14:03:00.000Z'],
    ['9:03:22.5', '2026-11-24T09:03:22.500Z'],
    ['2026-11-23 14:03', '2026-11-23T14:03:00.000Z'],
    ['2026-11-23', '2026-11-23T00:00:00.000Z'],
    ['2026-11-23T14:03:00+02:00', '2026-11-23T12:03:00.000Z'],
    ['+10m', '2026-11-24T14:10:00.000Z'],
    ['+1h30m', '2026-11-24T15:30:00.000Z'],
    ['soon', undefined],
    ['25:99', undefined],
    ['', undefined],
  ])('%s is %s', (text, time) => {
    expect(typed(text)).toBe(time);
  });
});
