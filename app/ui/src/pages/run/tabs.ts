/** The tabs of a run's page, as the address names them. */
export const TABS = [
  ['logs', 'Logs'],
  ['timeline', 'Timeline'],
  ['tasks', 'Task runs'],
  ['subflows', 'Subflow runs'],
  ['states', 'States'],
  ['artifacts', 'Artifacts'],
  ['parameters', 'Parameters'],
  ['details', 'Details'],
] as const;

export type Tab = (typeof TABS)[number][0];

/** The tab of this name; logs for any other. */
export const tabOf = (name: string | null): Tab =>
  TABS.find(([each]) => each === name)?.[0] ?? 'logs';
