/** Where rows lie: any number of rows of one height, some of them taller. */

// Rows whose own height is remembered; of more, those farthest from the last one go.
const MAX_TALLER = 5000;

/**
 * Rows from top to bottom, in pixels. All have the height `base` but those that were measured taller.
 * Index to pixel and back takes the logarithm of the number of taller ones, whatever the number of rows.
 */
export class Extent {
  #count = 0;
  // Taller rows by index, ascending; how much taller; and by how much those before them are, together.
  #at: number[] = [];
  #extra: number[] = [];
  #before: number[] = [0];

  constructor(readonly base: number) {}

  get count(): number {
    return this.#count;
  }

  set count(count: number) {
    this.#count = count;
    this.#cut(this.#find(count));
  }

  /** Of all rows together. */
  get height(): number {
    return this.top(this.#count);
  }

  /** The upper edge of a row. */
  top(index: number): number {
    return index * this.base + this.#before[this.#find(index)]!;
  }

  heightOf(index: number): number {
    const at = this.#find(index);
    return this.base + (this.#at[at] === index ? this.#extra[at]! : 0);
  }

  /** The row at this pixel; the first or last one beyond the ends, 0 when there are no rows. */
  at(y: number): number {
    // The last taller row that begins at or above y.
    let low = 0;
    let high = this.#at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#at[middle]! * this.base + this.#before[middle]! <= y) low = middle + 1;
      else high = middle;
    }
    const taller = low - 1;
    let index = Math.floor((y - this.#before[low]!) / this.base);
    if (taller >= 0) index = Math.max(index, this.#at[taller]!);
    return Math.max(0, Math.min(index, this.#count - 1));
  }

  /** Remember the height of a row; gives by how much it changed. */
  set(index: number, height: number): number {
    const extra = Math.max(0, height - this.base);
    const at = this.#find(index);
    const known = this.#at[at] === index;
    const change = extra - (known ? this.#extra[at]! : 0);
    if (!change) return 0;
    if (!extra) {
      this.#at.splice(at, 1);
      this.#extra.splice(at, 1);
    } else if (known) {
      this.#extra[at] = extra;
    } else {
      this.#at.splice(at, 0, index);
      this.#extra.splice(at, 0, extra);
      if (this.#at.length > MAX_TALLER) {
        const far = index - this.#at[0]! > this.#at.at(-1)! - index ? 0 : this.#at.length - 1;
        this.#at.splice(far, 1);
        this.#extra.splice(far, 1);
        this.#sum(0);
        return change;
      }
    }
    this.#sum(at);
    return change;
  }

  /** Make room for rows that came at an index; those behind keep their heights. */
  insert(index: number, rows: number) {
    this.#count += rows;
    for (let at = this.#find(index); at < this.#at.length; at += 1) this.#at[at]! += rows;
  }

  /** All rows have the base height again. */
  forget() {
    this.#cut(0);
  }

  /** How many taller rows come before an index. */
  #find(index: number): number {
    let low = 0;
    let high = this.#at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#at[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #cut(length: number) {
    this.#at.length = length;
    this.#extra.length = length;
    this.#before.length = length + 1;
  }

  #sum(from: number) {
    this.#before.length = this.#at.length + 1;
    for (let at = from; at < this.#at.length; at += 1)
      this.#before[at + 1] = this.#before[at]! + this.#extra[at]!;
  }
}
