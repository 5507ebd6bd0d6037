/** Draws the part of a timeline that is in sight. */
import { afterStart, type Bar, marks, type Window } from './gantt';

export const ROW = 24;
export const AXIS = 28;

/** Colours and fonts of the theme that is shown. */
export interface Look {
  ink: string;
  quiet: string;
  line: string;
  surface: string;
  hover: string;
  accent: string;
  font: string;
  states: (type: string | null) => string;
}

export function lookOf(element: Element): Look {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: token('--ink'),
    quiet: token('--ink-2'),
    line: token('--line'),
    surface: token('--surface'),
    hover: token('--surface-2'),
    accent: token('--accent'),
    font: `12px ${token('--font')}`,
    states: (type) => token(`--state-${(type ?? 'pending').toLowerCase()}`) || token('--ink-3'),
  };
}

export interface Scene {
  bars: Bar[];
  /** Where each bar's row is. */
  places: Map<string, number>;
  window: Window;
  /** Pixels that the rows are scrolled by. */
  scrolled: number;
  width: number;
  height: number;
  /** Width of the names. */
  names: number;
  origin: number;
  now: number;
  hovered: string | undefined;
  chosen: string | undefined;
}

/** Where a time is, in pixels from the left. */
export const xOf = (scene: Scene, time: number) =>
  scene.names +
  ((time - scene.window.from) / (scene.window.to - scene.window.from)) *
    (scene.width - scene.names);

const yOf = (scene: Scene, row: number) => AXIS + row * ROW - scene.scrolled;

export function draw(context: CanvasRenderingContext2D, scene: Scene, look: Look) {
  const { width, height, names } = scene;
  context.fillStyle = look.surface;
  context.fillRect(0, 0, width, height);
  context.font = look.font;
  context.textBaseline = 'middle';
  drawGrid(context, scene, look);
  const first = Math.max(0, Math.floor(scene.scrolled / ROW));
  const last = Math.min(scene.bars.length, Math.ceil((scene.scrolled + height - AXIS) / ROW));
  for (let row = first; row < last; row += 1) {
    const bar = scene.bars[row];
    if (bar) drawRow(context, scene, look, bar, row);
  }
  const focus = scene.hovered ?? scene.chosen;
  if (focus) drawEdges(context, scene, look, focus);
  // The axis lies over the rows that are scrolled under it.
  context.fillStyle = look.surface;
  context.fillRect(0, 0, width, AXIS);
  context.fillStyle = look.quiet;
  clipped(context, names, 0, width - names, AXIS, () => {
    for (const mark of marks(scene.window, scene.origin, (width - names) / 90))
      context.fillText(afterStart(mark), xOf(scene, scene.origin + mark) + 4, AXIS / 2);
  });
  context.fillStyle = look.line;
  context.fillRect(0, AXIS - 1, width, 1);
  context.fillRect(names, 0, 1, height);
}

function drawGrid(context: CanvasRenderingContext2D, scene: Scene, look: Look) {
  context.fillStyle = look.line;
  for (const mark of marks(scene.window, scene.origin, (scene.width - scene.names) / 90)) {
    const x = Math.round(xOf(scene, scene.origin + mark));
    if (x > scene.names) context.fillRect(x, 0, 1, scene.height);
  }
}

function drawRow(
  context: CanvasRenderingContext2D,
  scene: Scene,
  look: Look,
  bar: Bar,
  row: number,
) {
  const y = yOf(scene, row);
  const { names, width } = scene;
  if (bar.id === scene.hovered || bar.id === scene.chosen) {
    context.fillStyle = look.hover;
    context.fillRect(0, y, width, ROW);
  }
  context.fillStyle = look.ink;
  clipped(context, 0, y, names - 8, ROW, () =>
    context.fillText((bar.kind === 'flow-run' ? '▸ ' : '') + bar.label, 8, y + ROW / 2),
  );
  clipped(context, names + 1, y, width - names - 1, ROW, () => {
    const from = xOf(scene, bar.start);
    const to = xOf(scene, bar.end ?? scene.now);
    const colour = look.states(bar.state);
    context.fillStyle = colour;
    // However short, it is to be seen.
    const length = Math.max(to - from, 3);
    context.beginPath();
    context.roundRect(from, y + 5, length, ROW - 10, Math.min(3, length / 2));
    context.fill();
    if (bar.id === scene.chosen) {
      context.strokeStyle = look.ink;
      context.lineWidth = 1.5;
      context.stroke();
    }
    // What is out of sight is pointed at.
    if (to < names) triangle(context, names + 4, y + ROW / 2, 5);
    if (from > width) triangle(context, width - 4, y + ROW / 2, -5);
  });
}

function drawEdges(context: CanvasRenderingContext2D, scene: Scene, look: Look, id: string) {
  const row = scene.places.get(id);
  const bar = row === undefined ? undefined : scene.bars[row];
  if (!bar || row === undefined) return;
  context.strokeStyle = look.accent;
  context.lineWidth = 1.5;
  clipped(context, scene.names + 1, AXIS, scene.width - scene.names, scene.height - AXIS, () => {
    const edge = (from: Bar, fromRow: number, to: Bar, toRow: number) => {
      const x1 = xOf(scene, from.end ?? scene.now);
      const x2 = xOf(scene, to.start);
      const y1 = yOf(scene, fromRow) + ROW / 2;
      const y2 = yOf(scene, toRow) + ROW / 2;
      const bend = Math.max(Math.abs(x2 - x1) / 2, 16);
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
      context.stroke();
    };
    for (const other of bar.parents) {
      const place = scene.places.get(other);
      const from = place === undefined ? undefined : scene.bars[place];
      if (from && place !== undefined) edge(from, place, bar, row);
    }
    for (const other of bar.children) {
      const place = scene.places.get(other);
      const to = place === undefined ? undefined : scene.bars[place];
      if (to && place !== undefined) edge(bar, row, to, place);
    }
  });
}

function triangle(context: CanvasRenderingContext2D, x: number, y: number, size: number) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + size, y - 4);
  context.lineTo(x + size, y + 4);
  context.fill();
}

function clipped(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  act: () => void,
) {
  context.save();
  context.beginPath();
  context.rect(x, y, Math.max(width, 0), height);
  context.clip();
  act();
  context.restore();
}
