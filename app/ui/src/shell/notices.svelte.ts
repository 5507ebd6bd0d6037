/** Short messages about what was just done, or could not be. */

export interface Notice {
  id: number;
  kind: 'done' | 'failed';
  text: string;
}

const SHOWN_MILLISECONDS = 6000;

class Notices {
  all = $state.raw<Notice[]>([]);
  #next = 1;

  /** Say that something worked. */
  done(text: string) {
    this.#add('done', text);
  }

  /** Say what failed, and why: it stays until it is closed. */
  failed(what: string, error: unknown) {
    this.#add('failed', `${what}: ${error instanceof Error ? error.message : String(error)}`);
  }

  close(id: number) {
    this.all = this.all.filter((each) => each.id !== id);
  }

  #add(kind: Notice['kind'], text: string) {
    const id = this.#next++;
    this.all = [...this.all.slice(-4), { id, kind, text }];
    if (kind === 'done') setTimeout(() => this.close(id), SHOWN_MILLISECONDS);
  }
}

export const notices = new Notices();
