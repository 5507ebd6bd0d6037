/** The keys of the log view. */

import type { Key } from '../shell/keys.svelte';
import type { Reader } from './reader.svelte';

/** Those of the page; `focusSearch` goes to the field, also when there is no search to go on with. */
export function pageKeys(reader: Reader, focusSearch: () => void, setWrap: () => void): Key[] {
  const { cursor } = reader;
  const step = (direction: 'next' | 'previous') =>
    reader.find ? void reader.stepMatch(direction) : focusSearch();
  return [
    { keys: '/', does: 'Search lines', act: focusSearch },
    { keys: 'n', does: 'Next match', act: () => step('next') },
    { keys: 'N', does: 'Previous match', act: () => step('previous') },
    { keys: 'e', does: 'Next error', act: () => void reader.stepError('forward') },
    { keys: 'E', does: 'Previous error', act: () => void reader.stepError('backward') },
    { keys: 'j', does: 'Next line', act: () => cursor.move(1) },
    { keys: 'k', does: 'Previous line', act: () => cursor.move(-1) },
    { keys: 'J', does: 'Select the next line too', act: () => cursor.move(1, true) },
    { keys: 'K', does: 'Select the previous line too', act: () => cursor.move(-1, true) },
    { keys: 'g g', does: 'First line', act: () => cursor.choose(0) },
    { keys: 'G', does: 'Last line', act: () => cursor.choose(reader.lines.total - 1) },
    { keys: 'c', does: 'Copy messages', act: () => void reader.copySelected('messages') },
    { keys: 'C', does: 'Copy lines with times', act: () => void reader.copySelected('lines') },
    {
      keys: 'p',
      does: 'Copy a link to the line',
      act: () => void reader.here().then((line) => reader.copyLink(line)),
    },
    { keys: 'w', does: 'Wrap long lines', act: setWrap },
    { keys: 'f', does: 'Follow new lines', act: () => reader.toEnd() },
  ];
}

/** Those of the grid itself, which letters of the page reach too. */
export function gridKey(reader: Reader, event: KeyboardEvent, tell: (index?: number) => void) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey)
    return;
  const { cursor, rows } = reader;
  const act: Record<string, () => void> = {
    ArrowDown: () => cursor.move(1, event.shiftKey),
    ArrowUp: () => cursor.move(-1, event.shiftKey),
    Home: () => cursor.choose(0),
    End: () => cursor.choose(reader.lines.total - 1),
    PageDown: () => rows?.page(1),
    PageUp: () => rows?.page(-1),
    ' ': () => rows?.page(event.shiftKey ? -1 : 1),
    Enter: () => reader.toggle(cursor.at),
    i: () => tell(cursor.at),
    Escape: () => cursor.put(undefined),
  };
  const chosen = act[event.key];
  if (!chosen) return;
  event.preventDefault();
  chosen();
}
