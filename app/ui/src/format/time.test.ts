import { describe, expect, it } from 'vitest';

import { duration, relative, timeOfDay, timestamp } from './time';

describe('a time', () => {
  it('reads the same in UTC wherever the reader is', () => {
    expect(timestamp('2026-11-24T19:04:08.123456Z', 'utc', 3)).toBe('2026-11-24 19:04:08.123');
    expect(timeOfDay('2026-11-24T19:04:08Z', 'utc')).toBe('19:04:08');
  });

  it('is told relative to now, in both directions', () => {
    const now = new Date('2026-11-24T12:00:00Z');
    expect(relative('2026-11-24T11:56:00Z', now)).toBe('4 min ago');
    expect(relative('2026-11-24T14:00:00Z', now)).toBe('in 2 h');
    expect(relative(now, now)).toBe('now');
  });
});

describe('a duration', () => {
  it.each([
    [0.0042, '4 ms'],
    [4.23, '4.2 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [185, '3 min 5 s'],
    [7800, '2 h 10 min'],
    [273600, '3 d 4 h'],
  ])('of %d s is %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});
