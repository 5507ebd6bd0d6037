/** Reading the log of a run: where the reader is, and what they do from there. */

import { tick, untrack } from 'svelte';
import { SvelteSet } from 'svelte/reactivity';

import { ApiError } from '../api/client';
import { count } from '../format/numbers';
import { notices } from '../shell/notices.svelte';
import { preferences } from '../shell/preferences.svelte';
import * as address from './address';
import { plain } from './ansi';
import type { Asked } from './asked.svelte';
import { asText, copy } from './copy';
import { Cursor } from './cursor.svelte';
import { Find } from './find.svelte';
import { folded } from './folding';
import { regexMatcher, textMatcher } from './highlight';
import type { Line } from './line';
import type Rows from './Rows.svelte';
import { RunLines, type Found, type Place } from './runLines.svelte';
import { typedTime } from './times';

const ENDED = ['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'];
// A client posts its last lines after the state that ends its run.
const LATE_MILLISECONDS = 15_000;
const MAX_COPIED = 50_000;
const ERROR = 40;

interface Given {
  flowRunId: string;
  /** The type of the run's state; null or undefined while it is not known. */
  runState: string | null | undefined;
  /** When the run began, in milliseconds since 1970. */
  start: number | undefined;
  asked: Asked;
}

/** Made in a component's script; `given` may have getters. */
export class Reader {
  readonly given: Given;
  rows = $state<ReturnType<typeof Rows>>();
  atEnd = $state(true);
  /** The first and the last row in view. */
  inView = $state.raw<[number, number]>([0, 0]);
  /** Ids of lines that are unfolded. */
  open = new SvelteSet<string>();
  lines: RunLines = $derived.by(() => new RunLines(this.given.flowRunId, this.given.asked.filter));
  find = $derived.by(() => {
    const { levels, taskRunId, query } = this.given.asked;
    return query ? new Find(this.given.flowRunId, { levels, taskRunId }, query) : undefined;
  });
  matcher = $derived.by(() => {
    const query = this.given.asked.query;
    if (!query) return undefined;
    return query.kind === 'text' ? textMatcher(query.value) : regexMatcher(query.value);
  });
  ended = $derived.by(() => ENDED.includes(this.given.runState ?? ''));
  begun = $derived.by(
    () => this.lines.total > 0 || this.lines.counted || this.lines.error !== undefined,
  );
  cursor = new Cursor(
    () => this.lines.total,
    () => this.rows,
    () => this.inView,
  );
  #seen = $state(0);
  #opening = $state(true);
  // Where the reader was when the filter changed, to be there again.
  #place: string | undefined;
  #before: string | undefined;
  #fromStart = false;

  /** Lines that came since the reader left the end. */
  fresh = $derived.by(() => Math.max(0, this.lines.total - this.#seen));

  constructor(given: Given) {
    this.given = given;
    $effect(() => {
      const opened = this.lines;
      untrack(() => void this.#begin(opened));
      return () => {
        if (this.inView[0] > 0 || this.cursor.at !== undefined)
          this.#place = opened.line(this.cursor.at ?? this.inView[0])?.id ?? this.#place;
        opened.close();
      };
    });
    $effect(() => this.#follow());
    $effect(() => {
      if (this.atEnd || this.#opening || !this.lines.counted) this.#seen = this.lines.total;
    });
    // A new search: count, and go to the first match from where the reader is.
    $effect(() => {
      const asked = this.find;
      if (!asked) return;
      untrack(() => {
        void asked.count();
        if (this.given.asked.line === null || !this.#opening) void this.stepMatch('next', true);
      });
      return () => asked.close();
    });
  }

  async #begin(opened: RunLines) {
    const { flowRunId, runState, asked } = this.given;
    this.#opening = true;
    this.cursor.put(undefined);
    this.#seen = 0;
    const wanted = this.#before === flowRunId ? this.#place : (asked.line ?? undefined);
    this.#place = undefined;
    this.#before = flowRunId;
    try {
      if (wanted) await this.goTo({ around_line: wanted }, opened);
      else if (runState && !this.ended) await opened.openEnd();
      else {
        this.#fromStart = true;
        await opened.openStart();
      }
    } catch (error) {
      if (isAbort(error)) return;
      if (error instanceof ApiError && error.status === 422 && wanted) {
        notices.failed('The line of the address', new Error('this run has no such line any more'));
        await opened.openStart();
      } else {
        opened.error = error instanceof ApiError ? error : new ApiError(String(error), 0);
      }
    }
    this.#opening = false;
  }

  /** While a run goes on, and a moment longer, its lines are followed. */
  #follow() {
    const followed = this.lines;
    if (!this.given.runState) return undefined;
    if (!this.ended) {
      untrack(() => {
        followed.startFollowing();
        const elsewhere = this.cursor.at !== undefined || this.inView[0] > 0;
        if (!this.#fromStart || this.given.asked.line !== null || elsewhere) return;
        // It was opened before it was known that the run goes on: the newest lines are wanted.
        this.#fromStart = false;
        void followed
          .openEnd()
          .then(tick)
          .then(() => followed === this.lines && this.toEnd());
      });
      return undefined;
    }
    if (untrack(() => followed.follow) === 'off') return undefined;
    const timer = setTimeout(() => {
      followed.unfollow();
      followed.compare();
    }, LATE_MILLISECONDS);
    return () => clearTimeout(timer);
  }

  /** Show the line at a place, and act on it. */
  async goTo(wanted: Place, among = this.lines): Promise<Found | undefined> {
    const found = await among.find(wanted);
    if (!found) return undefined;
    this.cursor.put(found.index);
    await tick();
    this.rows?.show(found.index, 'middle');
    return found;
  }

  /** The line where the reader is; undefined where there are none. */
  async here(): Promise<Line | undefined> {
    if (!this.lines.total) return undefined;
    const index = this.cursor.at ?? this.inView[0];
    return this.lines.line(index) ?? (await this.lines.range(index, index))[0];
  }

  async stepMatch(direction: 'next' | 'previous', inclusive = false) {
    const asked = this.find;
    if (!asked) return;
    await attempt('The search', async () => {
      // Where lines cannot be read they say why; the search then tells of itself.
      const from = this.lines.error ? undefined : await this.here();
      const line = await asked.step(from, direction, inclusive);
      if (!line || asked !== this.find) return;
      if (this.#hidden(line)) this.open.add(line.id);
      await this.goTo({ around_line: line.id });
    });
  }

  /** Whether what was found of a line is folded away. */
  #hidden(line: Line): boolean {
    const fold = folded(line.message);
    if (!fold || fold.json) return false;
    return !this.matcher?.(plain(`${fold.first}\n${fold.ending ?? ''}`)).length;
  }

  async stepError(direction: 'forward' | 'backward') {
    await attempt('The errors', async () => {
      const at = this.cursor.at === undefined ? undefined : await this.here();
      const line = await this.lines.next(at, direction, ERROR);
      if (line) await this.goTo({ around_line: line.id });
      else notices.done(at ? 'No error beyond this line' : 'No errors');
    });
  }

  /** Go to a time as it was typed; false when it is none. */
  async jump(typed: string): Promise<boolean> {
    const { asked, start } = this.given;
    const near = this.lines.line(this.inView[0])?.timestamp;
    const clock = asked.time === 'relative' ? preferences.clock : asked.time;
    const at = typedTime(typed, clock, near ? Date.parse(near) : Date.now(), start);
    if (at === undefined) return false;
    await attempt('The jump', async () => {
      if (!(await this.goTo({ around_time: new Date(at).toISOString() })))
        notices.done('There are no lines');
    });
    return true;
  }

  async copySelected(how: 'messages' | 'lines') {
    const selection = this.cursor.selection;
    if (!selection) return;
    const [first, last] = selection;
    await attempt('The copy', async () => {
      if (last - first >= MAX_COPIED)
        throw new Error(`more than ${count(MAX_COPIED)} lines: download them`);
      const chosen = await this.lines.range(first, last);
      await this.copyText(
        asText(chosen, how, this.given.asked.time, this.given.start),
        chosen.length === 1 ? 'The line' : `${count(chosen.length)} lines`,
      );
    });
  }

  copyText = (text: string, what: string) =>
    attempt('The copy', async () => {
      await copy(text);
      notices.done(`${what} copied`);
    });

  async copyLink(line: Line | undefined) {
    if (!line) return;
    address.put('line', line.id);
    await this.copyText(address.linkTo(line.id), 'The link to the line');
  }

  /** Unfold a line, or fold it again. */
  toggle(index: number | undefined) {
    const line = index === undefined ? undefined : this.lines.line(index);
    if (!line || !folded(line.message)) return;
    if (this.open.has(line.id)) this.open.delete(line.id);
    else this.open.add(line.id);
  }

  toEnd() {
    if (!this.lines.total) return;
    this.cursor.put(undefined);
    this.rows?.toEnd();
    this.atEnd = true;
    this.#seen = this.lines.total;
  }
}

async function attempt(what: string, act: () => Promise<void>) {
  try {
    await act();
  } catch (error) {
    if (!isAbort(error)) notices.failed(what, error);
  }
}

const isAbort = (error: unknown) => error instanceof DOMException && error.name === 'AbortError';
