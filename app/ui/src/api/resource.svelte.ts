/** Something read from the API for as long as a component shows it, kept fresh. */

import { ApiError } from './client';
import { connection } from './connection.svelte';

interface Options {
  /** Read again after so many milliseconds, while the page is visible; never when absent. May be a getter. */
  readonly every?: number;
}

/**
 * What `load` gives, and how that went:
 *
 *     const run = resource(() => read(api.GET('/api/flow_runs/{id}', …id…)), { every: 5000 });
 *     {#if run.data} … {:else if run.error} … {:else} loading
 *
 * Made in a component's script. It reads again when a rune that `load` reads (before its first await)
 * changes; the old data stays until the new is there. An answer that was overtaken is dropped.
 */
export class Resource<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<ApiError | undefined>(undefined);
  loading = $state(true);
  /** When `data` was read. */
  readAt = $state<Date | undefined>(undefined);

  #load: (signal: AbortSignal) => Promise<T>;
  #asking: AbortController | undefined;

  constructor(load: (signal: AbortSignal) => Promise<T>, options: Options = {}) {
    this.#load = load;
    $effect(() => {
      void connection.restored; // Read anew after the server was away.
      void this.refresh();
      return () => this.#asking?.abort();
    });
    $effect(() => {
      const every = options.every;
      if (!every) return;
      const timer = setInterval(() => {
        if (document.visibilityState === 'visible' && !this.loading && !connection.lostSince)
          void this.refresh();
      }, every);
      return () => clearInterval(timer);
    });
  }

  /** Read it now. */
  async refresh(): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.loading = true;
    try {
      const data = await this.#load(asking.signal);
      if (asking.signal.aborted) return;
      this.data = data;
      this.error = undefined;
      this.readAt = new Date();
    } catch (error) {
      if (asking.signal.aborted) return;
      this.error =
        error instanceof ApiError ? error : new ApiError(`This page has a defect: ${error}`, 0);
      if (!(error instanceof ApiError)) console.error(error);
    }
    this.loading = false;
  }
}

export function resource<T>(
  load: (signal: AbortSignal) => Promise<T>,
  options?: Options,
): Resource<T> {
  return new Resource(load, options);
}
