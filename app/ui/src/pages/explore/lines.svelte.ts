/** The lines of a search, newest first, as they are found, and those that come while it is followed. */

import { ApiError, headers, refusal } from '../../api/client';
import { leastLevel, shows } from '../../logs/filter';
import { Follower, type FollowState } from '../../logs/follow';
import { regexMatcher } from '../../logs/highlight';
import { cursorOf, keyOf, type Line } from '../../logs/line';
import { search, type SearchStep } from '../../logs/search';
import { searchBody, type Filters, type Range } from './filters';
import { names } from './names.svelte';

const FIRST = 200;
const MORE = 500;
// Following for days must not fill the page's memory.
const MOST_LIVE = 20_000;
// The stream takes no more.
const MOST_STREAM_RUNS = 50;

export type Progress = Omit<SearchStep, 'lines' | 'done' | 'cursor'>;

export class Lines {
  all = $state.raw<Line[]>([]);
  progress = $state.raw<Progress>();
  searching = $state(false);
  /** Nothing older is left. */
  whole = $state(false);
  cancelled = $state(false);
  /** What ended the search early: what was found before is right. */
  error = $state.raw<ApiError>();
  live = $state<FollowState>('ended');
  /** Why lines cannot be followed. */
  liveError = $state('');
  /** The server left out lines, for this page was too slow. */
  lagged = $state(false);
  /** Lines that came while the reader was elsewhere. */
  waiting = $state.raw<Line[]>([]);
  /** Whether new lines are shown at once. */
  atTop = true;
  milliseconds = $state(0);

  #asking: AbortController | undefined;
  #follower: Follower | undefined;
  #known = new Set<string>();
  #filters: Filters | undefined;
  #range: Range = { start: undefined, end: undefined };
  #cursor: string | null = null;

  /** Begin anew. */
  start(filters: Filters, range: Range) {
    this.unfollow();
    this.#filters = filters;
    this.#range = range;
    this.#cursor = null;
    this.#known.clear();
    this.all = [];
    this.waiting = [];
    this.whole = false;
    void this.#search(FIRST);
  }

  /** The next lines, if there are any and none are being looked for. */
  more() {
    if (this.searching || this.whole || this.error || this.cancelled || !this.#filters) return;
    void this.#search(MORE);
  }

  /** Go on after the last line that was found. */
  again() {
    const last = this.all.at(-1);
    this.#cursor = last ? cursorOf(keyOf(last)) : this.#cursor;
    void this.#search(MORE);
  }

  /** Stop looking; the server stops too. */
  cancel() {
    if (!this.searching) return;
    this.#asking?.abort();
    this.searching = false;
    this.cancelled = true;
  }

  /** End everything. */
  stop() {
    this.#asking?.abort();
    this.searching = false;
    this.unfollow();
  }

  async #search(limit: number): Promise<void> {
    const filters = this.#filters;
    if (!filters) return;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    this.searching = true;
    this.cancelled = false;
    this.error = undefined;
    this.progress = undefined;
    const began = performance.now();
    try {
      const body = searchBody(filters, this.#range, limit, this.#cursor);
      for await (const { lines, done, cursor, ...progress } of search(body, asking.signal)) {
        if (asking.signal.aborted) return;
        this.progress = progress;
        this.milliseconds = performance.now() - began;
        if (lines.length) {
          this.all = [...this.all, ...this.#fresh(lines)];
          void names.of(lines.map((line) => line.flow_run_id));
        }
        if (done) {
          this.#cursor = cursor;
          this.whole = cursor === null;
        }
      }
    } catch (error) {
      if (asking.signal.aborted) return;
      this.error = error instanceof ApiError ? error : new ApiError('The answer broke off.', 0);
    }
    if (this.#asking === asking) this.searching = false;
  }

  #fresh(lines: Line[]): Line[] {
    const fresh = lines.filter((line) => !this.#known.has(line.id));
    for (const line of fresh) this.#known.add(line.id);
    return fresh;
  }

  /** Show lines as they are committed, until `unfollow`. */
  follow() {
    const filters = this.#filters;
    this.unfollow();
    this.liveError = filters ? refusesLive(filters) : '';
    if (!filters || this.liveError) return;
    let connected = false;
    const follower = new Follower({
      url: `/api/tailrace/logs/stream?${streamQuery(filters)}`,
      headers,
      lines: (lines) => void this.#arrived(filters, lines),
      state: (state) => {
        this.live = state;
        if (state === 'live') connected = true;
      },
      // Told after each connection, which resumes where the last ended, and when lines were left out.
      compare: () => {
        if (!connected) this.lagged = true;
        connected = false;
      },
      refused: (response) => {
        void response
          .json()
          .catch(() => undefined)
          .then((said: unknown) => (this.liveError = refusal(response.status, said).message));
        return response.status >= 500;
      },
    });
    this.#follower = follower;
    this.lagged = false;
    void follower.run();
  }

  unfollow() {
    this.#follower?.stop();
    this.#follower = undefined;
    this.live = 'ended';
    this.showWaiting();
  }

  async #arrived(filters: Filters, lines: Line[]): Promise<void> {
    const follower = this.#follower;
    if (filters.flows.length || filters.deployments.length)
      await names.of(lines.map((line) => line.flow_run_id));
    else void names.of(lines.map((line) => line.flow_run_id));
    if (follower !== this.#follower) return;
    const passing = this.#fresh(lines.filter(passes(filters))).reverse();
    if (!passing.length) return;
    if (this.atTop) this.all = [...passing, ...this.all].slice(0, MOST_LIVE);
    else this.waiting = [...passing, ...this.waiting].slice(0, MOST_LIVE);
  }

  /** Put the lines that wait before the others. */
  showWaiting() {
    if (!this.waiting.length) return;
    this.all = [...this.waiting, ...this.all];
    this.waiting = [];
  }
}

/** Why lines of these filters cannot be followed; '' when they can. */
export function refusesLive(filters: Filters): string {
  if (filters.to) return 'A range that has ended is not followed.';
  if (filters.runs.length > MOST_STREAM_RUNS)
    return `Lines of at most ${MOST_STREAM_RUNS} runs can be followed.`;
  if (filters.regex && filters.text.trim() && !regexMatcher(filters.text.trim()))
    return 'This browser cannot match this regular expression.';
  return '';
}

function streamQuery({ text, regex, levels, runs, loggers }: Filters): URLSearchParams {
  const query = new URLSearchParams();
  if (!regex && text.trim()) query.set('text', text.trim());
  const least = leastLevel(levels);
  if (least !== undefined) query.set('level', String(least));
  for (const run of runs) query.append('flow_run_id', run);
  for (const logger of loggers) query.append('logger', logger);
  return query;
}

/** What of the filters the stream does not know. */
function passes(filters: Filters): (line: Line) => boolean {
  const { levels, flows, deployments } = filters;
  const text = filters.text.trim();
  const matches = filters.regex && text ? regexMatcher(text) : undefined;
  return (line) => {
    if (!shows(levels, line.level)) return false;
    if (matches && !matches(line.message).length) return false;
    if (!flows.length && !deployments.length) return true;
    const run = line.flow_run_id ? names.runs.get(line.flow_run_id) : undefined;
    return (
      !!run &&
      (!flows.length || flows.includes(run.flowId)) &&
      (!deployments.length || deployments.includes(run.deploymentId ?? ''))
    );
  };
}
