/** Counts and sizes as people read them. */

const grouped = new Intl.NumberFormat('en-US');
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

/** `12,345,678`. */
export const count = (value: number) => grouped.format(value);

/** `12.3M`, where room is short. */
export const shortCount = (value: number) => compact.format(value);

/** `1.4 GiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `83.4 %` of a ratio. */
export const percent = (ratio: number) => `${(ratio * 100).toFixed(ratio > 0.9995 ? 0 : 1)} %`;
