import { expect, it } from 'vitest';

import { firstLine, outcome, runSeries } from './figures';

const state = (
  state_type: 'COMPLETED' | 'FAILED' | 'SCHEDULED' | 'CRASHED' | 'CANCELLED',
  count_runs: number,
  state_name: string = state_type,
) => ({
  state_type,
  state_name,
  count_runs,
  sum_estimated_run_time: 0,
  sum_estimated_lateness: 0,
});
const interval = (minute: number, ...states: ReturnType<typeof state>[]) => ({
  interval_start: new Date(minute * 60_000).toISOString(),
  interval_end: new Date((minute + 1) * 60_000).toISOString(),
  states,
});

it('runs are counted by type, and late ones apart from those that are merely scheduled', () => {
  const { times, series } = runSeries(
    [
      interval(0, state('COMPLETED', 3)),
      interval(1, state('SCHEDULED', 1), state('SCHEDULED', 2, 'Late'), state('FAILED', 1)),
    ],
    { from: 0, to: 120 },
    60,
  );
  const of = (name: string) => series.find((each) => each.name === name)?.values;
  expect(times).toEqual([0, 60]);
  expect(of('Completed')).toEqual([3, 0]);
  expect(of('Scheduled')).toEqual([0, 1]);
  expect(of('Late')).toEqual([0, 2]);
  expect(of('Failed')).toEqual([0, 1]);
});

it('success is the share of those that ended by themselves', () => {
  const ended = outcome(
    interval(
      0,
      state('COMPLETED', 6),
      state('FAILED', 1),
      state('CRASHED', 1),
      state('CANCELLED', 5),
    ),
  );
  expect(ended).toEqual({ runs: 13, failed: 2, success: 0.75 });
  expect(outcome(interval(0, state('CANCELLED', 5))).success).toBeNull();
});

it('a failure is told by its first line', () => {
  expect(
    firstLine('Flow run encountered an exception: ValueError: no\nTraceback (most recent…'),
  ).toBe('ValueError: no');
  expect(firstLine(null)).toBe('');
});
