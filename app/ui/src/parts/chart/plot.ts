/** Stacked bars over time, drawn by uPlot. Loaded by `TimeBars.svelte` when the first chart is shown. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { shortCount } from '../../format/numbers';
import type { Clock } from '../../format/time';
import { axisTime } from './axis';
import type { Span } from './buckets';

export interface PlotOptions {
  target: HTMLElement;
  height: number;
  /** Length of a bucket in seconds. */
  bucket: number;
  /** Tokens of the colours, the lowest series first. */
  colours: string[];
  clock: Clock;
  /** The pointer is over this bucket, at so many pixels from the left and top of the element; null: over none. */
  hover: (at: { index: number; left: number; top: number } | null) => void;
  /** A span was brushed, or one bucket clicked. */
  select: ((span: Span) => void) | undefined;
}

// Steps of the figures' axis: 1, 2, 5, 10, 20, …; never parts of one.
const INTEGERS = Array.from({ length: 13 }, (_, zeros) => 10 ** zeros).flatMap((power) => [
  power,
  2 * power,
  5 * power,
]);

/** A chart that is there until `destroy()`. */
export class Plot {
  #chart: uPlot;
  #options: PlotOptions;
  #selected: Span | null = null;

  constructor(options: PlotOptions) {
    this.#options = options;
    this.#chart = new uPlot(configuration(options), [[]], options.target);
    if (options.select) this.#chart.over.addEventListener('click', this.#click);
    this.#chart.over.addEventListener('pointerleave', () => options.hover(null));
  }

  /** Bars of these heights: rows as `stacked` gives them, for buckets that begin at `times`. */
  draw(times: number[], rows: number[][]) {
    const last = times.at(-1);
    if (last === undefined) return;
    // One more point, so that the last bucket has its width too.
    const ends = [...times, last + this.#options.bucket];
    // The highest row is drawn first, those below over it.
    const drawn = rows.toReversed().map((row) => [...row, null]);
    this.#chart.setData([ends, ...drawn]);
    this.#showSelected();
  }

  /** Mark this span as the one that is selected. */
  mark(span: Span | null) {
    this.#selected = span;
    this.#showSelected();
  }

  /** Point at a bucket, as the pointer would. */
  point(index: number) {
    const chart = this.#chart;
    const start = chart.data[0]?.[index];
    if (start === undefined || start === null) return;
    const left = chart.valToPos(start + this.#options.bucket / 2, 'x');
    chart.setCursor({ left, top: chart.over.clientHeight / 3 });
  }

  resize(width: number) {
    this.#chart.setSize({ width, height: this.#options.height });
    this.#showSelected();
  }

  destroy() {
    this.#chart.destroy();
  }

  #click = () => {
    const chart = this.#chart;
    const index = chart.cursor.left === undefined ? -1 : indexAt(chart, this.#options.bucket);
    const from = chart.data[0]?.[index];
    if (typeof from === 'number') this.#options.select?.({ from, to: from + this.#options.bucket });
  };

  #showSelected() {
    const chart = this.#chart;
    const span = this.#selected;
    const width = chart.over.clientWidth;
    if (!span || !chart.data[0]?.length) {
      chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      return;
    }
    const left = Math.max(0, chart.valToPos(span.from, 'x'));
    const right = Math.min(width, chart.valToPos(span.to, 'x'));
    chart.setSelect(
      { left, top: 0, width: Math.max(0, right - left), height: chart.over.clientHeight },
      false,
    );
  }
}

// The bucket under the pointer: uPlot's own index is the nearest start, which may be the next bucket's.
function indexAt(chart: uPlot, bucket: number): number {
  const times = chart.data[0];
  const first = times?.[0];
  if (typeof first !== 'number' || chart.cursor.left === undefined || chart.cursor.left < 0)
    return -1;
  const index = Math.floor((chart.posToVal(chart.cursor.left, 'x') - first) / bucket);
  return index >= 0 && index < times.length - 1 ? index : -1;
}

function configuration({
  target,
  height,
  bucket,
  colours,
  clock,
  hover,
  select,
}: PlotOptions): uPlot.Options {
  const style = getComputedStyle(target);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const bars = uPlot.paths.bars?.({ size: [0.82, 40], align: 1 });
  const font = `11px ${token('--font')}`;
  const axis = {
    stroke: token('--ink-2'),
    font,
    ticks: { stroke: token('--line'), size: 4 },
  };
  return {
    width: Math.max(target.clientWidth, 50),
    height,
    padding: [8, 8, 0, 0],
    tzDate: (seconds) => {
      const date = new Date(seconds * 1000);
      return clock === 'utc' ? uPlot.tzDate(date, 'Etc/UTC') : date;
    },
    legend: { show: false },
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: select !== undefined, y: false, setScale: false, dist: 4 },
      // A double click would show all data, which is shown anyway.
      bind: { dblclick: () => () => null },
    },
    scales: {
      x: { time: true, range: (chart) => span(chart.data[0]) },
      y: { range: (_, __, highest) => [0, Math.max(1, highest)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 26,
        values: (_, splits, __, ___, step) => splits.map((at) => axisTime(at, step, clock)),
      },
      {
        ...axis,
        size: 44,
        space: 28,
        incrs: INTEGERS,
        grid: { stroke: token('--line'), width: 1 },
        ticks: { show: false },
        values: (_, splits) => splits.map(shortCount),
      },
    ],
    series: [
      {},
      ...colours.toReversed().map((colour) => ({
        fill: token(colour),
        ...(bars && { paths: bars }),
        points: { show: false },
        width: 0,
      })),
    ],
    hooks: {
      setCursor: [
        (chart) => {
          const index = indexAt(chart, bucket);
          const left = (chart.cursor.left ?? 0) + chart.over.offsetLeft;
          hover(index < 0 ? null : { index, left, top: chart.over.offsetTop });
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width < 1 || !select) return;
          const times = chart.data[0];
          const first = times[0];
          const end = times.at(-1);
          if (typeof first !== 'number' || typeof end !== 'number') return;
          const start = chart.posToVal(left, 'x');
          const stop = chart.posToVal(left + width, 'x');
          const from = first + Math.floor((start - first) / bucket) * bucket;
          const to = first + Math.ceil((stop - first) / bucket) * bucket;
          select({ from: Math.max(from, first), to: Math.min(to, end) });
        },
      ],
    },
  };
}

function span(times: ArrayLike<number | null | undefined> | undefined): [number, number] {
  const first = times?.[0];
  const last = times?.[times.length - 1];
  return typeof first === 'number' && typeof last === 'number' ? [first, last] : [0, 1];
}
