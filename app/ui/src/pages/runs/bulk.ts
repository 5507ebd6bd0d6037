/** What is done to many runs at once, and how it went for each. */
import { api, ApiError, read } from '../../api/client';
import type { FlowRun } from '../../parts/flowRuns';

export type Deed = 'cancel' | 'retry' | 'delete';

export const DEEDS: Record<Deed, { verb: string; done: string; danger: boolean; tells: string }> = {
  cancel: {
    verb: 'Cancel',
    done: 'cancelled',
    danger: true,
    tells:
      'Runs that are at work are told to stop, and stop as soon as their worker hears of it. What has not begun never will.',
  },
  retry: {
    verb: 'Retry',
    done: 'to be run again',
    danger: false,
    tells: 'They are scheduled for now, and whoever polls their work pool runs them again.',
  },
  delete: {
    verb: 'Delete',
    done: 'deleted',
    danger: true,
    tells: 'Their states, task runs and logs go with them. This cannot be undone.',
  },
};

export interface Outcome {
  done: string[];
  /** The others, each with the reason. */
  refused: { id: string; name: string; why: string }[];
}

// As many as the API takes at once.
const AT_ONCE = 50;

/**
 * Do it to all of them, 50 at a time. `told` hears how many are through.
 * A request that fails leaves the rest undone: they are among the refused, with the error.
 */
export async function doToAll(
  deed: Deed,
  runs: FlowRun[],
  told: (through: number) => void,
): Promise<Outcome> {
  const outcome: Outcome = { done: [], refused: [] };
  for (let start = 0; start < runs.length; start += AT_ONCE) {
    const some = runs.slice(start, start + AT_ONCE);
    try {
      await (deed === 'delete' ? remove(some, outcome) : setStates(deed, some, outcome));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const through = new Set(outcome.done);
      refuse(
        runs.slice(start).filter((run) => !through.has(run.id)),
        why,
        outcome,
      );
      return outcome;
    }
    told(Math.min(start + AT_ONCE, runs.length));
  }
  return outcome;
}

async function setStates(deed: 'cancel' | 'retry', runs: FlowRun[], outcome: Outcome) {
  const state =
    deed === 'cancel'
      ? ({ type: 'CANCELLING' } as const)
      : ({ type: 'SCHEDULED', name: 'AwaitingRetry' } as const);
  const { results } = await read(
    api.POST('/api/flow_runs/bulk_set_state', {
      body: { flow_runs: { id: { any_: runs.map((run) => run.id) } }, state, limit: AT_ONCE },
    }),
  );
  const answers = new Map(results.map((result) => [result.flow_run_id, result]));
  for (const run of runs) {
    const answer = answers.get(run.id);
    const reason = answer && 'reason' in answer.details ? answer.details.reason : undefined;
    if (!answer) refuse([run], 'It is gone.', outcome);
    // A run that had not begun is cancelled at once: the answer is the state it got instead.
    else if (
      answer.status === 'ACCEPT' ||
      (answer.status === 'REJECT' && answer.state?.type === 'CANCELLED')
    )
      outcome.done.push(run.id);
    else refuse([run], reason ?? answer.status, outcome);
  }
}

async function remove(runs: FlowRun[], outcome: Outcome) {
  const ids = runs.map((run) => run.id);
  try {
    const { deleted } = await read(
      api.POST('/api/flow_runs/bulk_delete', {
        body: { flow_runs: { id: { any_: ids } }, limit: AT_ONCE },
      }),
    );
    outcome.done.push(...deleted);
    refuse(
      runs.filter((run) => !deleted.includes(run.id)),
      'It was not there any more.',
      outcome,
    );
  } catch (error) {
    // One on legal hold keeps them all: then each is deleted on its own.
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
    for (const run of runs) await removeOne(run, outcome);
  }
}

async function removeOne(run: FlowRun, outcome: Outcome) {
  try {
    await read(
      api.DELETE('/api/flow_runs/{flow_run_id}', { params: { path: { flow_run_id: run.id } } }),
    );
    outcome.done.push(run.id);
  } catch (error) {
    if (!(error instanceof ApiError) || !error.status || error.status >= 500) throw error;
    refuse([run], error.message, outcome);
  }
}

function refuse(runs: FlowRun[], why: string, outcome: Outcome) {
  outcome.refused.push(...runs.map(({ id, name }) => ({ id, name, why })));
}
