import { expect, it } from 'vitest';

import type { ApiError } from '../../api/client';
import { problemsOf } from './problems';

it.each([
  [['schedule', 'cron'], '`schedule.cron` is no cron string', 'cron', 'Is no cron string'],
  [['limit'], 'Expected `int` >= 0', 'limit', 'Must be at least 0.'],
  [
    ['name'],
    "Expected `str` matching regex '^[^/%&><]+$'",
    'name',
    'Must not be empty, nor contain any of / % & < and >.',
  ],
])('a complaint about %j is told beside its field', (path, message, field, words) => {
  const refused = { fields: [{ path, message }] } as unknown as ApiError;
  expect([...problemsOf(refused)]).toEqual([[field, words]]);
});
