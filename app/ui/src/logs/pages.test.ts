import { describe, expect, it } from 'vitest';

import { PAGE, Pages } from './pages';

/** A list of numbers read by pages, with every request in the test's hands. */
function list(total: number) {
  const asked: {
    offset: number;
    signal: AbortSignal;
    answer: (items?: number[]) => Promise<void>;
  }[] = [];
  const seen = { changes: 0, short: [] as number[] };
  const pages = new Pages<number>({
    load: (offset, limit, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
        asked.push({
          offset,
          signal,
          answer: async (items) => {
            const all = Array.from(
              { length: Math.min(limit, total - offset) },
              (_, at) => offset + at,
            );
            resolve(items ?? all);
            await settled();
          },
        });
      }),
    changed: () => (seen.changes += 1),
    short: (offset) => seen.short.push(offset),
  });
  pages.total = total;
  return { pages, asked, seen };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe('pages', () => {
  it('are asked for when they are looked at, and ahead of the scrolling', async () => {
    const { pages, asked } = list(10_000);
    pages.want(1000, 1040, 1);
    expect(asked.map(({ offset }) => offset)).toEqual([1000, 1200, 1400]);
    expect(pages.item(1001)).toBeUndefined();
    await asked[0]!.answer();
    expect(pages.item(1001)).toBe(1001);
    pages.want(1000, 1040, 1);
    expect(asked).toHaveLength(3);
  });

  it('that were scrolled past are not waited for', async () => {
    const { pages, asked } = list(10_000);
    pages.want(0, 40);
    pages.want(5000, 5040);
    expect(asked[0]!.signal.aborted).toBe(true);
    expect(asked.at(-1)!.offset).toBe(5000);
    await settled();
    expect(pages.error(0)).toBeUndefined();
  });

  it('are asked for four at a time', async () => {
    const { pages, asked } = list(10_000);
    pages.want(0, 2000);
    expect(asked).toHaveLength(4);
    await asked[0]!.answer();
    expect(asked).toHaveLength(5);
  });

  it('are forgotten when they are many, the longest unseen first', async () => {
    const { pages, asked } = list(10_000_000);
    for (let index = 0; index < 100_000; index += PAGE) {
      pages.want(index, index + 10);
      await asked.at(-1)!.answer();
    }
    expect(pages.kept).toBeLessThanOrEqual(150);
    expect(pages.item(0)).toBeUndefined();
    expect(pages.item(99_999)).toBe(99_999);
  });

  it('that fail say why until they are tried again', async () => {
    let fails = true;
    const pages = new Pages<number>({
      load: () => (fails ? Promise.reject(new Error('s3 is away')) : Promise.resolve([7])),
      changed: () => {},
    });
    pages.total = 1;
    pages.want(0, 0);
    await settled();
    expect(pages.error(0)?.message).toBe('s3 is away');
    fails = false;
    pages.retry();
    await settled();
    expect(pages.error(0)).toBeUndefined();
    expect(pages.item(0)).toBe(7);
  });

  it('that end too soon are told of', async () => {
    const { pages, asked, seen } = list(1000);
    pages.want(800, 810);
    await asked[0]!.answer([800, 801]);
    expect(seen.short).toEqual([800]);
  });
});

describe('an item that comes late', () => {
  it('moves those behind it by one, over the bounds of pages', async () => {
    const { pages, asked } = list(500);
    pages.want(0, 499);
    for (const each of [...asked]) await each.answer();
    pages.insert(150, 149.5);
    expect(pages.total).toBe(501);
    expect([149, 150, 151, 199, 200, 201, 500].map((at) => pages.item(at))).toEqual([
      149, 149.5, 150, 198, 199, 200, 499,
    ]);
    pages.want(0, 500);
    expect(asked).toHaveLength(3);
  });

  it('lets pages behind a gap be read again, and shows them meanwhile', async () => {
    const { pages, asked } = list(1000);
    pages.want(0, 10);
    await asked[0]!.answer();
    pages.want(800, 999);
    await asked[1]!.answer();
    pages.insert(5, 4.5);
    expect(pages.item(900)).toBe(900);
    pages.want(800, 999);
    expect(asked.at(-1)!.offset).toBe(800);
    expect(asked).toHaveLength(3);
  });

  it('may open a page of its own at the end', async () => {
    const { pages, asked } = list(400);
    pages.want(200, 399);
    await asked[0]!.answer();
    pages.insert(300, 299.5);
    expect(pages.item(400)).toBe(399);
    expect(asked).toHaveLength(1);
  });
});

it('what was learnt elsewhere is shown at once, and completed', async () => {
  const { pages, asked } = list(1000);
  pages.put(550, [550, 551]);
  expect(pages.item(551)).toBe(551);
  pages.want(540, 560);
  expect(asked[0]!.offset).toBe(400);
  await asked[0]!.answer();
  expect(pages.item(540)).toBe(540);
});
