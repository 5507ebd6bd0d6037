/** Times and durations as people read them. Times on the wire are UTC, ISO 8601. */

export type Clock = 'local' | 'utc';

const two = (value: number) => String(value).padStart(2, '0');

/** `2026-11-24 19:34:48.123`, in the reader's zone or UTC; seconds' fraction by `digits`. */
export function timestamp(time: string | Date, clock: Clock = 'local', digits = 0): string {
  const date = typeof time === 'string' ? new Date(time) : time;
  const utc = clock === 'utc';
  const day = utc
    ? `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${timeOfDay(date, clock, digits)}`;
}

/** `19:34:48.123`. */
export function timeOfDay(time: string | Date, clock: Clock = 'local', digits = 0): string {
  const date = typeof time === 'string' ? new Date(time) : time;
  const [hours, minutes, seconds, milliseconds] =
    clock === 'utc'
      ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds()]
      : [date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()];
  const fraction = digits ? `.${String(milliseconds).padStart(3, '0').slice(0, digits)}` : '';
  return `${two(hours)}:${two(minutes)}:${two(seconds)}${fraction}`;
}

/** A span in seconds: `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  const span = Math.abs(seconds);
  if (span < 1) return `${Math.round(span * 1000)} ms`;
  if (span < 10) return `${span.toFixed(1)} s`;
  const whole = Math.round(span);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return parts(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86400)
    return parts(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
  return parts(Math.floor(whole / 86400), 'd', Math.floor((whole % 86400) / 3600), 'h');
}

function parts(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** `4 min ago`, `in 2 h`, `now`. */
export function relative(time: string | Date, now: Date): string {
  const date = typeof time === 'string' ? new Date(time) : time;
  const seconds = (now.getTime() - date.getTime()) / 1000;
  if (Math.abs(seconds) < 1.5) return 'now';
  const span = Math.abs(seconds);
  const rough =
    span < 90
      ? `${Math.round(span)} s`
      : span < 5400
        ? `${Math.round(span / 60)} min`
        : span < 129600
          ? `${Math.round(span / 3600)} h`
          : `${Math.round(span / 86400)} d`;
  return seconds > 0 ? `${rough} ago` : `in ${rough}`;
}
