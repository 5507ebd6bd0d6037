import { describe, expect, it } from 'vitest';

import { format, linesBody, parse, rangeAt, searchBody } from './filters';

const of = (address: string) => parse(new URLSearchParams(address));

describe('an address', () => {
  it.each([
    '',
    'q=declined+-retry&level=40&last=7d',
    'regex=%5Ea.*b%24&level=30-39&last=all&flow=1%2C2&deployment=3&run=4&logger=app.db%2Ca%252Cb',
    'from=2026-11-24T10%3A00%3A00.000Z&to=2026-11-24T11%3A00%3A00.000Z',
  ])('%s says the filters and is said by them', (address) => {
    expect(format(of(address)).toString()).toBe(address);
  });

  it('means the last day when it says no time, and no time that is none', () => {
    expect(of('').last).toBe('24h');
    expect(of('from=yesterday').last).toBe('24h');
    expect(of('last=3w').last).toBe('24h');
  });

  it('keeps a number that is looked for as it is written', () => {
    expect(of('q=007').text).toBe('007');
  });
});

describe('a range', () => {
  const now = Date.parse('2026-11-24T12:00:00Z');

  it('goes back from now', () => {
    expect(rangeAt(of('last=1h'), now)).toEqual({ start: now - 3_600_000, end: undefined });
    expect(rangeAt(of('last=all'), now)).toEqual({ start: undefined, end: undefined });
  });

  it('ends before its end', () => {
    const filters = of('from=2026-11-24T10:00:00Z&to=2026-11-24T11:00:00Z');
    expect(linesBody(filters, rangeAt(filters, now)).logs.timestamp).toEqual({
      after_: '2026-11-24T10:00:00.000Z',
      before_: '2026-11-24T10:59:59.999999Z',
    });
  });
});

describe('a search', () => {
  it('asks for a text in the filter, and for an expression beside it', () => {
    const range = { start: undefined, end: undefined };
    expect(searchBody(of('q=boom'), range, 5, null).logs).toEqual({ text: { query: 'boom' } });
    const regex = searchBody(of('regex=bo%2Bm&flow=1'), range, 5, 'c');
    expect(regex).toMatchObject({ regex: 'bo+m', flow_ids: ['1'], cursor: 'c', logs: {} });
  });

  it('is counted by all of its filters, but in all levels where one says so', () => {
    const filters = of('regex=bo%2Bm&level=40&logger=app&deployment=3&run=4');
    const rest = { regex: 'bo+m', logger: ['app'], deployment_ids: ['3'] };
    const run = { flow_run_id: { any_: ['4'] } };
    expect(linesBody(filters)).toEqual({ ...rest, logs: { ...run, level: { ge_: 40 } } });
    expect(linesBody(filters, undefined, false)).toEqual({ ...rest, logs: run });
  });
});
