/** Messages of several lines: folded they show their first line, and what a traceback ended with. */

import { plain } from './ansi';
import { jsonTail, pretty } from './json';

export interface Folded {
  /** Shown when it is folded: the first line that says something. */
  first: string;
  /** Of a traceback: its last line, the exception. */
  ending?: string;
  /** Lines that unfolding shows besides. */
  more: number;
  /** Whether it is JSON that unfolding sets out. */
  json: boolean;
}

const TRACEBACK = /^(?:Traceback \(most recent call last\)|\s*\+ Exception Group Traceback)/m;

/** How a message folds; undefined when it is one line with nothing to unfold. */
export function folded(message: string): Folded | undefined {
  const text = message.trimEnd();
  if (!text.includes('\n') && !text.includes('\r')) {
    const tail = /[}\]]$/.test(text) ? jsonTail(plain(text)) : undefined;
    if (!tail) return undefined;
    return { first: text, more: pretty(tail).split('\n').length - 1, json: true };
  }
  const lines = text.split(/\r\n|\r|\n/);
  const at = lines.findIndex((line) => line.trim());
  const first = lines[at] ?? '';
  const more = lines.length - 1;
  if (!TRACEBACK.test(text)) return { first, more, json: false };
  const ending = exception(lines);
  return { first, more, json: false, ...(ending && ending !== first ? { ending } : {}) };
}

/** What is shown of an unfolded message. */
export function unfolded(message: string): string {
  const fold = folded(message);
  if (!fold?.json) return message.trimEnd();
  const tail = jsonTail(plain(message));
  return tail ? pretty(tail) : message.trimEnd();
}

/** The line that names the exception: the last one that is not indented after the last frame. */
function exception(lines: string[]): string | undefined {
  const frame = lines.findLastIndex((line) => /^\s*(?:\|\s*)*File ".*", line \d+/.test(line));
  if (frame < 0) return undefined;
  return lines.slice(frame + 1).find((line) => /^[\w.]+(?:: |$)/.test(line));
}
