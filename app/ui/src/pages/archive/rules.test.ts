import { expect, it } from 'vitest';

import { fits, keeps, NEW_RULE, parsed } from './rules';

it('a rule says which runs it fits and how long it keeps their lines', () => {
  const rule = {
    ...NEW_RULE,
    deployments: ['etl/nightly', 'etl/hourly'],
    tags: ['pci', 'eu'],
    days: 90,
    below: [{ level: 20, days: 7 }],
  };
  expect(fits(rule)).toBe('Runs of deployment etl/nightly or etl/hourly, with all tags pci and eu');
  expect(keeps(rule)).toBe('90 days; lines below INFO 7 days');
  expect(fits(NEW_RULE)).toBe('Every run, and lines outside any run');
  expect(keeps({ ...NEW_RULE, days: null })).toBe('for good');
});

it('names are separated by commas', () => {
  expect(parsed(' a, b,,a ')).toEqual(['a', 'b']);
});
