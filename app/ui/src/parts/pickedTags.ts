/**
 * Tags that a list is filtered by, kept in the address as one `tag`, since of a name that is there twice the
 * router keeps the last on the way back.
 */
import { searchParams } from 'sv-router';

/** Those picked now; a rune that changes with the address. */
export const picked = (): string[] => {
  const text = searchParams.toURLSearchParams().get('tag') ?? '';
  return text.split(',').filter(Boolean).map(decoded);
};

// An address may be typed.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function keep(tags: string[]) {
  searchParams.delete('page', undefined, { replace: true });
  if (tags.length) searchParams.set('tag', tags.map(encodeURIComponent).join(','));
  else searchParams.delete('tag');
}

/** Filter by one more. */
export function pick(tag: string) {
  if (!picked().includes(tag)) keep([...picked(), tag]);
}

/** Filter by one less. */
export const drop = (tag: string) => keep(picked().filter((each) => each !== tag));
