/** `j` and `k` in a table: they go from row to row, by the first link of each. */

import { keys } from '../shell/keys.svelte';

/** To be called in a component's script: `rowKeys(() => table, 'flow')`. */
export function rowKeys(table: () => HTMLElement | undefined, what: string) {
  $effect(() =>
    keys.add(
      { keys: 'j', does: `Next ${what}`, act: () => step(table(), 1) },
      { keys: 'k', does: `Previous ${what}`, act: () => step(table(), -1) },
    ),
  );
}

function step(table: HTMLElement | undefined, by: 1 | -1) {
  const links = [...(table?.querySelectorAll('tbody tr') ?? [])].flatMap(
    (row) => row.querySelector('a') ?? [],
  );
  const at = links.findIndex((link) => link.closest('tr')?.contains(document.activeElement));
  const wanted = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
  links[wanted]?.focus();
}
