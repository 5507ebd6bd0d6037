/** The search in a run: match after match, over all its lines. */

import { api, ApiError, read } from '../api/client';
import { filterBody, regexBody, type LineFilter } from './filter';
import { cursorOf, keyOf, type Line } from './line';
import { search } from './search';

/** What is looked for; the server knows what matches. */
export interface Query {
  kind: 'text' | 'regex';
  value: string;
}

export class Find {
  /** Lines that match, when that is known. */
  matches = $state<number | undefined>(undefined);
  /** Which of them the search stands at, from 1 on. */
  ordinal = $state<number | undefined>(undefined);
  /** The line that the search stands at. */
  line = $state<string | undefined>(undefined);
  busy = $state(false);
  /** Of the rows that may match, the part that was looked at. */
  progress = $state(0);
  error = $state<string | undefined>(undefined);
  /** The search went on from the other end. */
  around = $state(false);
  #asking: AbortController | undefined;
  #counting: AbortController | undefined;

  constructor(
    readonly flowRunId: string,
    readonly filter: LineFilter,
    readonly query: Query,
  ) {}

  /** Count what matches. */
  async count(): Promise<void> {
    this.#counting = new AbortController();
    try {
      const counted = await read(
        api.POST('/api/tailrace/logs/counts', {
          body: { ...this.#lines(), limit: 1 },
          signal: this.#counting.signal,
        }),
      );
      this.matches = counted.lines;
    } catch (error) {
      // Without a count the search works all the same.
      if (!(error instanceof ApiError || isAbort(error))) throw error;
    }
  }

  /** The next match after a line, or the previous one before it; from the other end when there is none.
   * With `here` the line itself counts. */
  async step(
    from: Line | undefined,
    direction: 'next' | 'previous',
    here = false,
  ): Promise<Line | undefined> {
    this.cancel();
    const asking = new AbortController();
    this.#asking = asking;
    this.busy = true;
    this.error = undefined;
    this.around = false;
    this.progress = 0;
    try {
      let found = await this.#first(from, direction, here, asking.signal);
      if (!found && from) {
        found = await this.#first(undefined, direction, false, asking.signal);
        this.around = found !== undefined;
      }
      this.line = found?.id;
      this.ordinal = undefined;
      if (!found && this.matches === undefined) this.matches = 0;
      if (found) void this.#place(found.id, asking.signal);
      return found;
    } catch (error) {
      if (isAbort(error)) return undefined;
      this.error = error instanceof Error ? error.message : String(error);
      return undefined;
    } finally {
      if (this.#asking === asking) this.busy = false;
    }
  }

  /** Stop looking. */
  cancel() {
    this.#asking?.abort();
    this.busy = false;
  }

  close() {
    this.cancel();
    this.#counting?.abort();
  }

  async #first(
    from: Line | undefined,
    direction: 'next' | 'previous',
    here: boolean,
    signal: AbortSignal,
  ): Promise<Line | undefined> {
    let cursor: string | undefined;
    if (from) {
      const key = keyOf(from);
      const step = direction === 'next' ? -1n : 1n;
      cursor = cursorOf(here ? { ...key, seq: key.seq + step } : key);
    }
    const body = {
      ...this.#lines(),
      order: direction === 'next' ? ('oldest' as const) : ('newest' as const),
      limit: 1,
      ...(cursor ? { cursor } : {}),
    };
    for await (const step of search(body, signal)) {
      if (step.rows) this.progress = step.rows_read / step.rows;
      const line = step.lines[0];
      if (line) return line;
    }
    return undefined;
  }

  /** Which of all matches a line is. */
  async #place(id: string, signal: AbortSignal) {
    const filter = this.#filter();
    try {
      const page = await read(
        api.POST('/api/tailrace/logs', {
          body: {
            flow_run_id: this.flowRunId,
            ...filterBody(filter),
            ...regexBody(filter),
            around_line: id,
            limit: 1,
            offset: true,
          },
          signal,
        }),
      );
      if (page.offset !== null && page.offset !== undefined) this.ordinal = page.offset + 1;
    } catch (error) {
      // Nice to know, not needed.
      if (!(error instanceof ApiError || isAbort(error))) throw error;
    }
  }

  /** The filter of the lines that match. */
  #filter(): LineFilter {
    return { ...this.filter, [this.query.kind]: this.query.value };
  }

  #lines() {
    const filter = this.#filter();
    return {
      logs: { flow_run_id: { any_: [this.flowRunId] }, ...filterBody(filter) },
      ...regexBody(filter),
    };
  }
}

const isAbort = (error: unknown) => error instanceof DOMException && error.name === 'AbortError';
