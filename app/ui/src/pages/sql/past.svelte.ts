/** Statements that this browser ran, newest first. */

export interface Ran {
  sql: string;
  /** When, in milliseconds since 1970. */
  at: number;
  /** Absent when it failed. */
  rows?: number;
  milliseconds?: number;
}

const KEY = 'tailrace.sql.history';
const KEPT = 50;

class Past {
  all = $state.raw<Ran[]>(read());

  /** Take down that a statement was run; the same one is there once. */
  add(ran: Ran) {
    this.all = [ran, ...this.all.filter((each) => each.sql !== ran.sql)].slice(0, KEPT);
    localStorage.setItem(KEY, JSON.stringify(this.all));
  }

  clear() {
    this.all = [];
    localStorage.removeItem(KEY);
  }
}

function read(): Ran[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept)
      ? (kept as Ran[]).filter((each) => typeof each.sql === 'string')
      : [];
  } catch {
    return [];
  }
}

export const past = new Past();
