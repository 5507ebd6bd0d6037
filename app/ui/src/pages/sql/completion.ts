/** What the editor offers: columns of the views that the statement names, without their view before them. */

import { namedViews, VIEWS } from './views';

export interface Offer {
  label: string;
  type: string;
  detail: string;
}

/** The columns that a name in this statement may mean; those of all views while it names none. */
export function offeredColumns(sql: string): Offer[] {
  const named = namedViews(sql);
  const found = new Map<string, Offer>();
  for (const view of named.length ? named : VIEWS)
    for (const column of view.columns) {
      const known = found.get(column.name);
      if (known) known.detail += `, ${view.name}`;
      else
        found.set(column.name, {
          label: column.name,
          type: 'property',
          detail: `${column.type.toLowerCase()} of ${view.name}`,
        });
    }
  return [...found.values()];
}
