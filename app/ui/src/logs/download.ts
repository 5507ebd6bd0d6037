/** The lines of a run as a file. */

import { credentials } from '../api/credentials.svelte';
import { headers, refusal } from '../api/client';
import { filterBody, type LineFilter } from './filter';
import type { Query } from './find.svelte';

export const FORMATS = [
  { name: 'text', says: 'Text, as the command line prints it' },
  { name: 'ndjson', says: 'NDJSON, an object a line' },
  { name: 'csv', says: 'CSV' },
  { name: 'parquet', says: 'Parquet' },
] as const;

export type Format = (typeof FORMATS)[number]['name'];

// Without a way to write to the disk as it comes, the file has to fit the page's memory.
const MAX_BLOB = 256 * 1024 * 1024;

interface FilePicker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{
    createWritable: () => Promise<WritableStream<Uint8Array>>;
  }>;
}

/** Fetch the file and hand it to the browser; gives false when the reader chose no place for it. */
export async function download(
  flowRunId: string,
  format: Format,
  filter: LineFilter,
  query: Query | undefined,
): Promise<boolean> {
  const asked = {
    format,
    logs: {
      flow_run_id: { any_: [flowRunId] },
      ...filterBody({ ...filter, ...(query?.kind === 'text' ? { text: query.value } : {}) }),
    },
    ...(query?.kind === 'regex' ? { regex: query.value } : {}),
  };
  const link = credentials.header ? undefined : address(flowRunId, format, asked.logs, asked.regex);
  if (link) {
    save(link);
    return true;
  }
  const name = `${flowRunId}-logs.${format === 'text' ? 'txt' : format}`;
  // Asked before anything is awaited: the browser wants to see the click.
  const pick = (window as FilePicker).showSaveFilePicker;
  let file: WritableStream<Uint8Array> | undefined;
  if (pick) {
    try {
      file = await (await pick.call(window, { suggestedName: name })).createWritable();
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') return false;
      throw error;
    }
  }
  const response = await fetch('/api/tailrace/logs/download', {
    method: 'POST',
    headers: { ...headers(), 'Content-Type': 'application/json' },
    body: JSON.stringify(asked),
  });
  if (!response.ok || !response.body) {
    const said: unknown = await response.json().catch(() => undefined);
    throw refusal(response.status, said);
  }
  if (file) {
    await response.body.pipeTo(file);
    return true;
  }
  const url = URL.createObjectURL(await small(response.body));
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return true;
}

/** The address of the same file, where one can say what is wanted. */
function address(
  flowRunId: string,
  format: Format,
  logs: ReturnType<typeof filterBody>,
  regex: string | undefined,
): string | undefined {
  if (logs.task_run_id || logs.level?.le_ !== undefined) return undefined;
  const query = new URLSearchParams({ format, flow_run_id: flowRunId });
  if (logs.level?.ge_ !== undefined) query.set('level', String(logs.level.ge_));
  if (logs.text) query.set('text', logs.text.query);
  if (regex) query.set('regex', regex);
  return `/api/tailrace/logs/download?${query}`;
}

function save(href: string, name = '') {
  const link = document.createElement('a');
  link.href = href;
  link.download = name;
  link.click();
}

async function small(body: ReadableStream<Uint8Array>): Promise<Blob> {
  const parts: BlobPart[] = [];
  let size = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    size += value.byteLength;
    if (size > MAX_BLOB) {
      await reader.cancel();
      throw new Error(
        'the file is larger than this browser can take here; use `tailrace logs show`, or narrow it',
      );
    }
    parts.push(value as BlobPart);
  }
}
