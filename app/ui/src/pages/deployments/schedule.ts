/** Schedules of deployments: in words, and as the fields of a form. */
import cronstrue from 'cronstrue';

import { duration } from '../../format/time';

/** A schedule as the API has it: one of cron, interval and rrule, with what belongs to it. */
export type ScheduleDocument = Record<string, unknown>;

export type Kind = 'cron' | 'interval' | 'rrule';

export const UNITS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 } as const;
export type Unit = keyof typeof UNITS;

/** What is typed into the form. Texts, for what is typed need not be right. */
export interface ScheduleForm {
  kind: Kind;
  cron: string;
  dayOr: boolean;
  every: string;
  unit: Unit;
  /** As in the API; empty: now. */
  anchor: string;
  rrule: string;
  timezone: string;
}

/** `Every 5 minutes`, `At 02:00, Europe/Berlin`. */
export function inWords(schedule: ScheduleDocument): string {
  const { cron, interval, rrule, timezone } = schedule;
  const zone = typeof timezone === 'string' && timezone !== '' ? timezone : 'UTC';
  if (typeof cron === 'string') return `${cronInWords(cron)}, ${zone}`;
  if (typeof interval === 'number') return everyInWords(interval);
  if (typeof rrule === 'string') return `${ruleInWords(rrule)}, ${zone}`;
  return 'Unknown kind of schedule';
}

function cronInWords(cron: string): string {
  const parts = cron.trim().split(/\s+/);
  // Seconds stand last on the wire, first in the words' library.
  const turned = parts.length === 6 ? [parts[5], ...parts.slice(0, 5)].join(' ') : cron;
  try {
    return cronstrue.toString(turned, { use24HourTimeFormat: true });
  } catch {
    return cron;
  }
}

function everyInWords(seconds: number): string {
  const whole: Record<number, string> = { 1: 'second', 60: 'minute', 3600: 'hour', 86400: 'day' };
  const one = whole[seconds];
  return `Every ${one ?? duration(seconds)}`;
}

const DAYS: Record<string, string> = {
  MO: 'Monday',
  TU: 'Tuesday',
  WE: 'Wednesday',
  TH: 'Thursday',
  FR: 'Friday',
  SA: 'Saturday',
  SU: 'Sunday',
};
const PERIODS: Record<string, string> = {
  SECONDLY: 'second',
  MINUTELY: 'minute',
  HOURLY: 'hour',
  DAILY: 'day',
  WEEKLY: 'week',
  MONTHLY: 'month',
  YEARLY: 'year',
};
const SAID = ['FREQ', 'INTERVAL', 'BYDAY', 'BYHOUR', 'BYMINUTE', 'BYSECOND', 'COUNT', 'UNTIL'];

// Rules that say more than this stand as they are: better than half of what they say.
function ruleInWords(text: string): string {
  const lines = text.trim().split(/\n/);
  const rules = lines.filter((line) => !line.startsWith('DTSTART'));
  const rule = rules[0]?.replace(/^RRULE:/, '');
  if (rules.length !== 1 || !rule) return text;
  const said = new Map(
    rule.split(';').map((part) => part.toUpperCase().split('=') as [string, string]),
  );
  const period = PERIODS[said.get('FREQ') ?? ''];
  const days = said.get('BYDAY')?.split(',') ?? [];
  const hours = said.get('BYHOUR')?.split(',') ?? [];
  const minutes = said.get('BYMINUTE')?.split(',') ?? [];
  if (
    !period ||
    [...said.keys()].some((key) => !SAID.includes(key)) ||
    days.some((day) => !DAYS[day]) ||
    minutes.length > 1 ||
    (said.get('BYSECOND') ?? '0') !== '0'
  )
    return rule;
  const interval = Number(said.get('INTERVAL') ?? 1);
  let words = interval === 1 ? `Every ${period}` : `Every ${interval} ${period}s`;
  if (days.length) words += ` on ${days.map((day) => DAYS[day]).join(', ')}`;
  if (hours.length) {
    const at = (minutes[0] ?? '0').padStart(2, '0');
    words += ` at ${hours.map((hour) => `${hour.padStart(2, '0')}:${at}`).join(', ')}`;
  } else if (minutes.length) words += ` at minute ${minutes[0]}`;
  if (said.has('COUNT')) words += `, ${said.get('COUNT')} times`;
  const until = said.get('UNTIL');
  if (until) words += `, until ${until.slice(0, 4)}-${until.slice(4, 6)}-${until.slice(6, 8)}`;
  return words;
}

/** The fields of a schedule that is there, or those that a new one begins with. */
export function formOf(schedule: ScheduleDocument | undefined, timezone: string): ScheduleForm {
  const { cron, interval, rrule, day_or, anchor_date } = schedule ?? {};
  const seconds = typeof interval === 'number' ? interval : 3600;
  const unit = (['days', 'hours', 'minutes'] as const).find((each) => seconds % UNITS[each] === 0);
  return {
    kind: typeof interval === 'number' ? 'interval' : typeof rrule === 'string' ? 'rrule' : 'cron',
    cron: typeof cron === 'string' ? cron : '0 9 * * *',
    dayOr: day_or !== false,
    every: String(seconds / UNITS[unit ?? 'seconds']),
    unit: unit ?? 'seconds',
    anchor: typeof anchor_date === 'string' ? anchor_date : '',
    rrule:
      typeof rrule === 'string' ? rrule : 'FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0;BYSECOND=0',
    timezone: schedule ? String(schedule.timezone ?? 'UTC') : timezone,
  };
}

/** The schedule that the fields describe; whether it is one, the server says. */
export function scheduleOf(form: ScheduleForm): ScheduleDocument {
  const timezone = form.timezone.trim() || null;
  switch (form.kind) {
    case 'cron':
      return { cron: form.cron.trim(), day_or: form.dayOr, timezone };
    case 'interval': {
      const every = form.every.trim();
      const interval =
        every === '' || Number.isNaN(Number(every)) ? every : Number(every) * UNITS[form.unit];
      return { interval, ...(form.anchor && { anchor_date: form.anchor }), timezone };
    }
    case 'rrule':
      return { rrule: form.rrule.trim(), timezone };
  }
}

/** A date as its schedule's zone has it: `Wed 2026-11-25 09:00:00 +01:00`. */
export function dateInZone(time: string): string {
  const day = time.slice(0, 10);
  const weekday = new Date(`${day}T00:00:00Z`).toLocaleDateString('en-US', {
    weekday: 'short',
    timeZone: 'UTC',
  });
  const offset = /(Z|[+-]\d\d:\d\d)$/.exec(time)?.[0] ?? '';
  return `${weekday} ${day} ${time.slice(11, 19)} ${offset === 'Z' || offset === '+00:00' ? 'UTC' : offset}`;
}
