import { expect, test, vi } from 'vitest';

import { names } from './names.svelte';

interface Run {
  id: string;
  name: string;
  flow_id: string;
}

const { asked, answers } = vi.hoisted(() => ({
  asked: [] as string[],
  answers: [] as ((runs: Run[]) => void)[],
}));

vi.mock('../../api/client', () => ({
  api: {
    POST: (path: string) => {
      asked.push(path);
      return path === '/api/flow_runs/filter'
        ? new Promise<Run[]>((answer) => answers.push(answer))
        : Promise.resolve([]);
    },
  },
  read: (answer: Promise<Run[]>) => answer,
}));

test('who asks for a run that is asked for already waits for it', async () => {
  const first = names.of(['run']);
  const second = names.of(['run']).then(() => names.runs.get('run')?.flowId);
  await Promise.resolve();
  for (const answer of answers) answer([{ id: 'run', name: 'r', flow_id: 'flow' }]);
  await first;
  expect(await second).toBe('flow');
  expect(asked.filter((path) => path === '/api/flow_runs/filter')).toHaveLength(1);
});
