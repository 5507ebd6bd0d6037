/**
 * Filters under a name, kept by the server as saved searches, so that everybody has them. A saved search
 * holds conditions in the words of whoever saved it: ours is one condition, the address's parameters.
 */
import { api, read } from '../../api/client';

export interface Saved {
  id: string;
  name: string;
  /** As after the `?` of the address. */
  address: string;
}

const OURS = { object: 'flow_run', property: 'address', type: 'tailrace', operation: 'equals' };

/** All of them, by name. Saved searches that others made in other words are left out. */
export async function savedFilters(): Promise<Saved[]> {
  const all = await read(api.POST('/api/saved_searches/filter', { body: { limit: 200 } }));
  return all
    .flatMap(({ id, name, filters }) => {
      const ours = filters.find(
        (each) => each.type === OURS.type && each.property === OURS.property,
      );
      return ours ? [{ id, name, address: String(ours.value) }] : [];
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** Keep a filter; one of the same name is replaced. */
export async function save(name: string, address: string): Promise<void> {
  await read(
    api.PUT('/api/saved_searches', { body: { name, filters: [{ ...OURS, value: address }] } }),
  );
}

export async function forget(id: string): Promise<void> {
  await read(
    api.DELETE('/api/saved_searches/{saved_search_id}', {
      params: { path: { saved_search_id: id } },
    }),
  );
}
