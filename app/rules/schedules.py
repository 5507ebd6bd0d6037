"""When a schedule is due: the dates of an interval, a cron expression or a recurrence rule.

Dates come in the schedule's own time zone, each instant once, in ascending order. A local time that
the clocks skip is read by the offset that holds after the change (02:30 becomes 01:30 before it), a
local time that comes twice means the first of the two. Both are how Prefect 3.8.8 reads them.
"""

import datetime as dt
import functools
import heapq
import itertools
import math
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from croniter import CroniterBadDateError, croniter
from dateutil.rrule import DAILY, HOURLY, MINUTELY, SECONDLY, WEEKLY, YEARLY, rrule

from app.wire.recurrence import Recurrence, Rule, parse_recurrence
from app.wire.schedules import CronSchedule, IntervalSchedule, RRuleSchedule, Schedule

# Occurrences of a recurrence rule that are looked at before it counts as too costly: some seconds.
MAX_OCCURRENCES = 1_000_000
_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_PERIODS = {
    SECONDLY: _SECOND,
    MINUTELY: dt.timedelta(minutes=1),
    HOURLY: dt.timedelta(hours=1),
    DAILY: _DAY,
    WEEKLY: dt.timedelta(weeks=1),
}
# A day of the month that every month has.
_LAST_COMMON_DAY = 28

Naive: TypeAlias = dt.datetime


class TooCostly(ValueError):
    """The next date of a rule cannot be found in reasonable time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """How far ahead of a time dates are wanted: until there are `min_runs` of them and the last
    is `min_scheduled_time` away, but never more than `max_runs` and none further away than
    `max_scheduled_time`."""

    min_runs: int = 3
    max_runs: int = 100
    min_scheduled_time: dt.timedelta = dt.timedelta(hours=1)
    max_scheduled_time: dt.timedelta = dt.timedelta(days=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How the scheduler goes about it: it looks at all schedules `every_seconds`, and keeps `batch`
    runs in a transaction."""

    horizon: Horizon = Horizon()
    batch: int = 500
    every_seconds: int = 60


def dates_ahead(
    schedule: Schedule,
    *,
    start: dt.datetime,
    end: dt.datetime,
    min_runs: int,
    max_runs: int,
    min_time: dt.timedelta,
) -> list[dt.datetime]:
    """The dates from `start` on that a horizon asks for, both ends included.

    Raises:
        TooCostly: see there.
        ValueError: the schedule is not valid.
    """
    dates: list[dt.datetime] = []
    if max_runs < 1:
        return dates
    try:
        for date in dates_between(schedule, start, end):
            dates.append(date)
            if len(dates) >= max_runs or (len(dates) >= min_runs and date - start >= min_time):
                break
    except OverflowError:
        raise ValueError("a time outside of years 1 to 9999") from None
    return dates


def dates_between(
    schedule: Schedule, start: dt.datetime, end: dt.datetime
) -> Iterator[dt.datetime]:
    """All dates from `start` to `end`, both included. Lazy; raises as `dates_ahead`."""
    zone = zoneinfo.ZoneInfo(schedule.timezone or "UTC")
    match schedule:
        case IntervalSchedule():
            instants = _interval(schedule, zone, start)
        case CronSchedule():
            instants = _instants(_cron(schedule, _local(start, zone)), zone)
        case RRuleSchedule():
            instants = _instants(_recurrences(schedule, _local(start, zone)), zone)
    last: dt.datetime | None = None
    for instant in instants:
        if instant > end:
            return
        if instant < start or (last is not None and instant <= last):
            continue
        last = instant
        yield instant.astimezone(zone)


def _local(time: dt.datetime, zone: dt.tzinfo) -> Naive:
    return time.astimezone(zone).replace(tzinfo=None, fold=0)


def _instant(local: Naive, zone: dt.tzinfo) -> dt.datetime:
    """The moment at which the clocks show `local`, as the module says, in UTC."""
    first = local.replace(tzinfo=zone, fold=0).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    assert first is not None
    assert second is not None
    # The larger offset is the one after a gap and the one of the first of two equal times.
    return (local - max(first, second)).replace(tzinfo=dt.UTC)


def _instants(locals_: Iterable[Naive], zone: dt.tzinfo) -> Iterator[dt.datetime]:
    try:
        for local in locals_:
            yield _instant(local, zone)
    except OverflowError:
        # The calendar ends with year 9999.
        return


def _interval(
    schedule: IntervalSchedule, zone: dt.tzinfo, start: dt.datetime
) -> Iterator[dt.datetime]:
    """From the first that may be due on: counted in local time for intervals of a day or more, so
    that the hour stays, else in time that passes."""
    interval = dt.timedelta(seconds=schedule.interval)
    anchor = schedule.anchor_date.astimezone(dt.UTC)
    if interval < _DAY:
        return _multiples(anchor, interval, math.ceil((start - anchor) / interval))
    local_anchor = _local(anchor, zone)
    # A day earlier: in local time the first one may seem to lie before the start and lie after it.
    first = math.floor((_local(start, zone) - _DAY - local_anchor) / interval)
    return _instants(_multiples(local_anchor, interval, first), zone)


def _multiples(anchor: dt.datetime, interval: dt.timedelta, first: int) -> Iterator[dt.datetime]:
    """Each from the anchor, so that rounding never adds up."""
    for n in itertools.count(first):
        try:
            yield anchor + n * interval
        except OverflowError:
            if n >= 0:
                return


def _cron(schedule: CronSchedule, start: Naive) -> Iterator[Naive]:
    whole = start.replace(microsecond=0) + (_SECOND if start.microsecond else dt.timedelta())
    # Without a time zone: that croniter is not to be asked about changes of the clocks is old
    # wisdom, and it looks for dates after its start, not at it.
    found = croniter(schedule.cron, whole - _SECOND, day_or=schedule.day_or)
    while True:
        try:
            yield found.get_next(dt.datetime)
        except CroniterBadDateError:
            return


def _recurrences(schedule: RRuleSchedule, start: Naive) -> Iterator[Naive]:
    """What the text says less what it excepts, from `start` on or a little earlier."""
    said = _parsed(schedule.rrule)
    # Wide enough for any change of the clocks.
    begin = start - _DAY
    counted = itertools.count(1)

    def occurrences(rules: Iterable[Rule], dates: Iterable[Naive]) -> Iterator[Naive]:
        for date in heapq.merge(*(iter(_from(rule, begin)) for rule in rules), dates):
            if next(counted) > MAX_OCCURRENCES:
                raise TooCostly(
                    f"the rule has too few dates among its next {MAX_OCCURRENCES:,} occurrences;"
                    " give it a DTSTART nearer to now or a longer INTERVAL"
                )
            yield date

    excepted = occurrences(said.excepted_rules, said.excepted_dates)
    exception = next(excepted, None)
    for date in occurrences(said.rules, said.dates):
        while exception is not None and exception < date:
            exception = next(excepted, None)
        if date >= begin and date != exception:
            yield date


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> Recurrence:
    return parse_recurrence(text)


def _from(rule: Rule, begin: Naive) -> rrule:
    """The same rule, begun later by whole periods, so that years of occurrences are not counted
    through; one that counts its occurrences has to be."""
    if rule.count is not None or rule.start >= begin:
        return rule.rule
    period = _PERIODS.get(rule.frequency)
    if period is not None:
        step = period * rule.interval
        return rule.rule.replace(dtstart=rule.start + (begin - rule.start) // step * step)
    if rule.start.day > _LAST_COMMON_DAY:
        return rule.rule
    step_months = rule.interval * (12 if rule.frequency == YEARLY else 1)
    passed = (begin.year - rule.start.year) * 12 + begin.month - rule.start.month - 1
    month = rule.start.month - 1 + max(0, passed) // step_months * step_months
    return rule.rule.replace(
        dtstart=rule.start.replace(year=rule.start.year + month // 12, month=month % 12 + 1)
    )
