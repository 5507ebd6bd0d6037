/** The API, typed from its OpenAPI document; and what went wrong, as one kind of error. */
import createClient, { type Middleware } from 'openapi-fetch';

import { connection } from './connection.svelte';
import { credentials } from './credentials.svelte';
import type { components, paths } from './schema';

/** A type of the API's by its name: `Schema<'FlowRun'>`. */
export type Schema<Name extends keyof components['schemas']> = components['schemas'][Name];

/** What the server, or the way to it, answered instead of what was asked for. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The fields that a 422 names, with what is wrong with each. */
    readonly fields: { path: string[]; message: string }[] = [],
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** How the server knows that a person did it, not a program. */
export const CLIENT_HEADER = { 'X-Tailrace-Client': 'ui' };

const access: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(headers())) request.headers.set(name, value);
  },
};

/** Headers of every request, also of those that `fetch` makes itself. */
export function headers(): Record<string, string> {
  const authorization = credentials.header;
  return authorization ? { ...CLIENT_HEADER, Authorization: authorization } : CLIENT_HEADER;
}

export const api = createClient<paths>({ baseUrl: '/' });
api.use(access);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/**
 * The data of an answer: `const runs = await read(api.POST('/api/flow_runs/filter', { body }))`.
 * Throws `ApiError` for every other outcome.
 */
export async function read<T>(asked: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    connection.lost();
    throw new ApiError('The server does not answer.', 0);
  }
  // What stands before the server says that it is not there.
  if (answer.response.status === 502 || answer.response.status === 504) connection.lost();
  if (!answer.response.ok) throw refusal(answer.response.status, answer.error);
  return answer.data as T;
}

/** The error that an answer of this status and body stands for. */
export function refusal(status: number, body: unknown): ApiError {
  if (status === 401) credentials.refused();
  const said = body as
    | {
        detail?: unknown;
        message?: string;
        exception_message?: string;
        exception_detail?: unknown;
      }
    | undefined;
  const listed = Array.isArray(said?.exception_detail) ? said.exception_detail : said?.detail;
  const fields = Array.isArray(listed)
    ? listed.map((each: { loc?: (string | number)[]; msg?: string }) => ({
        path: (each.loc ?? []).map(String).filter((part) => part !== 'body'),
        message: each.msg ?? 'is not valid',
      }))
    : [];
  const message = fields.length
    ? fields
        .map((each) => [each.path.join('.'), each.message].filter(Boolean).join(': '))
        .join('; ')
    : typeof said?.detail === 'string'
      ? said.detail
      : (said?.message ?? said?.exception_message ?? `The server answered ${status}.`);
  return new ApiError(message, status, fields);
}
