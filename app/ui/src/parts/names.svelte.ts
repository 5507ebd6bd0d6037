/** Names of flows and deployments by id, read a batch at a time and kept: names change rarely. */
import { SvelteMap } from 'svelte/reactivity';

import { api, read } from '../api/client';

type Named = { id: string; name: string };

// As many as the API answers at once.
const BATCH = 200;

class Names {
  readonly #known = new SvelteMap<string, string>();
  readonly #wanted = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #ask: (ids: string[]) => Promise<Named[]>;

  constructor(ask: (ids: string[]) => Promise<Named[]>) {
    this.#ask = ask;
  }

  /** The name, as soon as it is read: until then, and when nothing has this id, undefined. */
  of(id: string | null | undefined): string | undefined {
    if (!id) return undefined;
    const name = this.#known.get(id);
    if (name === undefined && !this.#wanted.has(id)) {
      this.#wanted.add(id);
      this.#timer ??= setTimeout(() => void this.#read(), 10);
    }
    return name;
  }

  /** Take names that came with something else. */
  learn(named: Named[]) {
    for (const { id, name } of named) this.#known.set(id, name);
  }

  async #read() {
    this.#timer = undefined;
    const ids = [...this.#wanted].filter((id) => !this.#known.has(id)).slice(0, BATCH);
    try {
      this.learn(await this.#ask(ids));
    } catch {
      // Not told: the page that could not read its own data tells. They are asked for again.
      for (const id of ids) this.#wanted.delete(id);
    }
  }
}

export const flowNames = new Names((ids) =>
  read(api.POST('/api/flows/filter', { body: { flows: { id: { any_: ids } }, limit: BATCH } })),
);

export const deploymentNames = new Names((ids) =>
  read(
    api.POST('/api/deployments/filter', {
      body: { deployments: { id: { any_: ids } }, limit: BATCH },
    }),
  ),
);
