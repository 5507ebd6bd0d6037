/** The arithmetic of a run's timeline: bars, the part of time in sight, and marks on its axis. */
import type { Schema } from '../../api/client';

export interface Bar {
  id: string;
  label: string;
  kind: 'flow-run' | 'task-run';
  state: string | null;
  /** Milliseconds since the epoch; `end` is undefined while it runs. */
  start: number;
  end: number | undefined;
  parents: string[];
  children: string[];
}

/** Milliseconds since the epoch. */
export interface Window {
  from: number;
  to: number;
}

type Graph = Schema<'Graph'>;
type Node = Schema<'GraphNode'>;

// No closer than this many milliseconds across the whole width.
const CLOSEST = 20;

/** The bars of a graph, by start; those of `known` that it does not tell of stay as they are. */
export function merged(known: Map<string, Bar>, graph: Graph): Map<string, Bar> {
  const bars = new Map(known);
  for (const [, node] of graph.nodes as unknown as [string, Node][]) {
    bars.set(node.id, {
      id: node.id,
      label: node.label,
      kind: node.kind,
      state: node.state_type,
      start: Date.parse(node.start_time),
      end: node.end_time ? Date.parse(node.end_time) : undefined,
      parents: node.parents.map((edge) => edge.id),
      children: node.children.map((edge) => edge.id),
    });
  }
  return bars;
}

/** In the order of the rows: what began first is on top. */
export function inOrder(bars: Map<string, Bar>): Bar[] {
  return [...bars.values()].sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1));
}

/** From the first start to the last end, with a little room; bars that run end now. */
export function whole(bars: Bar[], now: number): Window {
  if (!bars.length) return { from: now - 1000, to: now };
  let from = Infinity;
  let to = -Infinity;
  for (const bar of bars) {
    from = Math.min(from, bar.start);
    to = Math.max(to, bar.end ?? now, bar.start);
  }
  const room = Math.max((to - from) * 0.02, CLOSEST / 2);
  return { from: from - room, to: to + room };
}

/** Closer by `factor` (further when below 1), with the time at `at` where it was; not beyond `limits`. */
export function zoomed(window: Window, factor: number, at: number, limits: Window): Window {
  const span = Math.min(
    Math.max((window.to - window.from) / factor, CLOSEST),
    limits.to - limits.from,
  );
  const share = (at - window.from) / (window.to - window.from);
  return within({ from: at - span * share, to: at + span * (1 - share) }, limits);
}

/** Moved by so many milliseconds, but not beyond `limits`. */
export function moved(window: Window, by: number, limits: Window): Window {
  return within({ from: window.from + by, to: window.to + by }, limits);
}

function within({ from, to }: Window, limits: Window): Window {
  const span = to - from;
  if (span >= limits.to - limits.from) return { ...limits };
  if (from < limits.from) return { from: limits.from, to: limits.from + span };
  if (to > limits.to) return { from: limits.to - span, to: limits.to };
  return { from, to };
}

const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60_000),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3_600_000),
];
const DAY = 86_400_000;

/** Distance of the axis's marks, so that there are at most `most` of them. */
export function step(window: Window, most: number): number {
  const least = (window.to - window.from) / Math.max(most, 1);
  return STEPS.find((each) => each >= least) ?? Math.ceil(least / DAY) * DAY;
}

/** The axis's marks, in milliseconds after `origin`. */
export function marks(window: Window, origin: number, most: number): number[] {
  const distance = step(window, most);
  const found: number[] = [];
  for (
    let at = Math.ceil((window.from - origin) / distance) * distance;
    at <= window.to - origin;
    at += distance
  )
    found.push(at);
  return found;
}

/** `0`, `850 ms`, `1.5 s`, `2:05`, `1:02:05` after the beginning. */
export function afterStart(milliseconds: number): string {
  const sign = milliseconds < 0 ? '−' : '';
  const span = Math.abs(milliseconds);
  if (span === 0) return '0';
  if (span < 1000) return `${sign}${span} ms`;
  if (span < 60_000) return `${sign}${span / 1000} s`;
  const seconds = Math.round(span / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours
    ? `${sign}${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${sign}${minutes}:${two(seconds % 60)}`;
}
