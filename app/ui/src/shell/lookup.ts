/** What the command palette finds in the server: runs, flows and deployments by name or id. */
import { api, read } from '../api/client';
import { navigate } from '../routes';

export interface Choice {
  kind: string;
  name: string;
  /** What tells it from others of the same name: a state, a flow. */
  detail?: string;
  act: () => void;
}

interface Named {
  id: string;
  name: string;
}

const run = ({ id, name, state_name }: Named & { state_name?: string | null }): Choice => ({
  kind: 'Run',
  name,
  ...(state_name ? { detail: state_name } : {}),
  act: () => void navigate('/runs/:id', { params: { id } }),
});
const flow = ({ id, name }: Named): Choice => ({
  kind: 'Flow',
  name,
  act: () => void navigate('/flows/:id', { params: { id } }),
});
const deployment = ({ id, name }: Named): Choice => ({
  kind: 'Deployment',
  name,
  act: () => void navigate('/deployments/:id', { params: { id } }),
});

/** The runs that began last. */
export async function newestRuns(signal: AbortSignal): Promise<Choice[]> {
  const body = {
    flow_runs: { start_time: { is_null_: false } },
    sort: 'START_TIME_DESC',
    limit: 5,
  } as const;
  return (await read(api.POST('/api/flow_runs/filter', { body, signal }))).map(run);
}

/** Those whose name has this text in it. */
export async function byName(text: string, signal: AbortSignal): Promise<Choice[]> {
  // In a pattern of the API's, these two stand for anything.
  const name = { like_: text.replace(/[\\%_]/g, '\\$&') };
  const [runs, flows, deployments] = await Promise.all([
    read(
      api.POST('/api/flow_runs/filter', {
        body: { flow_runs: { name }, sort: 'EXPECTED_START_TIME_DESC', limit: 8 },
        signal,
      }),
    ),
    read(api.POST('/api/flows/filter', { body: { flows: { name }, limit: 5 }, signal })),
    read(
      api.POST('/api/deployments/filter', { body: { deployments: { name }, limit: 5 }, signal }),
    ),
  ]);
  return [...flows.map(flow), ...deployments.map(deployment), ...runs.map(run)];
}

/** What has this id: a run, the run of a task run, a flow or a deployment. */
export async function byId(wanted: string, signal: AbortSignal): Promise<Choice[]> {
  const id = { any_: [wanted] };
  const [runs, tasks, flows, deployments] = await Promise.all([
    read(api.POST('/api/flow_runs/filter', { body: { flow_runs: { id } }, signal })),
    read(api.POST('/api/task_runs/filter', { body: { task_runs: { id } }, signal })),
    read(api.POST('/api/flows/filter', { body: { flows: { id } }, signal })),
    read(api.POST('/api/deployments/filter', { body: { deployments: { id } }, signal })),
  ]);
  return [
    ...runs.map(run),
    ...tasks.flatMap((task): Choice[] => {
      const { flow_run_id } = task;
      if (!flow_run_id) return [];
      return [
        {
          kind: 'Task run',
          name: task.name,
          act: () =>
            void navigate('/runs/:id', { params: { id: flow_run_id }, search: { task: task.id } }),
        },
      ];
    }),
    ...flows.map(flow),
    ...deployments.map(deployment),
  ];
}
