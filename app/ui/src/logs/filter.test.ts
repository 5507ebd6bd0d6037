import { expect, it } from 'vitest';

import { byName, filterBody, formatLevels, LEVELS, levelsOf, named, parseLevels } from './filter';

it('levels are in an address as they are chosen', () => {
  for (const text of ['', '30', '30-39', '-19', '-19,40-49', '20-29,50'])
    expect(formatLevels(parseLevels(text))).toBe(text);
  for (const text of ['nonsense', '-', '30,', '30,x']) expect(parseLevels(text)).toEqual([]);
});

it('any set of levels can be chosen, and all of them are no filter', () => {
  const of = (...names: string[]) => LEVELS.filter(({ name }) => names.includes(name));
  expect(formatLevels(levelsOf(of('warning', 'error', 'critical')))).toBe('30');
  expect(formatLevels(levelsOf(of('debug', 'error')))).toBe('-19,40-49');
  expect(levelsOf([...LEVELS])).toEqual([]);
  expect(named(parseLevels('-19,40-49'))).toEqual(of('debug', 'error'));
  expect(named([])).toEqual([...LEVELS]);
});

it('a set with a gap goes to the API as the numbers it has, at most 50 of them', () => {
  const { level } = filterBody({ levels: parseLevels('20-29,50') });
  expect(level).toEqual({
    any_: [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59],
  });
  for (const left of LEVELS.slice(1, -1)) {
    const rest = levelsOf(LEVELS.filter((each) => each !== left));
    expect((filterBody({ levels: rest }).level as { any_: number[] }).any_).toHaveLength(50);
  }
});

it('a filter has only what is asked for', () => {
  expect(filterBody({})).toEqual({});
  expect(filterBody({ levels: [{ from: 30 }], text: 'boom', taskRunId: 'x' })).toEqual({
    level: { ge_: 30 },
    text: { query: 'boom' },
    task_run_id: { any_: ['x'] },
  });
});

it('counts of levels between the named ones belong to the lower name', () => {
  expect(byName({ 20: 5, 25: 2, 10: 1 })).toEqual({ info: 7, debug: 1 });
});
