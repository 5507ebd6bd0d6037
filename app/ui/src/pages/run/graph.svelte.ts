/** The task runs and subflow runs of a run as bars, read anew while the run goes on. */
import { untrack } from 'svelte';

import { ApiError, api, read, type Schema } from '../../api/client';
import { type Bar, merged } from './gantt';

const EVERY_MILLISECONDS = 2500;
// The clocks of the server and of this machine may differ by so much.
const OVERLAP_MILLISECONDS = 10_000;

export class RunGraph {
  /** By id; undefined until they have been read. */
  bars = $state.raw<Map<string, Bar> | undefined>();
  failed = $state.raw<ApiError | undefined>();
  readonly #id: string;
  #readAt: string | undefined;

  /** Made in a component's script. */
  constructor(id: string, live: () => boolean) {
    this.#id = id;
    $effect(() => {
      const again = live();
      const asking = new AbortController();
      untrack(() => void this.look(asking.signal));
      const timer = again
        ? setInterval(() => {
            if (document.visibilityState === 'visible') void this.look(asking.signal);
          }, EVERY_MILLISECONDS)
        : undefined;
      return () => {
        asking.abort();
        clearInterval(timer);
      };
    });
  }

  /** All of it once; after that what has not ended since. */
  async look(signal?: AbortSignal): Promise<void> {
    const asked = new Date(Date.now() - OVERLAP_MILLISECONDS).toISOString();
    try {
      const graph = (await read(
        api.GET('/api/flow_runs/{flow_run_id}/graph-v2', {
          params: {
            path: { flow_run_id: this.#id },
            query: this.#readAt ? { since: this.#readAt } : {},
          },
          ...(signal && { signal }),
        }),
      )) as Schema<'Graph'>;
      if (signal?.aborted) return;
      if (!this.bars || graph.nodes.length) this.bars = merged(this.bars ?? new Map(), graph);
      this.#readAt = asked;
      this.failed = undefined;
    } catch (error) {
      if (!signal?.aborted && error instanceof ApiError) this.failed = error;
    }
  }
}
