/** What stands below a time axis. */
import { timeOfDay, timestamp, type Clock } from '../../format/time';

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** The label of a tick at `seconds` since 1970, where ticks are `step` seconds apart: `14:30`, `Nov 24`, `2026`. */
export function axisTime(seconds: number, step: number, clock: Clock): string {
  const date = new Date(seconds * 1000);
  const clockTime = timeOfDay(date, clock);
  if (step < 60) return clockTime;
  if (step < 86400 && clockTime !== '00:00:00') return clockTime.slice(0, 5);
  const [year = '', month = '', day = ''] = timestamp(date, clock).slice(0, 10).split('-');
  const name = MONTHS[Number(month) - 1] ?? month;
  return step >= 28 * 86400 ? `${name} ${year}` : `${name} ${Number(day)}`;
}

/** A bucket's span, without saying the day twice: `Nov 24 14:30 – 15:00`. */
export function spanText(from: number, to: number, clock: Clock): string {
  const start = timestamp(new Date(from * 1000), clock);
  const end = timestamp(new Date(to * 1000), clock);
  const seconds = (to - from) % 60 !== 0 || from % 60 !== 0;
  const short = (text: string) => (seconds ? text : text.slice(0, -3));
  return start.slice(0, 10) === end.slice(0, 10)
    ? `${short(start)} – ${short(end).slice(11)}`
    : `${short(start)} – ${short(end)}`;
}
