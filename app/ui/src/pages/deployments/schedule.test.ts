import { describe, expect, it } from 'vitest';

import { dateInZone, formOf, inWords, scheduleOf, type ScheduleDocument } from './schedule';

describe('a schedule in words', () => {
  it.each<[ScheduleDocument, string]>([
    [{ cron: '0 2 * * *', timezone: 'Europe/Berlin' }, 'At 02:00, Europe/Berlin'],
    [{ cron: '*/5 * * * *', timezone: null }, 'Every 5 minutes, UTC'],
    [{ cron: '0 2 * * * 30' }, 'At 02:00:30, UTC'],
    [{ cron: 'nonsense' }, 'nonsense, UTC'],
    [{ interval: 3600 }, 'Every hour'],
    [{ interval: 5400, timezone: 'UTC' }, 'Every 1 h 30 min'],
    [
      {
        rrule: 'DTSTART:20261124T000000\nRRULE:FREQ=WEEKLY;BYDAY=SA;BYHOUR=9;BYMINUTE=0',
        timezone: 'UTC',
      },
      'Every week on Saturday at 09:00, UTC',
    ],
    [
      { rrule: 'FREQ=DAILY;INTERVAL=2;UNTIL=20270101T000000Z' },
      'Every 2 days, until 2027-01-01, UTC',
    ],
    [{ rrule: 'FREQ=MONTHLY;BYDAY=-1FR' }, 'FREQ=MONTHLY;BYDAY=-1FR, UTC'],
    [{}, 'Unknown kind of schedule'],
  ])('%j is %s', (schedule, words) => {
    expect(inWords(schedule)).toBe(words);
  });
});

describe('the form of a schedule', () => {
  it.each<ScheduleDocument>([
    { cron: '0 2 * * 1', day_or: false, timezone: 'Europe/Berlin' },
    { interval: 5400, anchor_date: '2026-11-24T20:09:13.519244Z', timezone: 'UTC' },
    { interval: 172800, anchor_date: '2026-11-24T20:09:13.519244Z', timezone: 'UTC' },
    { interval: 0.5, anchor_date: '2026-11-24T20:09:13Z', timezone: 'UTC' },
    { rrule: 'DTSTART:20261124T000000\nFREQ=DAILY', timezone: 'Asia/Tokyo' },
  ])('gives %j back as it was', (schedule) => {
    expect(scheduleOf(formOf(schedule, 'UTC'))).toEqual(schedule);
  });

  it('has the largest whole unit of an interval', () => {
    expect(formOf({ interval: 5400 }, 'UTC')).toMatchObject({ every: '90', unit: 'minutes' });
    expect(formOf({ interval: 90 }, 'UTC')).toMatchObject({ every: '90', unit: 'seconds' });
  });

  it("leaves what is no number to the server's judgement", () => {
    expect(scheduleOf({ ...formOf({ interval: 60 }, 'UTC'), every: 'x' })).toMatchObject({
      interval: 'x',
    });
    expect(scheduleOf({ ...formOf({ interval: 60 }, 'UTC'), every: '' })).toMatchObject({
      interval: '',
    });
  });
});

describe('a date of a schedule', () => {
  it('is told as its zone has it', () => {
    expect(dateInZone('2026-11-25T09:00:00+01:00')).toBe('Wed 2026-11-25 09:00:00 +01:00');
    expect(dateInZone('2026-11-25T09:00:00Z')).toBe('Wed 2026-11-25 09:00:00 UTC');
  });
});
