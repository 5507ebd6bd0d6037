/** Names of flows by their ids. */
import { api, read } from '../../api/client';

// A name does not change: each is asked for once.
const known = new Map<string, string>();

/** Names of these flows; one that is gone is missing. */
export async function flowNames(
  ids: Iterable<string>,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  if (missing.length) {
    const body = { flows: { id: { any_: missing } }, limit: missing.length };
    for (const { id, name } of await read(api.POST('/api/flows/filter', { body, signal })))
      known.set(id, name);
  }
  return new Map(known);
}
