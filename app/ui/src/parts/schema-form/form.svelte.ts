/** What the fields of a form know together: where somebody was, and what is no JSON. */
import { createContext } from 'svelte';
import { SvelteMap, SvelteSet } from 'svelte/reactivity';

import type { JsonSchema } from './schema';

export class Form {
  /** Fields that somebody left again, by their path: their complaints are shown from then on. */
  readonly left = new SvelteSet<string>();
  /** Fields whose JSON cannot be read, and why. */
  readonly unreadable = new SvelteMap<string, string>();
  /** Somebody tried to send the form: every complaint is shown. */
  revealed = $state(false);

  readonly #root: () => JsonSchema;

  constructor(root: () => JsonSchema) {
    this.#root = root;
  }

  /** The whole schema, which parts of it refer to. */
  get root(): JsonSchema {
    return this.#root();
  }

  /** Whether the complaints about a field are to be seen. */
  shows(path: string): boolean {
    return this.revealed || this.left.has(path);
  }
}

export const [formOf, setForm] = createContext<Form>();
