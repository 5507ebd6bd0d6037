/** The live tail of a run: server-sent events by `fetch`, which can send the sign-in along. */

import { createParser } from 'eventsource-parser';

import type { Line } from './line';

/** `connecting` for the first time; `live`; `stale`: the connection is lost and is being made anew; `ended`:
 * nothing is followed any more. */
export type FollowState = 'connecting' | 'live' | 'stale' | 'ended';

interface Options {
  /** Without the `last_event_id`. */
  url: string;
  headers: () => Record<string, string>;
  fetch?: typeof fetch;
  /** Lines as they are committed; after a break some may come again. */
  lines: (lines: Line[]) => void;
  /** A connection is made, or lines were left out of it: what is known must be compared with the server. */
  compare: () => void;
  state: (state: FollowState) => void;
  /** The server refused; true to try again. */
  refused: (response: Response) => boolean;
  /** Waits before a new attempt; a test does not wait. */
  wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

const FIRST_WAIT = 400;
const LONGEST_WAIT = 10_000;
// The server says something every 15 s.
const SILENCE = 40_000;

export class Follower {
  #options: Options;
  #stopped = new AbortController();
  #lastId: string | undefined;
  #attempts = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Follow until `stop`. */
  async run(): Promise<void> {
    const { state, wait = pause } = this.#options;
    state('connecting');
    while (!this.#stopped.signal.aborted) {
      const goOn = await this.#once();
      if (this.#stopped.signal.aborted || !goOn) break;
      state('stale');
      const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#attempts);
      this.#attempts += 1;
      // Not all readers at the same moment when a server comes back.
      await wait(longest * (0.5 + Math.random() / 2), this.#stopped.signal);
    }
    state('ended');
  }

  stop() {
    this.#stopped.abort();
  }

  /** One connection, to its end; false when there is to be no other. */
  async #once(): Promise<boolean> {
    const { url, headers, lines, compare, state, refused } = this.#options;
    const ask = this.#options.fetch ?? fetch;
    const connection = new AbortController();
    const stop = () => connection.abort();
    this.#stopped.signal.addEventListener('abort', stop);
    let silence = setTimeout(stop, SILENCE);
    try {
      const response = await ask(url, {
        headers: {
          ...headers(),
          Accept: 'text/event-stream',
          ...(this.#lastId ? { 'Last-Event-ID': this.#lastId } : {}),
        },
        signal: connection.signal,
        cache: 'no-store',
      });
      if (!response.ok || !response.body) {
        // A place that this server does not know: begin anew, what was missed is found by comparing.
        if (response.status === 422 && this.#lastId) {
          this.#lastId = undefined;
          return true;
        }
        return refused(response);
      }
      this.#attempts = 0;
      state('live');
      compare();
      const parser = createParser({
        onEvent: (event) => {
          if (event.id) this.#lastId = event.id;
          if (event.event === 'lines') lines(JSON.parse(event.data) as Line[]);
          if (event.event === 'lagged') compare();
        },
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return true;
        clearTimeout(silence);
        silence = setTimeout(stop, SILENCE);
        parser.feed(value);
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      return true;
    } finally {
      clearTimeout(silence);
      this.#stopped.signal.removeEventListener('abort', stop);
      connection.abort();
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
