/** A long list of which only the parts that somebody looks at are read, page by page. */

export const PAGE = 200;
const MAX_PAGES = 150;
const MAX_ASKED = 4;
// Pages that are read ahead in the direction of scrolling.
const AHEAD = 2;

interface Page<T> {
  /** By place in the page; a place without an item was not read. */
  items: (T | undefined)[];
  /** What was read may have moved: it is shown until it was read again. */
  stale: boolean;
  error?: Error;
  asking?: AbortController;
}

interface Options<T> {
  /** Items from an offset on; fewer than `limit` only at the end. */
  load: (offset: number, limit: number, signal: AbortSignal) => Promise<T[]>;
  /** What is shown changed. */
  changed: () => void;
  /** A page ended before the total: the list is shorter than was thought, or its end moved. */
  short?: (offset: number, items: number) => void;
}

export class Pages<T> {
  /** How many items there are in all, as far as is known. */
  total = 0;
  // The least recently wanted page comes first.
  #pages = new Map<number, Page<T>>();
  #wanted: number[] = [];
  #asked = 0;
  #closed = false;
  readonly #options: Options<T>;

  constructor(options: Options<T>) {
    this.#options = options;
  }

  /** The item at an index; undefined while it is not read. */
  item(index: number): T | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.items[index % PAGE];
  }

  /** Why the item at an index could not be read. */
  error(index: number): Error | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.error;
  }

  get kept(): number {
    return this.#pages.size;
  }

  /** Somebody looks at these; `direction` is where they are scrolling to, 0 for nowhere. What was asked for
   * and is not looked at any more is not waited for. */
  want(first: number, last: number, direction = 0) {
    const [from, to] = [Math.floor(first / PAGE), Math.floor(last / PAGE)];
    const wanted: number[] = [];
    for (let page = from; page <= to; page += 1) wanted.push(page);
    for (let step = 1; step <= AHEAD; step += 1) {
      if (direction > 0) wanted.push(to + step);
      if (direction < 0) wanted.push(from - step);
    }
    this.#wanted = wanted.filter((page) => page >= 0 && page * PAGE < this.total);
    for (const [number, page] of this.#pages)
      if (page.asking && !this.#wanted.includes(number)) page.asking.abort();
    this.#ask();
  }

  /** Read anew what failed. */
  retry() {
    for (const page of this.#pages.values()) delete page.error;
    this.#ask();
    this.#options.changed();
  }

  /** These are the items from an offset on, learnt elsewhere. */
  put(offset: number, items: T[]) {
    items.forEach((item, at) => {
      const index = offset + at;
      this.#page(Math.floor(index / PAGE)).items[index % PAGE] = item;
    });
    this.#drop();
  }

  /** An item came between those that are there. Items behind move by one, as far as they are known; pages
   * behind what is not known are read again. */
  insert(index: number, item: T) {
    this.total += 1;
    let moving: T | undefined = item;
    let place = index % PAGE;
    const first = Math.floor(index / PAGE);
    const last = Math.max(first, ...this.#pages.keys());
    for (let number = first; number <= last; number += 1) {
      const page = this.#pages.get(number) ?? (number === first ? this.#page(number) : undefined);
      // An answer that is on its way does not know of the item.
      page?.asking?.abort();
      if (!page) {
        moving = undefined;
      } else if (moving === undefined) {
        page.stale = true;
      } else {
        page.items.length = Math.max(page.items.length, place);
        page.items.splice(place, 0, moving);
        moving = page.items.length > PAGE ? page.items.pop() : undefined;
      }
      place = 0;
    }
    if (moving !== undefined) this.put((last + 1) * PAGE, [moving]);
    this.#ask();
  }

  /** Everything from an index on may have moved. */
  stale(from = 0) {
    for (const [number, page] of this.#pages) {
      if ((number + 1) * PAGE <= from) continue;
      page.stale = true;
      page.asking?.abort();
    }
    this.#ask();
  }

  /** Indexes of items that are known, in ascending runs. */
  *known(): Generator<[number, T]> {
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(number)!;
      for (let at = 0; at < page.items.length; at += 1) {
        const item = page.items[at];
        if (item !== undefined) yield [number * PAGE + at, item];
      }
    }
  }

  /** Nothing is read any more. */
  close() {
    this.#closed = true;
    for (const page of this.#pages.values()) page.asking?.abort();
  }

  #page(number: number): Page<T> {
    let page = this.#pages.get(number);
    if (!page) {
      page = { items: [], stale: false };
      this.#pages.set(number, page);
    }
    return page;
  }

  #complete(number: number): boolean {
    const page = this.#pages.get(number);
    if (!page || page.stale) return false;
    const length = Math.min(PAGE, this.total - number * PAGE);
    for (let at = 0; at < length; at += 1) if (page.items[at] === undefined) return false;
    return true;
  }

  #ask() {
    if (this.#closed) return;
    for (const number of this.#wanted) {
      const page = this.#page(number);
      // The most recently wanted one goes last.
      this.#pages.delete(number);
      this.#pages.set(number, page);
      if (this.#asked >= MAX_ASKED || page.asking || page.error || this.#complete(number)) continue;
      void this.#load(number, page);
    }
    this.#drop();
  }

  async #load(number: number, page: Page<T>) {
    const asking = new AbortController();
    page.asking = asking;
    this.#asked += 1;
    let items: T[] | undefined;
    let error: Error | undefined;
    try {
      items = await this.#options.load(number * PAGE, PAGE, asking.signal);
    } catch (caught) {
      error = caught instanceof Error ? caught : new Error(String(caught));
    }
    this.#asked -= 1;
    delete page.asking;
    if (this.#closed) return;
    if (!asking.signal.aborted) {
      if (items) {
        const expected = Math.min(PAGE, this.total - number * PAGE);
        // What came meanwhile at the end of the page is not forgotten for an older answer.
        page.items = page.stale ? items : Object.assign([...page.items], items);
        page.stale = false;
        if (items.length < expected && page.items.length < expected)
          this.#options.short?.(number * PAGE, items.length);
      } else {
        page.error = error!;
      }
      this.#options.changed();
    }
    this.#ask();
  }

  #drop() {
    for (const [number, page] of this.#pages) {
      if (this.#pages.size <= MAX_PAGES) break;
      if (page.asking || this.#wanted.includes(number)) continue;
      this.#pages.delete(number);
    }
  }
}
