/** Whether the server answers at all; when it does not, it is asked again until it does. */

const FIRST_WAIT_SECONDS = 1;
const LONGEST_WAIT_SECONDS = 15;
// Pages that ask for nothing by themselves hear of it too.
const BEAT_MILLISECONDS = 15_000;
const ANSWER_MILLISECONDS = 5000;

class Connection {
  /** Since when nothing answers; null: it answers. */
  lostSince = $state.raw<Date | null>(null);
  /** When it is asked again; null while it is being asked. */
  nextTry = $state.raw<Date | null>(null);
  /** Grows each time it came back: what was read before may be old. */
  restored = $state(0);

  #wait = FIRST_WAIT_SECONDS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** A request got no answer. */
  lost() {
    if (this.lostSince) return;
    this.lostSince = new Date();
    this.#wait = FIRST_WAIT_SECONDS;
    this.#later();
  }

  /** Ask now, not when the wait is over. */
  async tryNow(): Promise<void> {
    clearTimeout(this.#timer);
    this.nextTry = null;
    if (!(await answers())) {
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_SECONDS);
      this.#later();
      return;
    }
    this.lostSince = null;
    this.restored += 1;
  }

  /** Look after it for as long as the application runs; gives back what ends that. */
  watch(): () => void {
    const beat = setInterval(() => {
      if (this.lostSince || document.visibilityState !== 'visible') return;
      void answers().then((answered) => {
        if (!answered) this.lost();
      });
    }, BEAT_MILLISECONDS);
    const online = () => {
      if (this.lostSince) void this.tryNow();
    };
    window.addEventListener('online', online);
    return () => {
      clearInterval(beat);
      clearTimeout(this.#timer);
      window.removeEventListener('online', online);
    };
  }

  #later() {
    clearTimeout(this.#timer);
    this.nextTry = new Date(Date.now() + this.#wait * 1000);
    this.#timer = setTimeout(() => void this.tryNow(), this.#wait * 1000);
  }
}

async function answers(): Promise<boolean> {
  try {
    const answer = await fetch('/api/health', { signal: AbortSignal.timeout(ANSWER_MILLISECONDS) });
    return answer.ok;
  } catch {
    return false;
  }
}

export const connection = new Connection();
