"""Schedules on the wire and in the store: when runs of a deployment are due."""

import datetime as dt
import zoneinfo
from typing import Annotated, TypeAlias

import msgspec

from app.wire.base import Json, as_utc

# Longer than any rule that people write, shorter than one that keeps a process busy.
MAX_RRULE_CHARACTERS = 6500


def _check_timezone(name: str | None) -> None:
    if name is not None and name not in zoneinfo.available_timezones():
        raise ValueError(
            f"Invalid timezone: {name!r} (specify in IANA tzdata format, e.g. Etc/UTC)"
        )


class IntervalSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every `interval` seconds, counted from the anchor. An interval of a day or more keeps the
    local time of its time zone over changes of the clocks, a shorter one the distance."""

    interval: Annotated[float, msgspec.Meta(gt=0)]
    anchor_date: dt.datetime = msgspec.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    timezone: str | None = None

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)
        msgspec.structs.force_setattr(self, "anchor_date", as_utc(self.anchor_date))


class CronSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the clocks of the time zone match the cron expression. `day_or`: a day matches by its
    date or its weekday, else by both."""

    cron: str
    timezone: str | None = None
    day_or: bool = True

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)


class RRuleSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By an iCalendar recurrence rule (RFC 5545), in the time zone's local time."""

    rrule: Annotated[str, msgspec.Meta(max_length=MAX_RRULE_CHARACTERS)]
    timezone: str | None = None

    def __post_init__(self) -> None:
        _check_timezone(self.timezone)


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


def document_of(schedule: Schedule) -> Json:
    """The JSON object that describes the schedule, with all its fields, as it is kept and
    answered."""
    document: Json = msgspec.to_builtins(schedule)
    return document
