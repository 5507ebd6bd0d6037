/** Running statements. */

import { ApiError, headers, refusal } from '../../api/client';
import { parse, type Result } from './answer';

export type FileFormat = 'csv' | 'json' | 'parquet' | 'arrow';

export const FORMATS: { format: FileFormat; name: string }[] = [
  { format: 'csv', name: 'CSV' },
  { format: 'json', name: 'JSON' },
  { format: 'parquet', name: 'Parquet' },
  { format: 'arrow', name: 'Arrow' },
];

/** As many rows as an answer can have. */
export const MOST_ROWS = 1_000_000;

/** Run a statement; aborting ends its work on the server. Throws ApiError. */
export async function run(sql: string, limit: number, signal: AbortSignal): Promise<Result> {
  const began = performance.now();
  const response = await ask(sql, 'json', limit, signal);
  const text = await body(() => response.text());
  const answer = parse(text) as Pick<Result, 'columns' | 'rows' | 'truncated'>;
  return {
    ...answer,
    sql,
    limit,
    milliseconds: performance.now() - began,
    bytes: new TextEncoder().encode(text).length,
  };
}

/** The result as a file, and whether there were more rows than it has. */
export async function file(
  sql: string,
  format: FileFormat,
  signal: AbortSignal,
): Promise<{ file: Blob; truncated: boolean }> {
  const response = await ask(sql, format, MOST_ROWS, signal);
  return {
    file: await body(() => response.blob()),
    truncated: response.headers.get('Tailrace-Truncated') === 'true',
  };
}

async function ask(sql: string, format: FileFormat, limit: number, signal: AbortSignal) {
  const response = await body(() =>
    fetch('/api/tailrace/sql', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers() },
      body: JSON.stringify({ sql, format, limit }),
      signal,
    }),
  );
  if (!response.ok) throw refusal(response.status, await response.json().catch(() => undefined));
  return response;
}

async function body<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError('The server does not answer.', 0);
  }
}
