/**
 * Keys and what they do. A page registers its own while it is shown:
 *
 *     $effect(() => keys.add({ keys: 'j', does: 'next run', act: next }));
 *
 * `keys` is one key (`/`, `?`, `j`, `Escape`, `Control+k`) or two in a row (`g r`). Keys do nothing while
 * somebody types into a field, but for `Escape` and those with Control or Meta.
 */

import { untrack } from 'svelte';

export interface Key {
  keys: string;
  does: string;
  act: (event: KeyboardEvent) => void;
  /** Where the help lists it. */
  group?: 'Go to' | 'This page' | 'Everywhere';
}

// The second of two keys is waited for so long.
const SEQUENCE_MILLISECONDS = 1200;

class Keys {
  all = $state.raw<Key[]>([]);
  #first: { key: string; at: number } | undefined;

  /** Register a key; gives back what takes it away again. */
  add(...added: Key[]): () => void {
    // Whoever registers in an effect does not depend on what others register.
    this.all = [...untrack(() => this.all), ...added];
    return () => {
      this.all = this.all.filter((each) => !added.includes(each));
    };
  }

  /** What a key that was pressed does, for `<svelte:window onkeydown>`. */
  handle = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    const chord = event.ctrlKey || event.metaKey;
    if (typing(event.target) && !chord && event.key !== 'Escape') return;
    // A dialog has the keyboard to itself.
    if (document.querySelector('dialog[open]') && !chord) return;
    const key = chord ? `Control+${event.key.toLowerCase()}` : event.key;
    const first = this.#first;
    this.#first = undefined;
    const wanted =
      first && event.timeStamp - first.at < SEQUENCE_MILLISECONDS ? `${first.key} ${key}` : key;
    // The last registered one wins: what lies on top.
    const found = this.all.findLast((each) => each.keys === wanted);
    if (found) {
      event.preventDefault();
      found.act(event);
    } else if (this.all.some((each) => each.keys.startsWith(`${key} `))) {
      this.#first = { key, at: event.timeStamp };
    }
  };
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement) return true;
  if (target instanceof HTMLSelectElement) return true;
  return (
    target instanceof HTMLInputElement &&
    !['checkbox', 'radio', 'button', 'range'].includes(target.type)
  );
}

export const keys = new Keys();
