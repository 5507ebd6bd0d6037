/**
 * The runs that a filter finds, read on as somebody scrolls. What is listed stays in its place: a refresh
 * writes the rows in sight anew and counts the runs that came before the first, no more.
 */
import { untrack } from 'svelte';

import { ApiError } from '../../api/client';
import type { FlowRun } from '../../parts/flowRuns';
import { type Filter, params } from './filter';
import { type Count, pageOf, runsById } from './read';

const REFRESH_MILLISECONDS = 4000;

export class RunList {
  rows = $state.raw<FlowRun[]>([]);
  /** Whether all of them are listed. */
  complete = $state(false);
  /** Nothing of this filter has been read yet. */
  waiting = $state(true);
  error = $state.raw<ApiError | undefined>();
  readAt = $state.raw<Date | undefined>();
  count = $state.raw<Count | undefined>();
  /** Runs that came since the list was read, at least. */
  newer = $state(0);

  readonly #filter: () => Filter;
  readonly #inSight: () => string[];
  #next: string | null = null;
  // Of all pages of the list: a run that begins meanwhile belongs to the next reading.
  #at = new Date();
  #asking = new AbortController();
  #reading: Promise<void> | undefined;

  /** `inSight` gives the ids of the rows that are shown now. Made in a component's script. */
  constructor(filter: () => Filter, inSight: () => string[]) {
    this.#filter = filter;
    this.#inSight = inSight;
    const address = $derived(params(filter()).toString());
    $effect(() => {
      void address;
      untrack(() => {
        this.rows = [];
        this.waiting = true;
        this.count = undefined;
        void this.reload();
      });
    });
    $effect(() => {
      const timer = setInterval(() => {
        if (document.visibilityState === 'visible') void this.refresh();
      }, REFRESH_MILLISECONDS);
      return () => {
        clearInterval(timer);
        this.#asking.abort();
      };
    });
  }

  /** Read the list from its beginning. */
  async reload(): Promise<void> {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#reading = undefined;
    const filter = this.#filter();
    await this.#try(signal, async () => {
      this.#at = new Date();
      const page = await pageOf(filter, this.#at, null, signal);
      if (signal.aborted) return;
      this.rows = page.runs;
      this.#next = page.next;
      this.complete = page.next === null;
      this.newer = 0;
      this.count = page.count ?? undefined;
    });
    if (!signal.aborted) this.waiting = false;
  }

  /** Read the next page, if there is one. */
  more(): void {
    if (this.complete || this.waiting || this.error || !this.#next) return;
    const { signal } = this.#asking;
    const after = this.#next;
    this.#reading ??= this.#try(signal, async () => {
      const page = await pageOf(this.#filter(), this.#at, after, signal);
      if (signal.aborted) return;
      const known = new Set(this.rows.map((run) => run.id));
      this.rows = [...this.rows, ...page.runs.filter((run) => !known.has(run.id))];
      this.#next = page.next;
      this.complete = page.next === null;
    }).finally(() => (this.#reading = undefined));
  }

  /** Bring the rows in sight up to date where they are, and count what is new. */
  async refresh(): Promise<void> {
    const { signal } = this.#asking;
    const filter = this.#filter();
    if (this.waiting) return;
    if (!this.rows.length || this.error) return this.reload();
    await this.#try(signal, async () => {
      const [fresh, first] = await Promise.all([
        runsById(this.#inSight(), signal),
        filter.sort === 'START_TIME_DESC'
          ? pageOf(filter, new Date(), null, signal, 50)
          : undefined,
      ]);
      if (signal.aborted) return;
      this.update(fresh);
      const known = new Set(this.rows.map((run) => run.id));
      this.newer = first?.runs.filter((run) => !known.has(run.id)).length ?? 0;
    });
  }

  /** Write these rows anew where they are listed. */
  update(fresh: FlowRun[]) {
    const byId = new Map(fresh.map((run) => [run.id, run]));
    this.rows = this.rows.map((run) => byId.get(run.id) ?? run);
  }

  /** Take rows out of the list: they are gone. */
  drop(ids: Set<string>) {
    this.rows = this.rows.filter((run) => !ids.has(run.id));
  }

  async #try(signal: AbortSignal, act: () => Promise<void>) {
    try {
      await act();
      if (signal.aborted) return;
      this.error = undefined;
      this.readAt = new Date();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.error = error;
    }
  }
}
