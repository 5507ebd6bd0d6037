"""Pages of flow runs by cursor: Tailrace's own, nothing of the reference's."""

import base64
import binascii
import datetime as dt
import uuid
from typing import Annotated, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import Selection
from app.wire.runs import FlowRun
from app.wire.sorting import FlowRunSort

# Up to here runs are counted; looking at so many rows takes some milliseconds.
COUNTED = 10_000

SortValue: TypeAlias = dt.datetime | str | None


class FlowRunCursor(msgspec.Struct, frozen=True, array_like=True):
    """A run's place in an order: its name, or the time that it is sorted by, if that is what it is
    sorted by and it has one; and its id."""

    sort: FlowRunSort
    id: uuid.UUID
    name: str | None = None
    time: dt.datetime | None = None

    @property
    def value(self) -> SortValue:
        """What the order is by, besides the id."""
        return self.name if self.sort.startswith("NAME") else self.time


def place_of(run: FlowRun, sort: FlowRunSort) -> FlowRunCursor:
    """Where a run lies in an order."""
    match sort:
        case "ID_DESC":
            return FlowRunCursor(sort, run.id)
        case "NAME_ASC" | "NAME_DESC":
            return FlowRunCursor(sort, run.id, name=run.name)
        case "START_TIME_ASC" | "START_TIME_DESC":
            return FlowRunCursor(sort, run.id, time=run.start_time or run.expected_start_time)
        case "EXPECTED_START_TIME_ASC" | "EXPECTED_START_TIME_DESC":
            return FlowRunCursor(sort, run.id, time=run.expected_start_time)
        case "NEXT_SCHEDULED_START_TIME_ASC":
            return FlowRunCursor(sort, run.id, time=run.next_scheduled_start_time)
        case "END_TIME_DESC":
            return FlowRunCursor(sort, run.id, time=run.end_time)


_CURSOR = msgspec.json.Decoder(FlowRunCursor)


class FlowRunsQuery(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/flow_runs`: filters as `POST /flow_runs/filter` has them, and the
    `cursor` of an earlier page, which the same sort goes on from. `count` asks for how many match."""

    sort: FlowRunSort = "START_TIME_DESC"
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
    cursor: str | None = None
    count: bool = False

    def __post_init__(self) -> None:
        if self.cursor is None:
            return
        place = parse_cursor(self.cursor)
        if place is None:
            raise ValueError("`cursor` is not one that a page gave")
        if place.sort != self.sort:
            raise ValueError(f"`cursor` is of the sort {place.sort}, not of {self.sort}")

    @property
    def place(self) -> FlowRunCursor | None:
        """Where the page begins: after this one."""
        return parse_cursor(self.cursor) if self.cursor is not None else None


class BoundedCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are; when not `exact`, at least so many."""

    count: int
    exact: bool


class FlowRunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs in order. `next` goes on after the last of them, None at the end. `count`, if asked for, is
    exact up to 10,000."""

    flow_runs: list[FlowRun]
    next: str | None
    count: BoundedCount | None


def parse_cursor(text: str) -> FlowRunCursor | None:
    """The place that a cursor names; None when it is none."""
    try:
        cursor = _CURSOR.decode(base64.urlsafe_b64decode(text.encode("ascii")))
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return None
    if cursor.sort.startswith("NAME") and (cursor.name is None or "\0" in cursor.name):
        return None
    if cursor.time is not None and cursor.time.tzinfo is None:
        return None
    return cursor


def format_cursor(cursor: FlowRunCursor) -> str:
    """A place as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()
