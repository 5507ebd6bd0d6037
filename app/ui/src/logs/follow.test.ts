import { describe, expect, it } from 'vitest';

import { Follower, type FollowState } from './follow';
import type { Line } from './line';

/** A server whose every connection is in the test's hands. */
function server(...answers: Response[]) {
  const asked: (string | null)[] = [];
  const heard = { states: [] as FollowState[], lines: [] as string[], compared: 0 };
  const follower = new Follower({
    url: '/stream',
    headers: () => ({ Authorization: 'Basic x' }),
    fetch: (_, init) => {
      const headers = new Headers(init?.headers);
      expect(headers.get('Authorization')).toBe('Basic x');
      asked.push(headers.get('Last-Event-ID'));
      const answer = answers.shift();
      if (answer) return Promise.resolve(answer);
      follower.stop();
      return Promise.reject(new TypeError('the network is away'));
    },
    lines: (lines) => heard.lines.push(...lines.map((line) => line.message)),
    compare: () => (heard.compared += 1),
    state: (state) => heard.states.push(state),
    refused: (response) => response.status !== 401,
    wait: () => Promise.resolve(),
  });
  return { follower, asked, heard };
}

const line = (message: string) => ({ message }) as Line;
const event = (id: string, ...messages: string[]) =>
  `event: lines\nid: ${id}\ndata: ${JSON.stringify(messages.map(line))}\n\n`;

/** A connection that gives these parts, and breaks. */
const stream = (...parts: string[]) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    }),
  );

describe('the live tail', () => {
  it('gives lines as they come, however they are cut', async () => {
    const whole = event('1', 'a', 'b');
    const { follower, heard } = server(
      stream('retry: 1000\n\n', whole.slice(0, 30), whole.slice(30)),
    );
    await follower.run();
    expect(heard.lines).toEqual(['a', 'b']);
    expect(heard.states).toEqual(['connecting', 'live', 'stale', 'ended']);
  });

  it('goes on after the last event when the connection breaks, and compares', async () => {
    const { follower, asked, heard } = server(
      stream(event('1', 'a')),
      stream(`: nothing new\nid: 7\n\n`, event('8', 'b')),
    );
    await follower.run();
    expect(asked).toEqual([null, '1', '8']);
    expect(heard.lines).toEqual(['a', 'b']);
    expect(heard.compared).toBe(2);
  });

  it('compares when lines were left out for it', async () => {
    const { follower, heard } = server(
      stream('event: lagged\nid: 9\ndata: {"lines": 3, "last_event_id": "4"}\n\n'),
    );
    await follower.run();
    expect(heard.compared).toBe(2);
  });

  it('begins anew where the server does not know the place', async () => {
    const { follower, asked } = server(
      stream(event('1', 'a')),
      new Response('', { status: 422 }),
      stream(event('2', 'b')),
    );
    await follower.run();
    expect(asked).toEqual([null, '1', null, '2']);
  });

  it('tries again where the server is away, and ends where it is refused', async () => {
    const { follower, asked, heard } = server(
      new Response('', { status: 503 }),
      new Response('', { status: 401 }),
    );
    await follower.run();
    expect(asked).toHaveLength(2);
    expect(heard.states).toEqual(['connecting', 'stale', 'ended']);
  });
});
