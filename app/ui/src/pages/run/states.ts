/** What a run's state allows. */
import type { FlowRun } from '../../parts/flowRuns';

const FINAL = ['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'];

/** Whether nothing will change any more by itself. */
export const isFinal = (type: string | null | undefined) => FINAL.includes(type ?? '');

export type Action = 'cancel' | 'pause' | 'suspend' | 'resume' | 'retry' | 'delete';

/**
 * What can be done with a run now. Pausing and suspending are for runs at work: a paused one holds its
 * process and waits, a suspended one gives it up, which only a deployment's run can come back from.
 */
export function actionsOf(run: FlowRun): Action[] {
  const deployed = Boolean(run.deployment_id);
  switch (run.state_type) {
    case 'SCHEDULED':
    case 'PENDING':
      return ['cancel', 'delete'];
    case 'RUNNING':
      return [
        ...(deployed ? (['pause', 'suspend'] as const) : ['pause' as const]),
        'cancel',
        'delete',
      ];
    case 'PAUSED':
      return ['resume', 'cancel', 'delete'];
    case 'CANCELLING':
      return ['delete'];
    case null:
    case undefined:
      return ['delete'];
    default:
      return deployed ? ['retry', 'delete'] : ['delete'];
  }
}

/** Whether a paused run waits for somebody to fill in a form. */
export const inputKey = (run: FlowRun): string | undefined =>
  run.state_type === 'PAUSED' ? run.state?.state_details?.run_input_keyset?.schema : undefined;
