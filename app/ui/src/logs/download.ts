/** The lines of a run as a file. */

import { api, read } from '../api/client';
import { filterBody, regexBody, type LineFilter } from './filter';
import type { Query } from './find.svelte';

export const FORMATS = [
  { name: 'text', says: 'Text, as the command line prints it' },
  { name: 'ndjson', says: 'NDJSON, an object a line' },
  { name: 'csv', says: 'CSV' },
  { name: 'parquet', says: 'Parquet' },
] as const;

export type Format = (typeof FORMATS)[number]['name'];

/** Have the browser write the file to the disk as it comes: a ticket admits it, as it sends no credentials. */
export async function download(
  flowRunId: string,
  format: Format,
  filter: LineFilter,
  query: Query | undefined,
): Promise<void> {
  const wanted = query ? { ...filter, [query.kind]: query.value } : filter;
  const { ticket } = await read(
    api.POST('/api/tailrace/logs/download/tickets', {
      body: {
        format,
        logs: { flow_run_id: { any_: [flowRunId] }, ...filterBody(wanted) },
        ...regexBody(wanted),
      },
    }),
  );
  const link = document.createElement('a');
  link.href = `/api/tailrace/logs/download/by-ticket/${ticket}`;
  link.download = '';
  link.click();
}
