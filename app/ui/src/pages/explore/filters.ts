/** What is looked for across all runs, as it stands in the address, and as the API takes it. */

import { formatLevels, filterBody, parseLevels, type Levels } from '../../logs/filter';
import type { SearchBody } from '../../logs/search';

export interface Filters {
  text: string;
  /** `text` is a regular expression. */
  regex: boolean;
  /** None for all. */
  levels: Levels;
  /** A span before now (`24h`), `all`, or '' when `from` and `to` hold. */
  last: string;
  /** ISO times; '' for none. */
  from: string;
  to: string;
  flows: string[];
  deployments: string[];
  runs: string[];
  loggers: string[];
}

/** From `start` until before `end`, in milliseconds since 1970. */
export interface Range {
  /** Undefined: from the oldest line on. */
  start: number | undefined;
  end: number | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const SPANS: { name: string; says: string; milliseconds: number | undefined }[] = [
  { name: '15m', says: 'Last 15 minutes', milliseconds: 15 * MINUTE },
  { name: '1h', says: 'Last hour', milliseconds: HOUR },
  { name: '6h', says: 'Last 6 hours', milliseconds: 6 * HOUR },
  { name: '24h', says: 'Last 24 hours', milliseconds: DAY },
  { name: '7d', says: 'Last 7 days', milliseconds: 7 * DAY },
  { name: '30d', says: 'Last 30 days', milliseconds: 30 * DAY },
  { name: 'all', says: 'All time', milliseconds: undefined },
];
export const USUAL_SPAN = '24h';

const LISTS = ['flow', 'deployment', 'run', 'logger'] as const;

/** The filters of an address. */
export function parse(address: URLSearchParams): Filters {
  const regex = address.get('regex');
  const from = time(address.get('from'));
  const to = time(address.get('to'));
  const last = SPANS.find((each) => each.name === address.get('last'))?.name;
  const [flows, deployments, runs, loggers] = LISTS.map((name) =>
    (address.get(name) ?? '').split(',').filter(Boolean).map(decoded),
  ) as [string[], string[], string[], string[]];
  return {
    text: regex ?? address.get('q') ?? '',
    regex: regex !== null,
    levels: parseLevels(address.get('level')),
    last: from || to ? '' : (last ?? USUAL_SPAN),
    from,
    to,
    flows,
    deployments,
    runs,
    loggers,
  };
}

// The router keeps one value of a name, so a list is one value.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const time = (text: string | null) =>
  text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : '';

/** The other way round; what is usual is left out. */
export function format(filters: Filters): URLSearchParams {
  const address = new URLSearchParams();
  const text = filters.text.trim();
  if (text) address.set(filters.regex ? 'regex' : 'q', text);
  const levels = formatLevels(filters.levels);
  if (levels) address.set('level', levels);
  if (filters.last && filters.last !== USUAL_SPAN) address.set('last', filters.last);
  if (!filters.last && filters.from) address.set('from', filters.from);
  if (!filters.last && filters.to) address.set('to', filters.to);
  const lists = [filters.flows, filters.deployments, filters.runs, filters.loggers];
  LISTS.forEach((name, index) => {
    if (lists[index]?.length) address.set(name, lists[index].map(encodeURIComponent).join(','));
  });
  return address;
}

/** The range that is meant at a moment, in milliseconds since 1970. */
export function rangeAt(filters: Filters, now: number): Range {
  if (!filters.last)
    return {
      start: filters.from ? Date.parse(filters.from) : undefined,
      end: filters.to ? Date.parse(filters.to) : undefined,
    };
  const span = SPANS.find((each) => each.name === filters.last)?.milliseconds;
  return { start: span === undefined ? undefined : now - span, end: undefined };
}

/** What of the filters the API calls `logs`; without the levels when `levels` is false. */
function logsBody(filters: Filters, range: Range | undefined, levels: boolean) {
  const text = filters.regex ? '' : filters.text.trim();
  const timestamp = range && {
    ...(range.start !== undefined ? { after_: new Date(range.start).toISOString() } : {}),
    // Up to and with, where a range ends before.
    ...(range.end !== undefined
      ? { before_: new Date(range.end - 1).toISOString().replace('Z', '999Z') }
      : {}),
  };
  return {
    ...filterBody({ ...(levels ? { levels: filters.levels } : {}), text }),
    ...(timestamp && Object.keys(timestamp).length ? { timestamp } : {}),
    ...(filters.runs.length ? { flow_run_id: { any_: filters.runs } } : {}),
  };
}

/**
 * The filters as searches, counts and downloads take them; without a range where the question has its
 * own, and without the levels when `levels` is false.
 */
export function linesBody(filters: Filters, range?: Range, levels = true) {
  const regex = filters.regex ? filters.text.trim() : '';
  return {
    logs: logsBody(filters, range, levels),
    ...(regex ? { regex } : {}),
    ...(filters.loggers.length ? { logger: filters.loggers } : {}),
    ...(filters.flows.length ? { flow_ids: filters.flows } : {}),
    ...(filters.deployments.length ? { deployment_ids: filters.deployments } : {}),
  };
}

/** The body of a search. */
export function searchBody(
  filters: Filters,
  range: Range,
  limit: number,
  cursor: string | null,
): SearchBody {
  return {
    ...linesBody(filters, range),
    order: 'newest',
    limit,
    ...(cursor ? { cursor } : {}),
  };
}

/** A list with a value, or without it if it is there. */
export const toggled = (list: string[], value: string) =>
  list.includes(value) ? list.filter((each) => each !== value) : [...list, value];
