"""Run logs on the wire."""

import datetime as dt
import uuid
from typing import Annotated, Literal

import msgspec

from app.wire.base import PAGE_LIMIT, in_utc


class LogCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One posted line. Ids and the timestamp stay text here: the ingest buffer parses them for a
    whole flush at once, which is many times cheaper than one at a time."""

    name: str
    level: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    message: str
    timestamp: str
    flow_run_id: str | None = None
    task_run_id: str | None = None


class Log(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line as it is read back. `id` is derived from the line's `seq` (`storage.logs.lines`);
    `created` and `updated` are the line's own timestamp, since the time of arrival is not kept."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    level: int
    message: str
    timestamp: dt.datetime
    flow_run_id: uuid.UUID | None
    task_run_id: uuid.UUID | None


class LevelFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on the level number."""

    ge_: int | None = None
    le_: int | None = None


class TimestampFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on the timestamp, in UTC; a time without a zone is UTC."""

    before_: dt.datetime | None = None
    after_: dt.datetime | None = None

    def __post_init__(self) -> None:
        for field in ("before_", "after_"):
            time: dt.datetime | None = getattr(self, field)
            if time is not None:
                msgspec.structs.force_setattr(self, field, in_utc(time))


class FlowRunIdFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines of any of these flow runs; an empty list matches nothing."""

    any_: list[uuid.UUID] | None = None


class TaskRunIdFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines of any of these task runs, or with (or without) a task run."""

    any_: list[uuid.UUID] | None = None
    is_null_: bool | None = None


class TextFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text query in the grammar of `storage.logs.text`."""

    query: Annotated[str, msgspec.Meta(max_length=200)]


class LogFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines; fields join by `operator`."""

    operator: Literal["and_", "or_"] = "and_"
    level: LevelFilter | None = None
    timestamp: TimestampFilter | None = None
    flow_run_id: FlowRunIdFilter | None = None
    task_run_id: TaskRunIdFilter | None = None
    text: TextFilter | None = None


LogSort = Literal["TIMESTAMP_ASC", "TIMESTAMP_DESC"]


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /logs/filter`."""

    logs: LogFilter | None = None
    sort: LogSort = "TIMESTAMP_ASC"
    limit: Annotated[int, msgspec.Meta(ge=0)] = PAGE_LIMIT
    # Offset and limit together must fit 64 bits.
    offset: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] = 0
