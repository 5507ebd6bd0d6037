/** What the server finds wrong with what was filled in, by field, in words for people. */
import type { ApiError } from '../../api/client';

/** By the last step of each field's path. */
export function problemsOf(error: ApiError | undefined): Map<string, string> {
  return new Map(error?.fields.map(({ path, message }) => [path.at(-1) ?? '', inWords(message)]));
}

function inWords(message: string): string {
  const least = /^Expected `\w+` >= (\S+)/.exec(message);
  if (least) return `Must be at least ${least[1]}.`;
  const most = /^Expected `\w+` <= (\S+)/.exec(message);
  if (most) return `Must be at most ${most[1]}.`;
  if (message.includes("'^[^/%&><]+$'"))
    return 'Must not be empty, nor contain any of / % & < and >.';
  // The field is named beside it anyway.
  return message.replace(/^`[\w.]+` /, '').replace(/^./, (first) => first.toUpperCase());
}
