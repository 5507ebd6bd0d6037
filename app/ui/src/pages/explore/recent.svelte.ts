/** Searches that were made in this browser, newest first, as they stand in the address. */

const KEY = 'tailrace.explore.recent';
const KEPT = 20;

class Recent {
  all = $state.raw<string[]>(read());

  add(address: string) {
    if (!address) return;
    this.all = [address, ...this.all.filter((each) => each !== address)].slice(0, KEPT);
    localStorage.setItem(KEY, JSON.stringify(this.all));
  }

  clear() {
    this.all = [];
    localStorage.removeItem(KEY);
  }
}

function read(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}

export const recent = new Recent();
