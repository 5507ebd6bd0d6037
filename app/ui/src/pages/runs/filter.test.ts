import { describe, expect, it } from 'vitest';

import { asked, narrows, params, parsed } from './filter';

const now = new Date('2026-11-24T12:00:00Z');
const of = (text: string) => parsed(new URLSearchParams(text));

describe('a filter of runs', () => {
  it('is the same after it went through the address', () => {
    const filter = {
      ...of(''),
      text: 'a & b',
      states: ['FAILED', 'Late'],
      tags: ['with, comma', 'back\\slash', '007'],
      pools: ['my pool'],
      span: 'between' as const,
      from: '2026-11-01T00:00:00Z',
      to: '2026-11-02T00:00:00Z',
      sort: 'NAME_ASC' as const,
    };
    expect(of(params(filter).toString())).toEqual(filter);
  });

  it('says nothing in the address where it is as by default', () => {
    expect(params(of('')).toString()).toBe('');
    expect(narrows(of('sort=NAME_ASC'))).toBe(false);
    expect(narrows(of('state=FAILED'))).toBe(true);
  });

  it('falls back where the address makes no sense', () => {
    expect(of('time=constructor&sort=up')).toEqual(of(''));
    expect(asked(of('time=between&from=soon'), now).flow_runs).toEqual({});
  });

  it('takes runs of either when types and names of states are picked', () => {
    expect(asked(of('state=FAILED,Late'), now).flow_runs.state).toEqual({
      operator: 'or_',
      type: { any_: ['FAILED'] },
      name: { any_: ['Late'] },
    });
  });

  it('reaches back from now', () => {
    expect(asked(of('time=hour'), now).flow_runs.start_time).toEqual({
      after_: '2026-11-24T11:00:00.000Z',
      before_: '2026-11-24T12:00:00.000Z',
    });
    expect(asked(of('time=any'), now).flow_runs.start_time).toBeUndefined();
  });
});
