/** What of the log view is in the page's address. */

import { searchParams } from 'sv-router';

import { formatLevels, parseLevels, type Levels } from './filter';
import type { Query } from './find.svelte';
import type { TimeShown } from './times';

const NAMES = ['line', 'level', 'text', 'regex', 'only', 'task', 'wrap', 'time'] as const;
type Name = (typeof NAMES)[number];

/** The text as it stands there: the router would make a number of `007`. */
export const given = (name: Name): string | null => searchParams.toURLSearchParams().get(name);

/** Put it there; null takes it away. Going back leads out of the logs, not through their filters. */
export function put(name: Name, value: string | null) {
  if (value === given(name)) return;
  if (value === null || value === '') searchParams.delete(name, undefined, { replace: true });
  else searchParams.set(name, value, { replace: true });
}

export const givenLevels = () => parseLevels(given('level'));
export const putLevels = (levels: Levels) => put('level', formatLevels(levels));

export function givenQuery(): Query | undefined {
  const regex = given('regex');
  if (regex) return { kind: 'regex', value: regex };
  const text = given('text');
  return text?.trim() ? { kind: 'text', value: text } : undefined;
}

export function putQuery(query: Query | undefined) {
  put('regex', query?.kind === 'regex' ? query.value : null);
  put('text', query?.kind === 'text' ? query.value : null);
}

export function givenTime(otherwise: TimeShown): TimeShown {
  const time = given('time');
  return time === 'local' || time === 'utc' || time === 'relative' ? time : otherwise;
}

/** The address of this page at a line. */
export function linkTo(line: string): string {
  const url = new URL(location.href);
  url.searchParams.set('line', line);
  return url.href;
}
