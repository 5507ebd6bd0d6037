/** Tags that a list is filtered by, kept in the address as `tag`, once for each. */
import { searchParams } from 'sv-router';

/** Those picked now; a rune that changes with the address. */
export const picked = (): string[] => searchParams.getAll('tag').map(String);

/** Filter by one more. */
export function pick(tag: string) {
  if (picked().includes(tag)) return;
  searchParams.delete('page', undefined, { replace: true });
  searchParams.append('tag', tag);
}

/** Filter by one less. */
export function drop(tag: string) {
  searchParams.delete('page', undefined, { replace: true });
  searchParams.delete('tag', tag);
}
