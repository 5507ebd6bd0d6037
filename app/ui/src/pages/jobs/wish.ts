/** Have a job run one pass now, or say what one would do. */
import { api, ApiError, read, type Schema } from '../../api/client';

export type Wish = Schema<'JobWish'>;

const ASK_AGAIN_MILLISECONDS = 2000;
const ended = (wish: Wish) => wish.state !== 'waiting' && wish.state !== 'running';

/**
 * Ask for a pass and wait until it ended, however long that takes; `told` hears of it meanwhile. Throws
 * `ApiError` when it failed, its process died, or nobody can run it.
 */
export async function runJob(
  name: string,
  dryRun: boolean,
  told: (wish: Wish) => void,
): Promise<Wish> {
  let wish = await read(
    api.POST('/api/tailrace/jobs/{name}/run', {
      params: { path: { name } },
      body: { dry_run: dryRun },
    }),
  );
  while (!ended(wish)) {
    told(wish);
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MILLISECONDS));
    wish = await read(
      api.GET('/api/tailrace/jobs/wishes/{wish_id}', { params: { path: { wish_id: wish.id } } }),
    );
  }
  if (wish.state === 'failed') throw new ApiError(wish.error ?? 'The pass failed.', 200);
  if (wish.state === 'lost')
    throw new ApiError('The process that ran it died: whether it was done is not known.', 200);
  return wish;
}
