/** Names of runs, flows and deployments by their ids: asked for in batches, each once. */

import { SvelteMap } from 'svelte/reactivity';

import { api, read } from '../../api/client';

export interface RunName {
  name: string;
  flowId: string;
  deploymentId: string | null;
}

const BATCH = 200;

class Names {
  runs = new SvelteMap<string, RunName>();
  flows = new SvelteMap<string, string>();
  deployments = new SvelteMap<string, string>();
  #asked = new Set<string>();
  #waiting = new Set<Promise<void>>();

  /** Find out about these runs, and their flows and deployments. What cannot be read stays unknown. Ends
   * when what others asked for meanwhile is here too: it may be the same runs. */
  async of(ids: Iterable<string | null | undefined>): Promise<void> {
    const wanted = this.#new(ids);
    if (wanted.length) {
      const asking = this.#ask(wanted).finally(() => this.#waiting.delete(asking));
      this.#waiting.add(asking);
    }
    await Promise.all(this.#waiting);
  }

  async #ask(wanted: string[]): Promise<void> {
    for (let at = 0; at < wanted.length; at += BATCH) {
      const batch = wanted.slice(at, at + BATCH);
      const found = await this.#try(batch, () =>
        read(
          api.POST('/api/flow_runs/filter', {
            body: { flow_runs: { id: { any_: batch } }, limit: BATCH },
          }),
        ),
      );
      for (const run of found)
        this.runs.set(run.id, {
          name: run.name,
          flowId: run.flow_id,
          deploymentId: run.deployment_id ?? null,
        });
      await Promise.all([
        this.ofFlows(found.map((run) => run.flow_id)),
        this.ofDeployments(found.map((run) => run.deployment_id)),
      ]);
    }
  }

  async ofFlows(ids: Iterable<string | null | undefined>): Promise<void> {
    const wanted = this.#new(ids);
    if (!wanted.length) return;
    const found = await this.#try(wanted, () =>
      read(
        api.POST('/api/flows/filter', {
          body: { flows: { id: { any_: wanted } }, limit: BATCH },
        }),
      ),
    );
    for (const flow of found) this.flows.set(flow.id, flow.name);
  }

  async ofDeployments(ids: Iterable<string | null | undefined>): Promise<void> {
    const wanted = this.#new(ids);
    if (!wanted.length) return;
    const found = await this.#try(wanted, () =>
      read(
        api.POST('/api/deployments/filter', {
          body: { deployments: { id: { any_: wanted } }, limit: BATCH },
        }),
      ),
    );
    for (const deployment of found) this.deployments.set(deployment.id, deployment.name);
  }

  #new(ids: Iterable<string | null | undefined>): string[] {
    const wanted = [...new Set(ids)].filter(
      (id): id is string => typeof id === 'string' && !this.#asked.has(id),
    );
    for (const id of wanted) this.#asked.add(id);
    return wanted;
  }

  /** A name is a help: without it the id is shown, and the next time it is asked for again. */
  async #try<T>(ids: string[], ask: () => Promise<T[]>): Promise<T[]> {
    try {
      return await ask();
    } catch {
      for (const id of ids) this.#asked.delete(id);
      return [];
    }
  }
}

export const names = new Names();

/** The name of a run, or the beginning of its id. */
export const runName = (id: string) => names.runs.get(id)?.name ?? id.slice(0, 8);
