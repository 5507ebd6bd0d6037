/** A chart of a result, drawn by uPlot. Loaded by `Chart.svelte` when the first one is shown. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import type { Clock } from '../../format/time';
import { shortCount } from '../../format/numbers';
import { axisTime } from '../../parts/chart/axis';
import { COLOURS, type Figures, type Kind } from './chartData';

interface Options {
  target: HTMLElement;
  figures: Figures;
  kind: Kind;
  clock: Clock;
  width: number;
  height: number;
  /** The pointer is at the point of this number; null: at none. */
  hover: (at: { index: number; left: number } | null) => void;
}

/** Draw it; gives back the chart, to be resized and destroyed. */
export function draw({ target, figures, kind, clock, width, height, hover }: Options): uPlot {
  const style = getComputedStyle(target);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: token('--ink-2'),
    font: `11px ${token('--font')}`,
    ticks: { stroke: token('--line'), size: 4 },
  };
  const { names, xs, series, time } = figures;
  // Bars of several columns stand side by side.
  const share = 0.86 / Math.max(1, series.length);
  const bars = (index: number) =>
    uPlot.paths.bars?.({
      size: [series.length > 1 ? share * 0.95 : 0.8, 60],
      align: 0,
      ...(series.length > 1 && {
        disp: {
          x0: {
            unit: 1 as const,
            values: (chart: uPlot) => {
              const step = distance(chart.data[0] as number[]);
              return xs.map((x) => x + (index - (series.length - 1) / 2 - 0.5) * share * step);
            },
          },
          size: {
            unit: 1 as const,
            values: (chart: uPlot) =>
              xs.map(() => share * 0.92 * distance(chart.data[0] as number[])),
          },
        },
      }),
    });
  const pad = kind === 'bar' ? distance(xs) / 2 : 0;
  return new uPlot(
    {
      width,
      height,
      padding: [12, 16, 0, 0],
      tzDate: (seconds) => {
        const date = new Date(seconds * 1000);
        return clock === 'utc' ? uPlot.tzDate(date, 'Etc/UTC') : date;
      },
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false, setScale: false },
        bind: { dblclick: () => () => null },
      },
      scales: {
        x: { time, range: (_, low, high) => [low - (pad || 0), high + (pad || 0) || low + 1] },
        y: {
          range: (_, low, high) => {
            const least = Math.min(0, low ?? 0);
            const most = Math.max(high ?? 1, least + 1e-9);
            return [least, most + (most - least) * 0.04];
          },
        },
      },
      axes: [
        names
          ? {
              ...axis,
              grid: { show: false },
              splits: () => xs,
              rotate: names.length > 8 ? -40 : 0,
              size: names.length > 8 ? 90 : 30,
              values: () =>
                names.map((name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name)),
            }
          : {
              ...axis,
              grid: { show: false },
              space: 70,
              values: (_, splits, __, ___, step) =>
                splits.map((at) => (time ? axisTime(at, step, clock) : shortCount(at))),
            },
        {
          ...axis,
          size: 56,
          grid: { stroke: token('--line'), width: 1 },
          ticks: { show: false },
          values: (_, splits) => splits.map(shortCount),
        },
      ],
      series: [
        {},
        ...series.map((_, index) => {
          const colour = token(COLOURS[index % COLOURS.length] ?? '--accent');
          const path = kind === 'bar' ? bars(index) : undefined;
          return {
            stroke: colour,
            width: kind === 'bar' ? 0 : 2,
            points: { show: kind === 'line' && xs.length < 60, size: 5, fill: colour },
            ...(kind === 'bar' && { fill: colour }),
            ...(path && { paths: path }),
          };
        }),
      ],
      hooks: {
        setCursor: [
          (chart) => {
            const index = chart.cursor.idx;
            const left = chart.cursor.left ?? -1;
            hover(
              index === null || index === undefined || left < 0
                ? null
                : { index, left: left + chart.over.offsetLeft },
            );
          },
        ],
      },
    },
    [xs, ...series.map((each) => each.values)],
    target,
  );
}

/** The least distance between two places; 1 when there is none. */
function distance(xs: number[]): number {
  let least = Infinity;
  for (let index = 1; index < xs.length; index += 1) {
    const step = (xs[index] ?? 0) - (xs[index - 1] ?? 0);
    if (step > 0) least = Math.min(least, step);
  }
  return Number.isFinite(least) ? least : 1;
}
