/** Names of task runs beside their lines, asked for when a line of one is shown. */

import { SvelteMap } from 'svelte/reactivity';

import { api, ApiError, read } from '../api/client';

const TOGETHER_MILLISECONDS = 40;
const MAX_IDS = 200;

export class TaskNames {
  #names = new SvelteMap<string, string>();
  #asked = new Set<string>();
  #waiting = new Set<string>();

  /** The name; asked for when it is not known. */
  of(id: string | null): string | undefined {
    if (!id) return undefined;
    if (!this.#asked.has(id)) {
      this.#asked.add(id);
      this.#waiting.add(id);
      if (this.#waiting.size === 1) setTimeout(() => void this.#ask(), TOGETHER_MILLISECONDS);
    }
    return this.#names.get(id);
  }

  async #ask() {
    const ids = [...this.#waiting].slice(0, MAX_IDS);
    for (const id of ids) this.#waiting.delete(id);
    if (this.#waiting.size) setTimeout(() => void this.#ask(), TOGETHER_MILLISECONDS);
    try {
      const found = await read(
        api.POST('/api/task_runs/filter', {
          body: { task_runs: { id: { any_: ids } }, limit: MAX_IDS },
        }),
      );
      for (const task of found) this.#names.set(task.id, task.name ?? task.id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Lines are shown without; they are asked for again with the next lines.
      for (const id of ids) this.#asked.delete(id);
    }
  }
}
