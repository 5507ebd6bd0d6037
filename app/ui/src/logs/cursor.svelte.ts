/** The line that the keys act on, and what is selected from there. */

interface Rows {
  show: (index: number) => void;
  focus: () => void;
  /** The first and the last row that is whole in view. */
  inView: () => [number, number];
}

export class Cursor {
  /** Index of the line; undefined while there is none. */
  at = $state<number | undefined>(undefined);
  #other = $state<number | undefined>(undefined);

  constructor(
    readonly total: () => number,
    readonly rows: () => Rows | undefined,
    /** The first and the last row in view, be it in part. */
    readonly inView: () => [number, number],
  ) {}

  /** The first and the last line that are selected; the line itself when no other is. */
  get selection(): [number, number] | undefined {
    if (this.at === undefined) return undefined;
    const other = this.#other ?? this.at;
    return [Math.min(this.at, other), Math.max(this.at, other)];
  }

  /** Whether a line is selected with others. */
  selects(index: number): boolean {
    const [first, last] = this.selection ?? [0, 0];
    return first !== last && index >= first && index <= last;
  }

  put(index: number | undefined) {
    this.at = this.#other = index;
  }

  /** Go to a line and show it; `extend` selects those between too. */
  choose(index: number, extend = false) {
    const total = this.total();
    if (!total) return;
    this.at = Math.max(0, Math.min(index, total - 1));
    if (!extend || this.#other === undefined) this.#other = this.at;
    this.rows()?.show(this.at);
    this.rows()?.focus();
  }

  /** Go on by so many lines; from the view, when the line is out of it. */
  move(by: number, extend = false) {
    const [from, to] = this.inView();
    if (this.at === undefined || this.at < from - 1 || this.at > to + 1) {
      const [first, last] = this.rows()?.inView() ?? [0, 0];
      this.choose(by > 0 ? first : last);
    } else this.choose(this.at + by, extend);
  }
}
