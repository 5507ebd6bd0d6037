import { describe, expect, it } from 'vitest';

import { imageOf, tableOf } from './artifacts';

describe("an artifact's table", () => {
  it('is read from rows that are objects, with every column that any has', () => {
    expect(tableOf('[{"a": 1}, {"b": 2}]')).toEqual({
      columns: ['a', 'b'],
      rows: [
        [1, undefined],
        [undefined, 2],
      ],
    });
  });

  it('is read from columns, and from rows that are lists', () => {
    expect(tableOf({ a: [1, 2], b: [3] })).toEqual({
      columns: ['a', 'b'],
      rows: [
        [1, 3],
        [2, undefined],
      ],
    });
    expect(tableOf([[1, 2]])?.columns).toEqual(['1', '2']);
  });

  it('is none where there is none', () => {
    expect(tableOf('no JSON')).toBeUndefined();
    expect(tableOf([1, 2])).toBeUndefined();
  });
});

describe("an artifact's image", () => {
  it('is shown when it is from here, linked to when it is not, and neither when it is no page', () => {
    expect(imageOf('/a.png', 'http://here')).toEqual({ url: 'http://here/a.png', local: true });
    expect(imageOf('https://there/a.png', 'http://here')?.local).toBe(false);
    expect(imageOf('javascript:alert(1)', 'http://here')).toBeUndefined();
  });
});
