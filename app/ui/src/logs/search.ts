/** Searching lines: the answer comes in steps, as JSON objects, one a line. */

import { ApiError, headers, refusal } from '../api/client';
import type { paths } from '../api/schema';
import type { Line } from './line';

export type SearchBody = NonNullable<
  paths['/api/tailrace/logs/search']['post']['requestBody']
>['content']['application/json'];

/** What was found since the step before, and how far the search is. */
export interface SearchStep {
  lines: Line[];
  rows_read: number;
  rows: number;
  objects_read: number;
  objects: number;
  bytes_read: number;
  bytes: number;
  done: boolean;
  /** Of the last step: where to go on; null when nothing is left. */
  cursor: string | null;
}

/** Search; leaving the loop, or aborting the signal, ends the work on the server too. */
export async function* search(body: SearchBody, signal: AbortSignal): AsyncGenerator<SearchStep> {
  let response: Response;
  try {
    response = await fetch('/api/tailrace/logs/search', {
      method: 'POST',
      headers: { ...headers(), 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError('The server does not answer.', 0);
  }
  if (!response.ok || !response.body) {
    const said: unknown = await response.json().catch(() => undefined);
    throw refusal(response.status, said);
  }
  for await (const step of jsonLines(response.body)) {
    if (isError(step)) throw refusal(503, step.error);
    yield step as SearchStep;
  }
}

/** The JSON values of a body that has one a line. */
export async function* jsonLines(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = (await reader.read()) as { done: boolean; value?: string };
      rest += value ?? '';
      const lines = rest.split('\n');
      rest = done ? '' : lines.pop()!;
      for (const line of lines) if (line.trim()) yield JSON.parse(line);
      if (done) return;
    }
  } finally {
    // Whoever leaves the loop early wants no more of it.
    void reader.cancel().catch(() => undefined);
  }
}

const isError = (step: unknown): step is { error: unknown } =>
  typeof step === 'object' && step !== null && 'error' in step;
