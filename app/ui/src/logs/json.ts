/** JSON in messages: the whole message, or its tail after some words. */

/** A message that ends in JSON: the words before it, and the value. */
export interface JsonTail {
  before: string;
  value: object;
}

// Longer ones are shown as they are: parsing them would be felt.
const MAX_LENGTH = 200_000;

/** The JSON object or list that a text is or ends in; undefined when there is none. */
export function jsonTail(text: string): JsonTail | undefined {
  const end = text.trimEnd();
  const last = end.at(-1);
  if ((last !== '}' && last !== ']') || end.length > MAX_LENGTH) return undefined;
  const opening = last === '}' ? '{' : '[';
  // The first bracket from which on it parses; few are tried, since each costs a parse.
  let at = end.indexOf(opening);
  for (let tries = 0; at >= 0 && tries < 4; tries += 1) {
    const value = parsed(end.slice(at));
    if (value && Object.keys(value).length) return { before: text.slice(0, at), value };
    at = end.indexOf(opening, at + 1);
  }
  return undefined;
}

/** The same text with its JSON over several lines, indented by two. */
export const pretty = (tail: JsonTail) =>
  (tail.before.trim() ? `${tail.before.trimEnd()}\n` : '') + JSON.stringify(tail.value, null, 2);

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
