/** Long lists and wide tables of which only what is in sight is drawn: TanStack Virtual, as runes. */

import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualItem,
} from '@tanstack/virtual-core';
import { untrack } from 'svelte';

export interface VirtualOptions {
  count: number;
  /** What scrolls; undefined until it is there. */
  scroller: HTMLElement | undefined;
  /** Size of an item in pixels, or about it when items are measured. */
  size: (index: number) => number;
  /** Tells items apart when their places change. */
  key?: (index: number) => string | number;
  horizontal?: boolean;
  /** Pixels before the first item within what scrolls: a heading. */
  before?: number;
  overscan?: number;
}

/**
 * What is in sight of a list:
 *
 *     const rows = virtual(() => ({ count: lines.length, scroller, size: () => 28 }));
 *     <div style:height="{rows.total}px">
 *       {#each rows.items as { index, start, key } (key)} … style:transform="translateY({start}px)"
 *
 * Items of unknown size are measured: `data-index={index} {@attach rows.measure}`. Made in a component's
 * script; it follows the runes that `options` reads.
 */
export class Virtual {
  items = $state.raw<VirtualItem[]>([]);
  /** Size of all items together, in pixels. */
  total = $state(0);
  #virtualizer: Virtualizer<HTMLElement, HTMLElement>;

  constructor(options: () => VirtualOptions) {
    const whole = () => {
      const {
        count,
        scroller,
        size,
        key,
        horizontal = false,
        before = 0,
        overscan = 8,
      } = options();
      return {
        count,
        horizontal,
        overscan,
        scrollPaddingEnd: before,
        getScrollElement: () => scroller ?? null,
        estimateSize: size,
        ...(key ? { getItemKey: key } : {}),
        observeElementRect,
        observeElementOffset,
        scrollToFn: elementScroll,
        onChange: () => this.#look(),
      };
    };
    this.#virtualizer = new Virtualizer<HTMLElement, HTMLElement>(untrack(whole));
    $effect(() => this.#virtualizer._didMount());
    $effect(() => {
      this.#virtualizer.setOptions(whole());
      untrack(() => {
        this.#virtualizer._willUpdate();
        this.#look();
      });
    });
  }

  #look() {
    this.items = this.#virtualizer.getVirtualItems();
    this.total = this.#virtualizer.getTotalSize();
  }

  /** Take the size of an item's element, which has its index as `data-index`. */
  measure = (element: HTMLElement) => {
    this.#virtualizer.measureElement(element);
  };

  /** Forget all sizes: `size` says something else now. */
  anew() {
    this.#virtualizer.measure();
    this.#look();
  }

  /** Bring an item into sight. */
  show(index: number, align: 'auto' | 'start' | 'center' | 'end' = 'auto') {
    this.#virtualizer.scrollToIndex(index, { align });
  }
}

export const virtual = (options: () => VirtualOptions) => new Virtual(options);
