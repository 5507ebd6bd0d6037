/**
 * A scroll bar for more pixels than a browser scrolls.
 *
 * The native container holds a spacer of at most `MAX_NATIVE` pixels. What is shown lies at `y` of as many
 * virtual pixels as the rows take. While they fit, both are the same. Beyond, the first and last `BAND`
 * pixels are the same from either end, so that both ends are reached exactly, and what lies between is
 * scaled; small movements are by pixels wherever they happen, and `settled` puts the scroll bar right.
 */

export const MAX_NATIVE = 10_000_000;
const BAND = 100_000;

export class Scroll {
  /** The virtual pixel at the upper edge of the view. */
  y = 0;
  /** `scrollTop` of the container, as far as it is known. */
  native = 0;
  #height = 0;
  #view = 0;

  /** The height of the spacer. */
  get spacer(): number {
    return Math.min(this.#height, MAX_NATIVE);
  }

  get view(): number {
    return this.#view;
  }

  /** The largest `y`. */
  get end(): number {
    return Math.max(0, this.#height - this.#view);
  }

  get atEnd(): boolean {
    return this.y >= this.end - 1;
  }

  /** What there is to scroll and to see changed; `y` stays as far as it can. */
  resize(height: number, view: number) {
    this.#height = height;
    this.#view = view;
    this.y = Math.min(this.y, this.end);
  }

  /** The container was scrolled to here. */
  scrolled(native: number) {
    const by = native - this.native;
    const before = this.y;
    this.native = native;
    const there = this.#virtualOf(native);
    const small = Math.abs(by) < 2 * this.#view;
    this.y = this.#scaled && small ? Math.max(0, Math.min(before + by, this.end)) : there;
  }

  /** Show this pixel at the upper edge. */
  moveTo(y: number) {
    this.y = Math.max(0, Math.min(y, this.end));
  }

  /** What `scrollTop` should be now. The container is to be set to it when it stands still, or at once when
   * it stands at an end that `y` has not reached. */
  get wanted(): number {
    if (!this.#scaled) return this.y;
    const [native, end] = [this.#nativeEnd, this.end];
    if (this.y <= BAND) return this.y;
    if (this.y >= end - BAND) return native - (end - this.y);
    return BAND + ((this.y - BAND) * (native - 2 * BAND)) / (end - 2 * BAND);
  }

  /** Whether the container cannot be scrolled further although there is more. */
  get stuck(): boolean {
    return (
      this.#scaled &&
      ((this.native <= 0 && this.y > 0) ||
        (this.native >= this.#nativeEnd - 1 && this.y < this.end))
    );
  }

  get #scaled(): boolean {
    return this.#height > MAX_NATIVE;
  }

  get #nativeEnd(): number {
    return Math.max(0, this.spacer - this.#view);
  }

  #virtualOf(native: number): number {
    if (!this.#scaled) return Math.max(0, Math.min(native, this.end));
    const [nativeEnd, end] = [this.#nativeEnd, this.end];
    if (native <= BAND) return Math.max(0, native);
    if (native >= nativeEnd - BAND) return Math.min(end, end - (nativeEnd - native));
    return BAND + ((native - BAND) * (end - 2 * BAND)) / (nativeEnd - 2 * BAND);
  }
}
