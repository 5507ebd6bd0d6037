"""Counts of log lines on the wire."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from app.wire.base import in_utc
from app.wire.line_filters import LineFilter

MAX_BUCKETS = 2000


class LogHistogramQuery(LineFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/logs/histogram`: lines from `start` until before `end` that match.
    Buckets begin at multiples of `bucket_seconds`, which are whole milliseconds, since 1970 (UTC); those
    at the ends are cut off by the range."""

    start: dt.datetime
    end: dt.datetime
    bucket_seconds: Annotated[float, msgspec.Meta(ge=0.001, le=366 * 86400)]

    def __post_init__(self) -> None:
        _make_range_utc(self, self.start, self.end)
        milliseconds = self.bucket_seconds * 1000
        if abs(milliseconds - round(milliseconds)) > 1e-6:
            raise ValueError("bucket_seconds must be whole milliseconds")
        span = (self.end - self.start) // dt.timedelta(microseconds=1)
        buckets = -(-span // self.bucket_microseconds)
        if buckets > MAX_BUCKETS:
            raise ValueError(
                f"bucket_seconds makes {buckets} buckets of the range, more than {MAX_BUCKETS}"
            )

    @property
    def bucket_microseconds(self) -> int:
        """The width of a bucket."""
        return round(self.bucket_seconds * 1000) * 1000


class LogCountsQuery(LineFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/logs/counts`: lines from `start` until before `end` that match; the
    `limit` runs with the most of them are told."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200

    def __post_init__(self) -> None:
        _make_range_utc(self, self.start, self.end)


def _make_range_utc(
    query: LogHistogramQuery | LogCountsQuery, start: dt.datetime | None, end: dt.datetime | None
) -> None:
    start = in_utc(start) if start is not None else None
    end = in_utc(end) if end is not None else None
    if start is not None and end is not None and end <= start:
        raise ValueError("end must be after start")
    msgspec.structs.force_setattr(query, "start", start)
    msgspec.structs.force_setattr(query, "end", end)


class LogBucket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Lines from `start` on, all and by level."""

    start: dt.datetime
    lines: int
    levels: dict[int, int]


class LogHistogram(msgspec.Struct, frozen=True, kw_only=True):
    """Buckets that have lines, in order."""

    bucket_seconds: float
    lines: int
    buckets: list[LogBucket]


class RunLogCounts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Lines of a run, all and by level; None is no run."""

    flow_run_id: uuid.UUID | None
    lines: int
    levels: dict[int, int]


class LogCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Lines and runs that match in all, and the runs with the most lines, those first."""

    lines: int
    run_count: int
    runs: list[RunLogCounts]
