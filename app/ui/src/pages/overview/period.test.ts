import { describe, expect, it } from 'vitest';

import { brushed, iso, periodNamed, spanOf } from './period';

describe('the period of the overview', () => {
  it('is a day unless the address says otherwise', () => {
    expect(periodNamed(null).name).toBe('24h');
    expect(periodNamed('1y').name).toBe('24h');
    expect(periodNamed('7d').seconds).toBe(604800);
  });

  it('ends now', () => {
    const now = new Date('2026-11-24T12:00:00Z');
    const { from, to } = spanOf(periodNamed('1h'), now);
    expect([iso(from), iso(to)]).toEqual(['2026-11-24T11:00:00.000Z', '2026-11-24T12:00:00.000Z']);
  });
});

describe('a brushed span', () => {
  it('is read from an address', () => {
    expect(brushed('2026-11-24T11:00:00Z', '2026-11-24T11:00:10Z')).toEqual({
      from: 1795518000,
      to: 1795518010,
    });
  });

  it.each([
    [null, null],
    ['2026-11-24T11:00:00Z', null],
    ['2026-11-24T11:00:00Z', '2026-11-24T10:00:00Z'],
    ['soon', 'later'],
  ])('is none between %s and %s', (from, to) => {
    expect(brushed(from, to)).toBeNull();
  });
});
