/** What a reader chose for this browser: theme, clock. */

import type { Clock } from '../format/time';

export type Theme = 'light' | 'dark' | 'system';

const dark = matchMedia('(prefers-color-scheme: dark)');

function stored<T extends string>(key: string, known: readonly T[], otherwise: T): T {
  const value = localStorage.getItem(key);
  return known.find((each) => each === value) ?? otherwise;
}

class Preferences {
  theme = $state<Theme>(stored('tailrace.theme', ['light', 'dark', 'system'], 'system'));
  clock = $state<Clock>(stored('tailrace.clock', ['local', 'utc'], 'local'));
  /** Changes when what is on screen changes its colours: charts draw anew. */
  dark = $state(false);

  constructor() {
    this.#apply();
    dark.addEventListener('change', () => this.#apply());
  }

  setTheme(theme: Theme) {
    this.theme = theme;
    localStorage.setItem('tailrace.theme', theme);
    this.#apply();
  }

  setClock(clock: Clock) {
    this.clock = clock;
    localStorage.setItem('tailrace.clock', clock);
  }

  #apply() {
    this.dark = this.theme === 'system' ? dark.matches : this.theme === 'dark';
    document.documentElement.dataset.theme = this.dark ? 'dark' : 'light';
  }
}

export const preferences = new Preferences();
