"""Pages of a run's lines by cursor: Tailrace's own, nothing of the reference's."""

import datetime as dt
import re
import uuid
from typing import Annotated, Literal

import msgspec

from app.wire.base import PAGE_LIMIT, in_utc
from app.wire.line_filters import LevelSetFilter, LoggerNames, Regex
from app.wire.logs import Log, TaskRunIdFilter, TextFilter

_CURSOR = re.compile(r"(-?\d{1,18})\.(-1|\d{1,19})")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
_LAST = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)


class RunLogsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines of a run, and where: from `cursor` on in `direction`; around a time or a line, given
    by its id; around the run's first error, or the next or previous one from `cursor`; or from the line on
    before which `at_offset` others match.

    Without any of these a page begins where the run does, or backward ends where it ends. With `offset`
    the page says at which offset it lies.
    """

    flow_run_id: uuid.UUID
    cursor: str | None = None
    around_time: dt.datetime | None = None
    around_line: uuid.UUID | None = None
    error: Literal["first", "next", "previous"] | None = None
    at_offset: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | None = None
    direction: Literal["forward", "backward"] = "forward"
    limit: Annotated[int, msgspec.Meta(ge=1)] = PAGE_LIMIT
    level: LevelSetFilter | None = None
    logger: LoggerNames | None = None
    task_run_id: TaskRunIdFilter | None = None
    text: TextFilter | None = None
    regex: Regex | None = None
    offset: bool = False

    def __post_init__(self) -> None:
        if self.cursor is not None and parse_cursor(self.cursor) is None:
            raise ValueError("`cursor` is not one that a page gave")
        places = {
            "around_time": self.around_time,
            "around_line": self.around_line,
            "at_offset": self.at_offset,
        }
        given = [name for name, place in places.items() if place is not None]
        if given and (len(given) > 1 or self.cursor is not None or self.error is not None):
            raise ValueError(f"`{given[0]}` says where the page is, so nothing else may")
        if self.error in ("next", "previous") and self.cursor is None:
            raise ValueError("`cursor` is needed to look for the next or previous error from there")
        if self.error == "first" and self.cursor is not None:
            raise ValueError("`cursor` says nothing where the first error is asked for")
        if self.around_time is not None:
            msgspec.structs.force_setattr(self, "around_time", in_utc(self.around_time))


class RunLogsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Lines, oldest first whatever the direction. `before` and `after` are cursors to go on from either
    end, good for as long as the run is there. `anchor` is the error that was looked for, or the first line
    at or after the time or line: None when there is none, or none was asked for. `offset`, if asked for,
    is how many lines of the run that match too come before the page: from this offset on the same lines
    come of `POST /logs/filter`, sorted by `TIMESTAMP_ASC`. It is that of a place: None where there is no
    such error."""

    lines: list[Log]
    before: str | None
    after: str | None
    anchor: uuid.UUID | None
    offset: int | None = None


def parse_cursor(cursor: str) -> tuple[int, int] | None:
    """(microseconds since the epoch, seq) of a cursor; None when it is none."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        return None
    moment, seq = int(match[1]), int(match[2])
    return (moment, seq) if _FIRST <= moment <= _LAST and seq < 2**63 else None


def format_cursor(key: tuple[int, int]) -> str:
    """The cursor of a line's place."""
    return f"{key[0]}.{key[1]}"
