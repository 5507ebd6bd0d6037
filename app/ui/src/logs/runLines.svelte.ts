/** The lines of a run under a filter: read where somebody looks, grown by the live tail. */

import { api, ApiError, headers, read, refusal, type Schema } from '../api/client';
import type { paths } from '../api/schema';
import { above, filterBody, leastLevel, passes, regexBody, type LineFilter } from './filter';
import { Follower, type FollowState } from './follow';
import { regexMatcher } from './highlight';
import { compare, cursorOf, keyOf, type Key, type Line } from './line';
import { PAGE, Pages } from './pages';

/** Where to look for a line. */
export type Place = { around_line: string } | { around_time: string };

/** A line and its index among those that are shown. */
export interface Found {
  index: number;
  line: Line;
}

type Page = Schema<'RunLogsPage'>;
type RunLogsQuery = NonNullable<
  paths['/api/tailrace/logs']['post']['requestBody']
>['content']['application/json'];

// A line that comes late is looked for so far from the end.
const MAX_LATE = 2000;
const COMPARE_MILLISECONDS = 250;
// Comparing counts what matches of the whole run, where the browser cannot tell what does.
const COUNT_MILLISECONDS = 2000;

export class RunLines {
  /** How many lines there are; as many as are known until `counted`. */
  total = $state(0);
  counted = $state(false);
  /** Why neither the lines nor their number could be read. */
  error = $state.raw<ApiError | undefined>(undefined);
  /** Changes with whatever is shown. */
  version = $state(0);
  follow = $state<FollowState | 'off'>('off');
  followSince = $state.raw<Date>(new Date());
  /** When a line came by the live tail, in milliseconds since 1970. */
  grewAt = $state(0);

  #pages: Pages<Line>;
  #newest: Key | undefined;
  #follower: Follower | undefined;
  #closed = new AbortController();
  #comparing: Promise<void> | undefined;
  #compareAgain = false;
  #comparingLater: ReturnType<typeof setTimeout> | undefined;
  /** Whether a new line matches the regular expression; undefined where only the server knows. */
  #matches: ((line: Line) => boolean) | undefined;

  constructor(
    readonly flowRunId: string,
    readonly filter: LineFilter,
  ) {
    this.#pages = new Pages<Line>({
      load: (offset, limit, signal) => this.#load(offset, limit, signal),
      changed: () => (this.version += 1),
      short: () => this.compare(),
    });
    const matcher = filter.regex ? regexMatcher(filter.regex) : undefined;
    if (matcher) this.#matches = (line) => matcher(line.message).length > 0;
    else if (!filter.regex) this.#matches = () => true;
  }

  line(index: number): Line | undefined {
    return this.#pages.item(index);
  }

  failed(index: number): Error | undefined {
    return this.#pages.error(index);
  }

  want(first: number, last: number, direction: number) {
    this.#pages.want(first, last, direction);
  }

  retry() {
    this.error = undefined;
    this.#pages.retry();
    this.compare();
  }

  /** Read the first page, and how many lines there are. */
  async openStart(): Promise<void> {
    try {
      const page = await this.#page({ limit: PAGE });
      this.#put(0, page.lines);
    } catch (error) {
      this.#failed(error);
    }
    this.compare();
  }

  /** Read the last page. */
  async openEnd(): Promise<void> {
    this.compare();
    await this.#comparing;
  }

  /** The line at a place, read with those around it; undefined when there is none. */
  async find(place: Place, signal?: AbortSignal): Promise<Found | undefined> {
    const page = await this.#page({ ...place, limit: PAGE, offset: true }, signal);
    if (page.offset === null || page.offset === undefined || !page.lines.length) return undefined;
    this.#put(page.offset, page.lines);
    const at = page.anchor ? page.lines.findIndex((line) => line.id === page.anchor) : -1;
    // Behind the last line: the last one is the nearest.
    const near = at < 0 ? page.lines.length - 1 : at;
    return { index: page.offset + near, line: page.lines[near]! };
  }

  /** The nearest line after another, or before it, from a level up; undefined when there is none. */
  async next(
    from: Line | undefined,
    direction: 'forward' | 'backward',
    level: number,
  ): Promise<Line | undefined> {
    const levels = above(this.filter.levels ?? [], level);
    if (!levels.length) return undefined;
    const page = await this.#page({
      ...filterBody({ ...this.filter, levels }),
      ...(from ? { cursor: cursorOf(keyOf(from)) } : {}),
      direction,
      limit: 1,
    });
    return page.lines[0];
  }

  /** Lines from one index to another, inclusive, whether they are known or not. */
  async range(first: number, last: number): Promise<Line[]> {
    const lines: Line[] = [];
    while (lines.length <= last - first) {
      const at = first + lines.length;
      const known = this.#pages.item(at);
      if (known) {
        lines.push(known);
        continue;
      }
      const more = await this.#load(at, Math.min(PAGE, last - at + 1), this.#closed.signal);
      if (!more.length) break;
      lines.push(...more);
    }
    return lines;
  }

  /** Follow the live tail until `close` or `unfollow`. */
  startFollowing() {
    if (this.#follower) return;
    const query = new URLSearchParams({ flow_run_id: this.flowRunId });
    const least = leastLevel(this.filter.levels ?? []);
    if (least !== undefined) query.set('level', String(least));
    if (this.filter.text) query.set('text', this.filter.text);
    const follower = new Follower({
      url: `/api/tailrace/logs/stream?${query}`,
      headers,
      lines: (lines) => this.#receive(lines),
      compare: () => this.compare(),
      state: (state) => {
        if (this.#follower !== follower || state === this.follow) return;
        this.follow = state;
        this.followSince = new Date();
      },
      refused: (response) => {
        refusal(response.status, undefined);
        return response.status !== 401 && response.status !== 404;
      },
    });
    this.#follower = follower;
    void follower.run();
  }

  unfollow() {
    this.#follower?.stop();
    this.#follower = undefined;
    if (this.follow !== 'off') this.follow = 'ended';
  }

  close() {
    this.unfollow();
    clearTimeout(this.#comparingLater);
    this.#closed.abort();
    this.#pages.close();
  }

  /** Compare what is known of the end with the server: once at a time, and once more when it was asked for
   * meanwhile. */
  compare() {
    if (this.#comparing) {
      this.#compareAgain = true;
      return;
    }
    this.#comparing = this.#compare().finally(() => {
      this.#comparing = undefined;
      if (!this.#compareAgain) return;
      this.#compareAgain = false;
      setTimeout(() => {
        if (!this.#closed.signal.aborted) this.compare();
      }, COMPARE_MILLISECONDS);
    });
  }

  async #compare(): Promise<void> {
    let page: Page;
    try {
      page = await this.#page({ direction: 'backward', limit: PAGE, offset: true });
    } catch (error) {
      this.#failed(error);
      return;
    }
    const offset = page.offset ?? 0;
    const total = offset + page.lines.length;
    const last = page.lines.at(-1);
    if (this.#newest && last && compare(keyOf(last), this.#newest) < 0) {
      // The live tail was faster. What it added must follow on what the page ends with.
      if (this.#pages.item(total - 1)?.id !== last.id) this.#compareAgain = true;
      return;
    }
    const known = page.lines.map((_, at) => this.#pages.item(offset + at));
    const moved =
      known.some((line, at) => line && line.id !== page.lines[at]!.id) ||
      (this.counted && total !== this.total && !known.some((line) => line));
    this.counted = true;
    this.error = undefined;
    this.#setTotal(total);
    if (moved) this.#pages.stale();
    if (last) this.#newest = keyOf(last);
    this.#put(offset, page.lines);
  }

  #receive(received: Line[]) {
    const lines = received.filter(
      (line) => passes(line, this.filter) && this.#matches?.(line) !== false,
    );
    if (!lines.length) return;
    if (!this.#matches) {
      this.#comparingLater ??= setTimeout(() => {
        this.#comparingLater = undefined;
        this.compare();
      }, COUNT_MILLISECONDS);
      this.grewAt = Date.now();
      return;
    }
    // Before the first comparison nothing is known of where the lines end; it will find them.
    if (!this.counted) {
      this.compare();
      return;
    }
    const keyed = lines.map((line) => ({ line, key: keyOf(line) }));
    keyed.sort((a, b) => compare(a.key, b.key));
    for (const { line, key } of keyed) {
      if (!this.#newest || compare(key, this.#newest) > 0) {
        this.#pages.put(this.total, [line]);
        this.#setTotal(this.total + 1);
        this.#newest = key;
      } else if (!this.#insert(line, key)) {
        this.#pages.stale();
        this.compare();
        break;
      }
    }
    this.grewAt = Date.now();
    this.version += 1;
  }

  /** Put a line that came late between the others; false when those are not known. */
  #insert(line: Line, key: Key): boolean {
    for (let at = this.total - 1; at >= Math.max(0, this.total - MAX_LATE); at -= 1) {
      const other = this.#pages.item(at);
      if (!other) return false;
      const order = compare(keyOf(other), key);
      if (order === 0) return true;
      if (order < 0) return this.#insertAt(at + 1, line);
    }
    return this.total <= MAX_LATE && this.#insertAt(0, line);
  }

  #insertAt(index: number, line: Line): boolean {
    this.#pages.insert(index, line);
    this.total = this.#pages.total;
    return true;
  }

  #setTotal(total: number) {
    this.total = total;
    this.#pages.total = total;
  }

  #put(offset: number, lines: Line[]) {
    if (this.#closed.signal.aborted) return;
    if (!this.counted) this.#setTotal(Math.max(this.total, offset + lines.length));
    this.#pages.put(offset, lines);
    this.version += 1;
  }

  #failed(error: unknown) {
    if (this.#closed.signal.aborted) return;
    this.error = error instanceof ApiError ? error : new ApiError(String(error), 0);
  }

  #page(
    body: Omit<RunLogsQuery, 'flow_run_id'> & { limit: number },
    signal?: AbortSignal,
  ): Promise<Page> {
    return read(
      api.POST('/api/tailrace/logs', {
        body: {
          flow_run_id: this.flowRunId,
          ...filterBody(this.filter),
          ...regexBody(this.filter),
          ...body,
        },
        signal: signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal,
      }),
    );
  }

  async #load(offset: number, limit: number, signal: AbortSignal): Promise<Line[]> {
    return (await this.#page({ at_offset: offset, limit }, signal)).lines;
  }
}
