import { describe, expect, it } from 'vitest';

import { pieces, plain } from './ansi';

describe('a message with escapes', () => {
  it('keeps its text and loses the escapes', () => {
    expect(plain('\u001b[1;31mout\u001b[0m of \u001b[2Kmemory')).toBe('out of memory');
    expect(plain('\u001b]8;;https://a.example\u001b\\here\u001b]8;;\u001b\\')).toBe('here');
    expect(plain('\u001b]0;title\u0007text')).toBe('text');
  });

  it('becomes pieces with classes for the named colours', () => {
    expect(pieces('a \u001b[1;31mred\u001b[0m b')).toEqual([
      { text: 'a ', classes: [] },
      { text: 'red', classes: ['bold', 'ansi-red'] },
      { text: ' b', classes: [] },
    ]);
    expect(pieces('\u001b[44mx')[0]).toEqual({ text: 'x', classes: ['on-ansi-blue'] });
  });

  it('has the colours of the palette and of 24 bits as they are', () => {
    expect(pieces('\u001b[38;5;208mx')[0]?.foreground).toBe('rgb(255, 135, 0)');
    expect(pieces('\u001b[38;5;244mx')[0]?.foreground).toBe('rgb(128, 128, 128)');
    expect(pieces('\u001b[48;2;1;2;3mx')[0]?.background?.replaceAll(' ', '')).toBe('rgb(1,2,3)');
  });

  it('joins to the plain text, whatever it is', () => {
    for (const text of [
      'plain',
      '\u001b[31ma\r\nb\u0000c\u001b[0m',
      '50% progress\r100% progress',
      'lone \u001b escape',
      '\u001b[',
      '\u001b[38;5mx\u001b[38;2;300;1mx',
    ]) {
      expect(
        pieces(text)
          .map((piece) => piece.text)
          .join(''),
      ).toBe(plain(text));
    }
  });
});
