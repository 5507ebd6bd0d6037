/** Which runs are listed, in which order: as the address says it, and as the API is asked. */

export type Sort =
  | 'START_TIME_DESC'
  | 'START_TIME_ASC'
  | 'END_TIME_DESC'
  | 'EXPECTED_START_TIME_DESC'
  | 'NAME_ASC'
  | 'NAME_DESC';

export const SORTS: { value: Sort; label: string }[] = [
  { value: 'START_TIME_DESC', label: 'Newest first' },
  { value: 'START_TIME_ASC', label: 'Oldest first' },
  { value: 'END_TIME_DESC', label: 'Ended last' },
  { value: 'EXPECTED_START_TIME_DESC', label: 'Expected last' },
  { value: 'NAME_ASC', label: 'Name, A to Z' },
  { value: 'NAME_DESC', label: 'Name, Z to A' },
];

/** A span by name, in seconds before now; without seconds it has no beginning. */
export const SPANS = {
  hour: { label: 'Last hour', seconds: 3600 },
  day: { label: 'Last 24 hours', seconds: 86_400 },
  week: { label: 'Last 7 days', seconds: 7 * 86_400 },
  month: { label: 'Last 30 days', seconds: 30 * 86_400 },
  past: { label: 'Up to now', seconds: undefined },
  next: { label: 'Upcoming', seconds: undefined },
  any: { label: 'Any time', seconds: undefined },
  between: { label: 'Between…', seconds: undefined },
} as const;

export type Span = keyof typeof SPANS;

export interface Filter {
  /** Within the name. */
  text: string;
  /** Types in capitals (`FAILED`), names as they are (`Late`). */
  states: string[];
  flows: string[];
  deployments: string[];
  tags: string[];
  pools: string[];
  span: Span;
  /** ISO 8601; for the span `between`. */
  from: string;
  to: string;
  sort: Sort;
}

export const STATE_TYPES = [
  'SCHEDULED',
  'PENDING',
  'RUNNING',
  'PAUSED',
  'CANCELLING',
  'COMPLETED',
  'FAILED',
  'CRASHED',
  'CANCELLED',
] as const;

type StateType = (typeof STATE_TYPES)[number];

export const STATE_NAMES = [
  'Late',
  'AwaitingRetry',
  'Retrying',
  'Resuming',
  'Suspended',
  'AwaitingConcurrencySlot',
  'TimedOut',
  'Cached',
  'RolledBack',
];

const isType = (state: string): state is StateType => STATE_TYPES.some((each) => each === state);

/** What a filter's parts are called in the address. */
export const PARAMS = [
  'q',
  'state',
  'flow',
  'deployment',
  'tag',
  'pool',
  'time',
  'from',
  'to',
  'sort',
] as const;

type Param = (typeof PARAMS)[number];

/** The filter that an address says; what it does not say, or says wrongly, is as it is by default. */
export function parsed(params: URLSearchParams): Filter {
  const list = (name: Param) => params.getAll(name).flatMap(split);
  const span = params.get('time') ?? 'past';
  const sort = SORTS.find((each) => each.value === params.get('sort'));
  return {
    text: params.get('q') ?? '',
    states: list('state'),
    flows: list('flow'),
    deployments: list('deployment'),
    tags: list('tag'),
    pools: list('pool'),
    span: Object.hasOwn(SPANS, span) ? (span as Span) : 'past',
    from: params.get('from') ?? '',
    to: params.get('to') ?? '',
    sort: sort?.value ?? 'START_TIME_DESC',
  };
}

/** A filter as an address says it, without what is as it is by default. */
export function params(filter: Filter): URLSearchParams {
  const between = filter.span === 'between';
  const parts: [Param, string][] = [
    ['q', filter.text],
    ['state', join(filter.states)],
    ['flow', join(filter.flows)],
    ['deployment', join(filter.deployments)],
    ['tag', join(filter.tags)],
    ['pool', join(filter.pools)],
    ['time', filter.span === 'past' ? '' : filter.span],
    ['from', between ? filter.from : ''],
    ['to', between ? filter.to : ''],
    ['sort', filter.sort === 'START_TIME_DESC' ? '' : filter.sort],
  ];
  return new URLSearchParams(parts.filter(([, value]) => value));
}

// One parameter holds a whole list: the router keeps the last of several by one name when it goes back.
const join = (values: string[]) =>
  values.map((value) => value.replaceAll('\\', '\\\\').replaceAll(',', '\\,')).join(',');

function split(text: string): string[] {
  const found = text.match(/(?:[^,\\]|\\.)+/g) ?? [];
  return found.map((value) => value.replaceAll(/\\(.)/g, '$1'));
}

/** What `POST /api/flow_runs/filter` and its kin are asked. */
export function asked(filter: Filter, now: Date) {
  const types = filter.states.filter(isType);
  const names = filter.states.filter((state) => !isType(state));
  const state = {
    // Of both kinds, either will do.
    operator: types.length && names.length ? ('or_' as const) : ('and_' as const),
    ...(types.length ? { type: { any_: types } } : {}),
    ...(names.length ? { name: { any_: names } } : {}),
  };
  const time = bounds(filter, now);
  return {
    flow_runs: {
      ...(filter.text ? { name: { like_: filter.text } } : {}),
      ...(filter.tags.length ? { tags: { all_: filter.tags } } : {}),
      ...(filter.states.length ? { state } : {}),
      ...(time ? { start_time: time } : {}),
    },
    ...(filter.flows.length ? { flows: { id: { any_: filter.flows } } } : {}),
    ...(filter.deployments.length ? { deployments: { id: { any_: filter.deployments } } } : {}),
    ...(filter.pools.length ? { work_pools: { name: { any_: filter.pools } } } : {}),
    sort: filter.sort,
  };
}

function bounds(filter: Filter, now: Date): { after_?: string; before_?: string } | undefined {
  const { span } = filter;
  if (span === 'any') return undefined;
  if (span === 'between') {
    const bounds = {
      ...(isTime(filter.from) ? { after_: filter.from } : {}),
      ...(isTime(filter.to) ? { before_: filter.to } : {}),
    };
    return Object.keys(bounds).length ? bounds : undefined;
  }
  const at = now.toISOString();
  if (span === 'next') return { after_: at };
  const { seconds } = SPANS[span];
  return {
    before_: at,
    ...(seconds ? { after_: new Date(now.getTime() - seconds * 1000).toISOString() } : {}),
  };
}

const isTime = (text: string) => !Number.isNaN(Date.parse(text));

/** Whether a filter leaves anything out that the bare page shows. */
export const narrows = (filter: Filter): boolean => {
  const said = params(filter);
  said.delete('sort');
  return said.size > 0;
};
