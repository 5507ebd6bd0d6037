/** Puts text on the clipboard, and says whether it is there. */
import { notices } from '../shell/notices.svelte';

/** `what` is how the notice calls it. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notices.done(`${what} copied.`);
  } catch {
    // Over plain HTTP a page has no clipboard, but on this machine.
    notices.failed(
      'Copy',
      new Error('the browser does not let this page: select the text instead'),
    );
  }
}
