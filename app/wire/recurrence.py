"""Recurrence rules (RFC 5545) as texts: what may come in, and what it says.

Times in a rule are local times of its schedule's time zone; an offset written in the rule is not
looked at. So it is in Prefect 3.8.8.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass

from dateutil.rrule import HOURLY, MINUTELY, SECONDLY, rrule, rruleset, rrulestr

from app.wire.base import Json

# Longer than any rule that people write, shorter than one that keeps a process busy.
MAX_CHARACTERS = 6500
# From when a rule counts that does not say so.
ANCHOR = dt.datetime(2020, 1, 1)  # noqa: DTZ001
_SECONDS = {SECONDLY: 1, MINUTELY: 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, and those of its parts that dateutil keeps to itself."""

    rule: rrule
    frequency: int
    interval: int
    count: int | None
    start: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """Rules and single dates, and the rules and dates that are left out."""

    rules: tuple[Rule, ...]
    dates: tuple[dt.datetime, ...] = ()
    excepted_rules: tuple[Rule, ...] = ()
    excepted_dates: tuple[dt.datetime, ...] = ()


def parse_recurrence(text: str) -> Recurrence:
    """What the text says. Raises ValueError, with the words of the reference."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f'Invalid RRule string "{text[:40]}..."\nMax length is {MAX_CHARACTERS}, got {len(text)}'
        )
    try:
        parsed = rrulestr(text, dtstart=ANCHOR)
        if isinstance(parsed, rrule):
            return Recurrence(rules=(_rule(parsed),))
        return _recurrence(parsed)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # dateutil lets through what its own steps raise.
        raise ValueError(f'Invalid RRule string "{text}": {error}') from error


def _recurrence(rules: rruleset) -> Recurrence:
    kept = vars(rules)
    return Recurrence(
        rules=tuple(map(_rule, kept["_rrule"])),
        dates=_naive(kept["_rdate"]),
        excepted_rules=tuple(map(_rule, kept["_exrule"])),
        excepted_dates=_naive(kept["_exdate"]),
    )


def _naive(dates: Iterable[dt.datetime]) -> tuple[dt.datetime, ...]:
    return tuple(sorted(date.replace(tzinfo=None) for date in dates))


def _rule(parsed: rrule) -> Rule:
    kept = vars(parsed)
    if kept["_interval"] < 1:
        raise ValueError("INTERVAL must be 1 or more")
    _check_positions(kept)
    start: dt.datetime = kept["_dtstart"].replace(tzinfo=None)
    until: dt.datetime | None = kept["_until"]
    return Rule(
        rule=parsed.replace(
            dtstart=start, until=until.replace(tzinfo=None) if until is not None else None
        ),
        frequency=kept["_freq"],
        interval=kept["_interval"],
        count=kept["_count"],
        start=start,
    )


def _check_positions(kept: Json) -> None:
    """A rule of hours or less that picks positions beyond those of its period would be looked
    through for ever."""
    if not kept["_bysetpos"] or kept["_freq"] < HOURLY:
        return
    times = len(kept["_bysecond"] or ()) if kept["_freq"] < SECONDLY else 1
    if kept["_freq"] == HOURLY:
        times *= len(kept["_byminute"] or ())
    if all(abs(position) > times for position in kept["_bysetpos"]):
        raise ValueError("BYSETPOS picks none of the times of a period")


def anchored(text: str, timezone: str | None, *, now: dt.datetime) -> str:
    """The rule with a DTSTART line in front, if it has none: 2020, or for rules of minutes and
    seconds without a COUNT the last of their dates before `now`, which gives the same dates.

    A text that is no rule comes back as it is.
    """
    if "DTSTART" in text.upper():
        return text
    try:
        recurrence = parse_recurrence(text)
    except ValueError:
        return text
    start = ANCHOR
    alone = not (recurrence.dates or recurrence.excepted_rules or recurrence.excepted_dates)
    if alone and len(recurrence.rules) == 1:
        [rule] = recurrence.rules
        seconds = _SECONDS.get(rule.frequency)
        local_now = now.astimezone(zoneinfo.ZoneInfo(timezone or "UTC")).replace(tzinfo=None)
        if seconds is not None and rule.count is None and local_now > ANCHOR:
            period = dt.timedelta(seconds=seconds * rule.interval)
            start = ANCHOR + (local_now - ANCHOR) // period * period
    return f"DTSTART:{start:%Y%m%dT%H%M%S}\n{text}"
