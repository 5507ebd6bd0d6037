import { describe, expect, it } from 'vitest';

import { Extent } from './extent';

/** The same, the long way. */
class Plain {
  heights: number[];
  constructor(count: number) {
    this.heights = new Array<number>(count).fill(24);
  }
  top = (index: number) => this.heights.slice(0, index).reduce((sum, height) => sum + height, 0);
  at(y: number) {
    let from = 0;
    for (const [index, height] of this.heights.entries()) {
      from += height;
      if (y < from) return index;
    }
    return this.heights.length - 1;
  }
}

describe('an extent', () => {
  it('of rows of one height is arithmetic, for ten million too', () => {
    const extent = new Extent(24);
    extent.count = 10_000_000;
    expect(extent.height).toBe(240_000_000);
    expect(extent.top(9_999_999)).toBe(239_999_976);
    expect(extent.at(239_999_976)).toBe(9_999_999);
    expect(extent.at(1e12)).toBe(9_999_999);
    expect(extent.at(-5)).toBe(0);
  });

  it('agrees with adding all heights up, whatever is measured in whatever order', () => {
    const extent = new Extent(24);
    const plain = new Plain(300);
    extent.count = 300;
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    for (let step = 0; step < 400; step += 1) {
      const index = random(300);
      const height = 24 + (random(3) ? random(400) : 0);
      const change = extent.set(index, height);
      expect(change).toBe(height - plain.heights[index]!);
      plain.heights[index] = height;
      const other = random(300);
      expect(extent.top(other)).toBe(plain.top(other));
      expect(extent.heightOf(other)).toBe(plain.heights[other]);
      const y = random(extent.height);
      expect(extent.at(y)).toBe(plain.at(y));
    }
    expect(extent.height).toBe(plain.top(300));
  });

  it('keeps the heights of rows behind those that come', () => {
    const extent = new Extent(24);
    extent.count = 10;
    extent.set(4, 100);
    extent.insert(2, 3);
    expect(extent.heightOf(4)).toBe(24);
    expect(extent.heightOf(7)).toBe(100);
    expect(extent.count).toBe(13);
    extent.count = 5;
    expect(extent.height).toBe(120);
  });

  it('remembers a bounded number of heights, those near the last one', () => {
    const extent = new Extent(24);
    extent.count = 100_000;
    for (let index = 0; index < 20_000; index += 1) extent.set(index, 48);
    expect(extent.heightOf(19_999)).toBe(48);
    expect(extent.heightOf(0)).toBe(24);
    expect(extent.height).toBe(100_000 * 24 + 5000 * 24);
  });
});
