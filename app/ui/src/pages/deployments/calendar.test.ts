import { describe, expect, it } from 'vitest';

import { cells, days, hours, spans, turned } from './calendar';

const utc = (text: string) => new Date(`${text}Z`);
const names = (dates: Date[]) => dates.map((date) => date.toISOString().slice(0, 10));

describe('a month', () => {
  it('is shown in whole weeks from Monday', () => {
    const shown = names(days('month', utc('2026-11-24T20:00:00'), 'utc'));
    expect(shown[0]).toBe('2026-10-26');
    expect(shown.at(-1)).toBe('2026-12-07');
    expect(shown).toHaveLength(43);
  });

  it('that begins on a Monday and has 28 days takes four weeks', () => {
    expect(days('month', utc('2027-02-10T00:00:00'), 'utc')).toHaveLength(29);
  });

  it('is followed by the next, also from its 31st', () => {
    expect(names([turned('month', utc('2026-10-31T10:00:00'), 'utc', 1)])).toEqual(['2026-11-01']);
    expect(names([turned('month', utc('2026-01-31T10:00:00'), 'utc', -1)])).toEqual(['2025-12-01']);
  });
});

describe('a week', () => {
  it('begins on Monday, also on a Sunday', () => {
    const shown = names(days('week', utc('2026-11-29T23:00:00'), 'utc'));
    expect([shown[0], shown.at(-1)]).toEqual(['2026-11-23', '2026-11-30']);
  });
});

describe('the history', () => {
  it('is asked for without a gap, in pieces that the server answers whole', () => {
    const [from, to] = [utc('2026-10-26T00:00:00'), utc('2026-12-07T00:00:00')];
    const asked = spans(from, to);
    expect(asked).toHaveLength(3);
    expect(asked[0]?.from).toEqual(from);
    expect(asked[1]?.from).toEqual(asked[0]?.to);
    expect(asked.at(-1)?.to).toEqual(to);
  });

  it('is added up by cell and state', () => {
    const edges = days('week', utc('2026-11-24T00:00:00'), 'utc');
    const hour = (start: string, state: string, runs: number) => ({
      interval_start: `${start}Z`,
      interval_end: `${start}Z`,
      states: [
        {
          state_type: state as 'COMPLETED',
          state_name: state,
          count_runs: runs,
          sum_estimated_run_time: 0,
          sum_estimated_lateness: 0,
        },
      ],
    });
    const made = cells(edges, [
      hour('2026-11-24T00:00:00', 'COMPLETED', 2),
      hour('2026-11-24T23:00:00', 'COMPLETED', 3),
      hour('2026-11-24T23:00:00', 'FAILED', 1),
      hour('2026-11-25T00:00:00', 'SCHEDULED', 4),
      hour('2026-12-25T00:00:00', 'SCHEDULED', 9),
    ]);
    expect(made.map((cell) => cell.counts.map(({ type, runs }) => `${runs} ${type}`))).toEqual([
      [],
      ['5 COMPLETED', '1 FAILED'],
      ['4 SCHEDULED'],
      [],
      [],
      [],
      [],
    ]);
  });
});

it('a day has 24 hours', () => {
  expect(hours(utc('2026-11-24T00:00:00'), utc('2026-11-25T00:00:00'))).toHaveLength(25);
});
