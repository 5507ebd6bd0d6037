import { describe, expect, it } from 'vitest';

import { pieces } from './ansi';
import { marked, regexMatcher, terms, textMatcher } from './highlight';

describe('a text query', () => {
  it('names the terms that are looked for', () => {
    expect(terms('boom "two words" +must -not !never "say \\"hi\\""')).toEqual([
      'boom',
      'two words',
      'must',
      'say "hi"',
    ]);
    expect(terms('ab"cd"')).toEqual(['ab', 'cd']);
    expect(terms('  - "unclosed phrase')).toEqual(['unclosed phrase']);
  });

  it('marks its terms in any case, as they are written', () => {
    expect(textMatcher('a.c')!('A.C abc')).toEqual([{ start: 0, end: 3 }]);
    expect(textMatcher('-not')).toBeUndefined();
  });
});

describe('a regular expression', () => {
  it('takes flags as RE2 writes them, and says when it is none', () => {
    expect(regexMatcher('(?i)bo+m')!('a BOOM')).toEqual([{ start: 2, end: 6 }]);
    expect(regexMatcher('(')).toBeUndefined();
  });

  it('does not mark what is empty', () => {
    expect(regexMatcher('x*')!('abc')).toEqual([]);
  });
});

describe('marks', () => {
  it('combine with colours', () => {
    const text = 'ab\u001b[31mcd\u001b[0mef';
    const segments = marked(pieces(text), [{ start: 1, end: 5 }]);
    expect(segments.map(({ text, marked }) => [text, marked])).toEqual([
      ['a', false],
      ['b', true],
      ['cd', true],
      ['e', true],
      ['f', false],
    ]);
    expect(segments[2]!.classes).toEqual(['ansi-red']);
  });
});
