import { describe, expect, it } from 'vitest';

import { compare, cursorOf, keyOf, levelName } from './line';

const line = {
  id: '00000000-0010-80f2-9c00-000000000000',
  timestamp: '2026-11-24T20:01:57.249678Z',
};

describe('the place of a line', () => {
  it('is the cursor that the server has for it', () => {
    expect(cursorOf(keyOf(line))).toBe('1795550517249678.1052455');
    expect(keyOf({ ...line, timestamp: '2026-11-24T20:01:57Z' }).microseconds).toBe(
      1795550517000000n,
    );
  });

  it('is ordered by time, then by arrival', () => {
    const key = keyOf(line);
    expect(compare(key, { ...key, seq: key.seq + 1n })).toBeLessThan(0);
    expect(compare({ microseconds: 2n, seq: 0n }, { microseconds: 1n, seq: 9n })).toBeGreaterThan(
      0,
    );
    expect(compare(key, key)).toBe(0);
  });
});

it('a level between two names has the lower one', () => {
  expect([5, 10, 25, 40, 99].map(levelName)).toEqual([
    'debug',
    'debug',
    'info',
    'error',
    'critical',
  ]);
});
