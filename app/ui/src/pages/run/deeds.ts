/** What a person does to a run. */
import { api, ApiError, read, type Schema } from '../../api/client';
import type { FlowRun } from '../../parts/flowRuns';
import type { Json, JsonSchema } from '../../parts/schema-form/schema';

type Result = Schema<'OrchestrationResult'>;

/** Throws the server's reason when it did not accept the state, or gave it another one instead. */
function accepted(answer: object) {
  const result = answer as Result;
  if (result.status === 'ACCEPT') return;
  const reason = 'reason' in result.details ? result.details.reason : undefined;
  throw new ApiError(reason ?? `The server answered ${result.status}.`, 200);
}

const path = (run: FlowRun) => ({ params: { path: { flow_run_id: run.id } } });

/** Stop it; one that waits is cancelled at once. */
export async function cancel(run: FlowRun): Promise<void> {
  const result = (await read(
    api.POST('/api/flow_runs/{flow_run_id}/set_state', {
      ...path(run),
      body: { state: { type: 'CANCELLING' } },
    }),
  )) as Result;
  // Nothing runs that could be told to stop: the answer is the state it got instead.
  if (result.status === 'REJECT' && result.state?.type === 'CANCELLED') return;
  accepted(result);
}

/** Let it wait: with its process kept, or given up until it is resumed. It fails when nobody resumes it in time. */
export async function pause(run: FlowRun, suspend: boolean, hours: number): Promise<void> {
  const pause_timeout = new Date(Date.now() + hours * 3_600_000).toISOString();
  accepted(
    await read(
      api.POST('/api/flow_runs/{flow_run_id}/set_state', {
        ...path(run),
        body: {
          state: {
            type: 'PAUSED',
            name: suspend ? 'Suspended' : 'Paused',
            state_details: { pause_timeout, pause_reschedule: suspend },
          },
        },
      }),
    ),
  );
}

/** Go on, with what its form asked for. */
export async function resume(run: FlowRun, input: Record<string, Json> | undefined): Promise<void> {
  const body = { run_input: input ?? null } as { run_input: Record<string, never> | null };
  accepted(await read(api.POST('/api/flow_runs/{flow_run_id}/resume', { ...path(run), body })));
}

/** The schema of the form that a paused run waits for. */
export async function inputSchema(
  run: FlowRun,
  key: string,
  signal: AbortSignal,
): Promise<JsonSchema> {
  return read(
    api.GET('/api/flow_runs/{flow_run_id}/input/{key}', {
      params: { path: { flow_run_id: run.id, key } },
      signal,
    }),
  ) as Promise<JsonSchema>;
}

/** Run it again, from its deployment. */
export async function retry(run: FlowRun): Promise<void> {
  accepted(
    await read(
      api.POST('/api/flow_runs/{flow_run_id}/set_state', {
        ...path(run),
        body: { state: { type: 'SCHEDULED', name: 'AwaitingRetry' } },
      }),
    ),
  );
}

/** Delete it with all that belongs to it. */
export async function remove(run: FlowRun): Promise<void> {
  await read(api.DELETE('/api/flow_runs/{flow_run_id}', path(run)));
}

export type Hold = Schema<'Hold'>;

/** The legal hold on a run, if there is one. */
export async function holdOf(id: string, signal: AbortSignal): Promise<Hold | undefined> {
  // Holds are listed by run, after an id: the one just before it.
  const before = (BigInt(`0x${id.replaceAll('-', '')}`) - 1n).toString(16).padStart(32, '0');
  const after = before.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  const [first] = await read(
    api.GET('/api/tailrace/holds', { params: { query: { after } }, signal }),
  );
  return first?.flow_run_id === id ? first : undefined;
}

/** Keep a run and its logs from being deleted, by anybody and by every rule. */
export async function hold(id: string, reason: string): Promise<void> {
  await read(
    api.PUT('/api/tailrace/holds/{flow_run_id}', {
      params: { path: { flow_run_id: id } },
      body: { reason },
    }),
  );
}

export async function release(id: string): Promise<void> {
  await read(
    api.DELETE('/api/tailrace/holds/{flow_run_id}', { params: { path: { flow_run_id: id } } }),
  );
}
