/** What somebody may paste or follow: addresses of this UI, those that Prefect prints, bare ids. */

const UUID = '[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}';
const ID = new RegExp(`^${UUID}$`, 'i');

// The Prefect client prints addresses of its own UI: they lead to the same things here.
const OF_PREFECT: [RegExp, (match: RegExpMatchArray) => string][] = [
  [
    new RegExp(`^(?:/v2)?/(?:runs|flow-runs)/flow-run/(${UUID})/?$`, 'i'),
    ([, id]) => `/runs/${id}`,
  ],
  [new RegExp(`^(?:/v2)?/flow-runs/(?:flow-run/)?(${UUID})/?$`, 'i'), ([, id]) => `/runs/${id}`],
  // The page of a run leads on to the run of a task run.
  [
    new RegExp(`^(?:/v2)?/(?:runs|task-runs)/task-run/(${UUID})/?$`, 'i'),
    ([, id]) => `/runs/${id}`,
  ],
  [new RegExp(`^(?:/v2)?/flows/flow/(${UUID})/?$`, 'i'), ([, id]) => `/flows/${id}`],
  [
    new RegExp(`^(?:/v2)?/deployments/deployment/(${UUID})/?$`, 'i'),
    ([, id]) => `/deployments/${id}`,
  ],
  [/^(?:\/v2)?\/work-pools\/work-pool\/([^/]+)\/?/, ([, name]) => `/agents/${name}`],
  [/^(?:\/v2)?\/work-pools\/?$/, () => '/agents'],
  [/^(?:\/v2)?\/dashboard\/?$/, () => '/'],
];

/** Where an address of Prefect's UI leads here; null when it is none that is known. */
export function ofPrefect(pathname: string): string | null {
  for (const [pattern, path] of OF_PREFECT) {
    const match = pathname.match(pattern);
    if (match) return path(match);
  }
  return null;
}

/** The parts of an address that the router takes apart: `/runs/…?line=7#x`. */
export function partsOf(address: string): {
  path: string;
  search: Record<string, string>;
  hash: string;
} {
  const { pathname, searchParams, hash } = new URL(address, 'http://here');
  return { path: pathname, search: Object.fromEntries(searchParams), hash };
}

/** The id that a text is, in lower case; null when it is none. */
export function idIn(text: string): string | null {
  return ID.test(text.trim()) ? text.trim().toLowerCase() : null;
}

/**
 * The path, search and hash here that a pasted address means (a permalink of a line, say); null when the
 * text is none. `http://elsewhere/runs/…` counts too: the same server may have several names.
 */
export function pathIn(text: string): string | null {
  const url = URL.parse(text.trim());
  if (!url || !/^https?:$/.test(url.protocol)) return null;
  const known = /^\/(runs|logs|flows|deployments|agents|archive|sql|jobs|settings)(\/|$)/;
  const path = ofPrefect(url.pathname) ?? (known.test(url.pathname) ? url.pathname : null);
  return path && path + url.search + url.hash;
}
