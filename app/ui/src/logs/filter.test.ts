import { expect, it } from 'vitest';

import { byName, filterBody, formatLevels, parseLevels } from './filter';

it('levels are in an address as they are chosen', () => {
  for (const levels of [{}, { from: 30 }, { from: 30, to: 39 }, { to: 19 }])
    expect(parseLevels(formatLevels(levels))).toEqual({
      from: undefined,
      to: undefined,
      ...levels,
    });
  expect(parseLevels('nonsense')).toEqual({});
});

it('a filter has only what is asked for', () => {
  expect(filterBody({})).toEqual({});
  expect(filterBody({ from: 30, text: 'boom', taskRunId: 'x' })).toEqual({
    level: { ge_: 30 },
    text: { query: 'boom' },
    task_run_id: { any_: ['x'] },
  });
});

it('counts of levels between the named ones belong to the lower name', () => {
  expect(byName({ 20: 5, 25: 2, 10: 1 })).toEqual({ info: 7, debug: 1 });
});
