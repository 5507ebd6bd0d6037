/** What the address asks of the log view. Each is a value of its own: whoever wraps lines searches not anew. */

import { preferences } from '../shell/preferences.svelte';
import * as address from './address';
import { parseLevels, type LineFilter } from './filter';
import type { Query } from './find.svelte';

export class Asked {
  #kind = $derived(address.givenQuery()?.kind);
  #value = $derived(address.givenQuery()?.value);
  #levels = $derived(address.given('level'));

  query = $derived<Query | undefined>(
    this.#kind && this.#value ? { kind: this.#kind, value: this.#value } : undefined,
  );
  /** Only lines that match are shown. */
  only = $derived(address.given('only') !== null && this.query !== undefined);
  levels = $derived(parseLevels(this.#levels));
  taskRunId = $derived(address.given('task') ?? undefined);
  wrap = $derived(address.given('wrap') !== null);
  time = $derived(address.givenTime(preferences.clock));
  /** The line that the address names. */
  line = $derived(address.given('line'));

  /** Without levels. */
  narrow = $derived<LineFilter>({
    taskRunId: this.taskRunId,
    ...(this.only && this.query ? { [this.query.kind]: this.query.value } : {}),
  });
  filter = $derived<LineFilter>({ levels: this.levels, ...this.narrow });
  narrowed = $derived(this.levels.length > 0 || this.only || this.taskRunId !== undefined);
}
