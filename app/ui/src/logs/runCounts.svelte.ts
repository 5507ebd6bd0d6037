/** How many lines of each level a run has, and where they lie: read after the first lines. */

import { api, read } from '../api/client';
import { resource } from '../api/resource.svelte';
import type { Asked } from './asked.svelte';
import { bands, bucketSeconds, type Band } from './density';
import { byName, filterBody, regexBody } from './filter';

const EVERY_MILLISECONDS = 5000;

interface Given {
  flowRunId: string;
  asked: Asked;
  /** The first lines have the server and the connection to themselves. */
  begun: boolean;
  /** The run goes on: what it had is counted again. */
  grows: boolean;
  /** When a line came, in milliseconds since 1970. */
  grewAt: number;
}

/** Made in a component's script; `given` may have getters. */
export function runCounts(given: Given) {
  const counts = resource(async (signal) => {
    if (!given.begun) return undefined;
    const { flowRunId, asked } = given;
    const counted = await read(
      api.POST('/api/tailrace/logs/counts', {
        body: {
          logs: { flow_run_id: { any_: [flowRunId] }, ...filterBody(asked.narrow) },
          ...regexBody(asked.narrow),
          limit: 1,
        },
        signal,
      }),
    );
    return { lines: counted.lines, levels: byName(counted.runs[0]?.levels ?? {}) };
  });

  const strip = resource(async (signal): Promise<Band[]> => {
    if (!given.begun) return [];
    const filter = given.asked.filter;
    const body = { flow_run_id: given.flowRunId, ...filterBody(filter), ...regexBody(filter) };
    const ends = (direction: 'forward' | 'backward') =>
      read(api.POST('/api/tailrace/logs', { body: { ...body, direction, limit: 1 }, signal }));
    const [first, last] = await Promise.all([ends('forward'), ends('backward')]);
    const [begin, end] = [first.lines[0]?.timestamp, last.lines[0]?.timestamp];
    if (!begin || !end) return [];
    // A millisecond more than the last line, which is before the end then.
    const until = Date.parse(end) + 1;
    const histogram = await read(
      api.POST('/api/tailrace/logs/histogram', {
        body: {
          start: begin,
          end: new Date(until).toISOString(),
          bucket_seconds: bucketSeconds((until - Date.parse(begin)) / 1000),
          logs: { flow_run_id: { any_: [given.flowRunId] }, ...filterBody(filter) },
          ...regexBody(filter),
        },
        signal,
      }),
    );
    return bands(histogram);
  });

  $effect(() => {
    if (!given.grows) return;
    let grewAt = 0;
    const timer = setInterval(() => {
      if (given.grewAt === grewAt || document.visibilityState !== 'visible') return;
      grewAt = given.grewAt;
      void counts.refresh();
      void strip.refresh();
    }, EVERY_MILLISECONDS);
    return () => clearInterval(timer);
  });

  return { counts, strip };
}
