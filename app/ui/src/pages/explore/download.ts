/** What is searched for as a file. */

import { ApiError, headers, refusal } from '../../api/client';
import { saveFile } from '../../parts/saveFile';
import { linesBody, rangeAt, type Filters } from './filters';

export type Format = 'text' | 'ndjson' | 'csv' | 'parquet';

export const FORMATS: { name: Format; says: string; suffix: string }[] = [
  { name: 'text', says: 'Text', suffix: 'log' },
  { name: 'ndjson', says: 'NDJSON', suffix: 'ndjson' },
  { name: 'csv', says: 'CSV', suffix: 'csv' },
  { name: 'parquet', says: 'Parquet', suffix: 'parquet' },
];

/** Fetch it and hand it to the reader; gives its size. Throws ApiError when it could not be made to its end. */
export async function download(
  filters: Filters,
  { name, suffix }: (typeof FORMATS)[number],
  signal: AbortSignal,
): Promise<number> {
  try {
    const response = await fetch('/api/tailrace/logs/download', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers() },
      body: JSON.stringify({
        format: name,
        ...linesBody(filters, rangeAt(filters, Date.now())),
      }),
      signal,
    });
    if (!response.ok) throw refusal(response.status, await response.json().catch(() => undefined));
    const file = await response.blob();
    saveFile(`logs-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.${suffix}`, file);
    return file.size;
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError('The file broke off: lines that belong into it could not be read.', 0);
  }
}
