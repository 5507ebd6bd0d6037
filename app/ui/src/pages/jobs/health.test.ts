import { describe, expect, it } from 'vitest';

import { healthOf, reportText, title, type JobStatus } from './health';

const NOW = new Date('2026-11-24T12:00:00Z');
const before = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();

function job(values: Partial<JobStatus>): JobStatus {
  return {
    name: 'log-offload',
    description: '',
    every_seconds: 10,
    has_dry_run: false,
    last_pass: before(5),
    next_pass: null,
    holder: null,
    last: null,
    recent: [],
    ...values,
  };
}

function pass(outcome: 'running' | 'done' | 'failed' | 'lost', finished: number) {
  return {
    id: '0',
    name: 'log-offload',
    holder: '',
    started: before(finished + 2),
    finished: before(finished),
    seconds: 2,
    outcome,
    report: null,
    error: null,
  };
}

describe('a job', () => {
  it('is well when its passes come in time', () => {
    expect(healthOf(job({}), NOW)).toBe('well');
    expect(healthOf(job({ last: pass('done', 3000) }), NOW)).toBe('well');
  });

  it('is failing when its newest pass failed or died, until a later one ends well', () => {
    expect(healthOf(job({ last: pass('failed', 3), last_pass: before(5) }), NOW)).toBe('failing');
    expect(healthOf(job({ last: pass('lost', 3), last_pass: before(5) }), NOW)).toBe('failing');
    expect(healthOf(job({ last: pass('failed', 30), last_pass: before(5) }), NOW)).toBe('well');
  });

  it('is silent when passes do not come for much longer than its interval', () => {
    expect(healthOf(job({ last_pass: before(85) }), NOW)).toBe('well');
    expect(healthOf(job({ last_pass: before(95) }), NOW)).toBe('silent');
    expect(healthOf(job({ last_pass: before(95), last: pass('running', 0) }), NOW)).toBe('working');
  });

  it('that never ran is neither', () => {
    expect(healthOf(job({ last_pass: null }), NOW)).toBe('idle');
  });
});

it('what a pass did is told by the figures that are not zero', () => {
  expect(reportText({ rows: 12345, problems: 0, merged_segments: 2, seconds: 0.25 })).toBe(
    '12,345 rows, 2 merged segments, 0.25 seconds',
  );
  expect(reportText({ problems: 0 })).toBe('Nothing to do');
  expect(reportText(null)).toBe('Nothing to do');
});

it('a job is called by words', () => {
  expect(title('log-offload')).toBe('Log offload');
});
