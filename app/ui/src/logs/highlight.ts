/** What of a text matches a search, to be marked; the server alone decides which lines match. */

import type { Piece } from './ansi';
import { browserExpression, literal } from './expression';

export interface Span {
  start: number;
  end: number;
}

export type Matcher = (text: string) => Span[];

/** A piece of a message, marked when it is part of a match. */
export interface Segment extends Piece {
  marked: boolean;
}

// Of one message: more would only make it slow.
const MAX_SPANS = 500;

/** The terms of a text query that are looked for, without those that exclude. Terms are separated by
 * spaces, `"a phrase"` is one, `+` requires, `-` and `!` exclude. */
export function terms(query: string): string[] {
  const found: string[] = [];
  let at = 0;
  while (at < query.length) {
    if (/\s/.test(query[at]!)) {
      at += 1;
      continue;
    }
    const prefix = '+-!'.includes(query[at]!) ? query[at++] : '';
    let term = '';
    if (query[at] === '"') {
      at += 1;
      while (at < query.length && query[at] !== '"') {
        if (query[at] === '\\' && ['"', '\\'].includes(query[at + 1] ?? '')) at += 1;
        term += query[at++];
      }
      at += 1;
    } else {
      while (at < query.length && query[at] !== '"' && !/\s/.test(query[at]!)) term += query[at++];
    }
    if (term && prefix !== '-' && prefix !== '!') found.push(term);
  }
  return found;
}

/** Marks what a text query looks for, in any case. */
export function textMatcher(query: string): Matcher | undefined {
  const wanted = terms(query);
  if (!wanted.length) return undefined;
  return expressionMatcher(new RegExp(wanted.map(literal).join('|'), 'giu'));
}

/** Marks what a regular expression matches; undefined for one that the browser cannot match as the server
 * does (`browserExpression`). */
export function regexMatcher(source: string): Matcher | undefined {
  const expression = browserExpression(source);
  return expression && expressionMatcher(expression);
}

function expressionMatcher(expression: RegExp): Matcher {
  return (text) => {
    const spans: Span[] = [];
    for (const match of text.matchAll(expression)) {
      if (match[0]) spans.push({ start: match.index, end: match.index + match[0].length });
      if (spans.length >= MAX_SPANS) break;
    }
    return spans;
  };
}

/** Pieces cut where marks begin and end. `spans` are of the joined text, in order, apart. */
export function marked(pieces: Piece[], spans: Span[]): Segment[] {
  if (!spans.length) return pieces.map((piece) => ({ ...piece, marked: false }));
  const segments: Segment[] = [];
  let from = 0;
  let next = 0;
  for (const piece of pieces) {
    const end = from + piece.text.length;
    let at = from;
    while (at < end) {
      while (next < spans.length && spans[next]!.end <= at) next += 1;
      const span = spans[next];
      const inside = span !== undefined && span.start <= at;
      const until = Math.min(end, inside ? span.end : (span?.start ?? end));
      segments.push({ ...piece, text: piece.text.slice(at - from, until - from), marked: inside });
      at = until;
    }
    from = end;
  }
  return segments;
}
