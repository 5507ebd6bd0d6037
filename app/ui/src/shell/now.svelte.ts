/** The time, for what is told relative to it; it moves once a second while somebody looks. */
import { createSubscriber } from 'svelte/reactivity';

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, 1000);
  return () => clearInterval(timer);
});

/** Now; whoever reads it in a component is updated every second. */
export function now(): Date {
  subscribe();
  return new Date();
}
