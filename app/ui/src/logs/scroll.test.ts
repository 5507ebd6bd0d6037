import { describe, expect, it } from 'vitest';

import { MAX_NATIVE, Scroll } from './scroll';

const VIEW = 800;
const LONG = 240_000_000;

function scroll(height: number): Scroll {
  const made = new Scroll();
  made.resize(height, VIEW);
  return made;
}

describe('what fits', () => {
  it('scrolls as the container does', () => {
    const short = scroll(50_000);
    expect(short.spacer).toBe(50_000);
    short.scrolled(12_345);
    expect(short.y).toBe(12_345);
    expect(short.wanted).toBe(12_345);
    short.scrolled(49_200);
    expect(short.atEnd).toBe(true);
  });
});

describe('what does not fit', () => {
  it('has a spacer that browsers can scroll', () => {
    expect(scroll(LONG).spacer).toBe(MAX_NATIVE);
  });

  it('is moved by pixels when the movement is small, wherever it is', () => {
    const long = scroll(LONG);
    long.moveTo(120_000_000);
    long.native = long.wanted;
    const native = long.native;
    for (let step = 1; step <= 50; step += 1) long.scrolled(native + step * 100);
    expect(long.y).toBe(120_005_000);
    // The scroll bar is put right afterwards, which moves nothing.
    const wanted = long.wanted;
    expect(Math.abs(wanted - native)).toBeLessThan(300);
    long.native = wanted;
    expect(long.y).toBe(120_005_000);
  });

  it('is moved in proportion when the scroll bar is dragged', () => {
    const long = scroll(LONG);
    long.scrolled((MAX_NATIVE - VIEW) / 2);
    expect(long.y).toBeCloseTo(long.end / 2, -1);
  });

  it('reaches both ends exactly', () => {
    const long = scroll(LONG);
    long.scrolled(MAX_NATIVE - VIEW);
    expect(long.y).toBe(LONG - VIEW);
    expect(long.atEnd).toBe(true);
    long.scrolled(0);
    expect(long.y).toBe(0);
    long.moveTo(LONG);
    expect(long.wanted).toBe(MAX_NATIVE - VIEW);
  });

  it('goes on by pixels where the container is at its end and the rows are not', () => {
    const long = scroll(LONG);
    long.moveTo(5000);
    long.native = 40;
    long.scrolled(0);
    expect(long.y).toBe(4960);
    expect(long.stuck).toBe(true);
    expect(long.wanted).toBe(4960);
  });

  it('maps every place of the scroll bar to one of the rows and back', () => {
    const long = scroll(LONG);
    for (let native = 0; native <= MAX_NATIVE - VIEW; native += 99_991) {
      long.native = -1e9;
      long.scrolled(native);
      expect(long.wanted).toBeCloseTo(native, 3);
    }
  });
});

it('what is cut off at the end takes the view with it', () => {
  const long = scroll(LONG);
  long.moveTo(LONG);
  long.resize(1000, VIEW);
  expect(long.y).toBe(200);
  long.resize(100, VIEW);
  expect(long.y).toBe(0);
});
