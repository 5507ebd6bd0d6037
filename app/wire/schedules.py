"""Schedules on the wire and in the store: when runs of a deployment are due."""

import datetime as dt
import functools
import re
import zoneinfo
from typing import Annotated, TypeAlias

import msgspec
from croniter import croniter

from app.wire.base import Json, as_utc, in_utc, utc_now
from app.wire.recurrence import anchored, parse_recurrence

# What the standard library can add up.
MAX_INTERVAL_SECONDS = 86_400 * 999_999_999
MIN_INTERVAL_SECONDS = 1e-6
# How a complaint about a field begins.
_NAMED = re.compile(r"`(\w+)` ")


@functools.cache
def _timezones() -> frozenset[str]:
    # Asking walks through the files of all time zones.
    return frozenset(zoneinfo.available_timezones())


def _check_timezone(name: str | None) -> None:
    if name and name not in _timezones():
        raise ValueError(
            f'`timezone` is invalid: "{name}" (specify in IANA tzdata format, for example,'
            " America/New_York)"
        )


class IntervalSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every `interval` seconds, counted from the anchor. An interval of a day or more keeps the
    local time of its time zone over changes of the clocks, a shorter one the distance."""

    interval: Annotated[float, msgspec.Meta(le=MAX_INTERVAL_SECONDS)]
    anchor_date: dt.datetime = msgspec.field(default_factory=utc_now)
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.interval < MIN_INTERVAL_SECONDS:
            raise ValueError("`interval` must be positive")
        _check_timezone(self.timezone)
        if self.timezone is None:
            msgspec.structs.force_setattr(self, "timezone", "UTC")
        msgspec.structs.force_setattr(self, "anchor_date", as_utc(self.anchor_date))


class CronSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the clocks of the time zone match the cron expression. `day_or`: a day matches by its
    date or its weekday, else by both."""

    cron: str
    timezone: str | None = None
    day_or: bool = True

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)
        if not croniter.is_valid(self.cron):
            raise ValueError(f'`cron` is an invalid cron string: "{self.cron}"')
        # Each asking would give other dates.
        if any(part.casefold().startswith(("r", "h")) for part in self.cron.split()):
            raise ValueError(
                f'`cron` has random or hashed parts, which are unsupported: "{self.cron}"'
            )


class RRuleSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By an iCalendar recurrence rule (RFC 5545), in the time zone's local time. The rule says
    since when it counts: one that comes without a DTSTART is given one."""

    rrule: str
    timezone: str | None = "UTC"

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)
        try:
            parse_recurrence(self.rrule)
        except ValueError as error:
            raise ValueError(f"`rrule` is refused: {error}") from error
        rule = anchored(self.rrule, self.timezone, now=utc_now())
        msgspec.structs.force_setattr(self, "rrule", rule)


Schedule: TypeAlias = IntervalSchedule | CronSchedule | RRuleSchedule


_KINDS: dict[str, type[IntervalSchedule] | type[CronSchedule] | type[RRuleSchedule]] = {
    "interval": IntervalSchedule,
    "cron": CronSchedule,
    "rrule": RRuleSchedule,
}


def schedule_from(document: Json) -> Schedule:
    """The schedule that a JSON object describes; its kind is told by the field that it has.

    Raises:
        ValueError: it is none of the three, or a field of it does not fit; says which.
    """
    kinds = [kind for kind in _KINDS if kind in document]
    if len(kinds) != 1:
        raise ValueError("a schedule needs one of `interval`, `cron` and `rrule`")
    return msgspec.convert(document, _KINDS[kinds[0]])


def completed(document: Json) -> Json:
    """The JSON object with all fields of its kind, as it is kept and answered.

    Raises:
        ValueError: as `schedule_from` does; begins with the place of what does not fit below the
            field `schedule`, as in "`schedule.cron` is …".
    """
    try:
        complete: Json = msgspec.to_builtins(schedule_from(document))
    except ValueError as error:
        raise ValueError(_placed(str(error))) from error
    return complete


def _placed(complaint: str) -> str:
    what, _, path = complaint.partition(" - at `$")
    place = f"schedule{path.removesuffix('`')}"
    named = _NAMED.match(what)
    if named:
        place, what = f"{place}.{named[1]}", what[named.end() :]
    return f"`{place}` {what}"


class ScheduleDatesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/schedules/preview`: a schedule as deployments have them, and how many of
    its dates are wanted from `after` (now) on."""

    schedule: Json
    n: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10
    after: dt.datetime | None = None

    def __post_init__(self) -> None:
        if self.after is not None:
            msgspec.structs.force_setattr(self, "after", in_utc(self.after))


class ScheduleDates(msgspec.Struct, frozen=True, kw_only=True):
    """Dates in the time zone of the schedule, earliest first; fewer than were asked for when it ends."""

    times: list[dt.datetime]
