/** The secret that the server asks for where access is on: kept for the tab, not longer. */

const KEY = 'tailrace.authorization';

class Credentials {
  /** The value of the Authorization header; null before anybody signed in. */
  header = $state<string | null>(sessionStorage.getItem(KEY));
  /** Whether the server refused what it was given, or wanted more than nothing. */
  wanted = $state(false);

  /** The Authorization header that says this `user:password`. */
  headerOf(secret: string): string {
    return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(secret)))}`;
  }

  /** Use this `user:password` from now on. */
  signIn(secret: string) {
    this.header = this.headerOf(secret);
    sessionStorage.setItem(KEY, this.header);
    this.wanted = false;
  }

  /** Forget it. */
  signOut() {
    this.header = null;
    sessionStorage.removeItem(KEY);
    this.wanted = true;
  }

  /** The server answered 401. */
  refused() {
    this.wanted = true;
  }
}

export const credentials = new Credentials();
