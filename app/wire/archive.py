"""What the log tiers hold, hour by hour or day by day, and whether it is whole: Tailrace's own."""

import datetime as dt
from typing import Literal

import msgspec

from app.wire.jobs import JobWish

# What a log line takes as a row of the reference's PostgreSQL database, with its indexes: measured over
# 2 M lines (docs/benchmarks.md, "Bytes at rest").
DATABASE_BYTES_PER_ROW = 382


class LogTier(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier holds: `parts` are batches or segments, `bytes` are compressed; the times are those of
    the oldest and newest line, None when it is empty."""

    tier: Literal["hot", "segments"]
    parts: int
    rows: int
    bytes: int
    oldest: dt.datetime | None
    newest: dt.datetime | None


class SegmentGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Segments of a state and a level. `staged` ones are being uploaded, `published` ones are read, and
    `marked` ones were replaced and wait to be deleted. `level` says how often lines were rewritten;
    final ones are rewritten no more."""

    state: Literal["staged", "published", "marked"]
    level: int
    final: bool
    parts: int
    rows: int
    bytes: int
    oldest: dt.datetime | None
    newest: dt.datetime | None


class LogTiers(msgspec.Struct, frozen=True, kw_only=True):
    """What readers read, hot and in segments, together and by tier. `database_bytes` is what as many
    lines take as rows of the reference's database: 382 bytes each, as measured (docs/benchmarks.md)."""

    rows: int
    bytes: int
    database_bytes: int
    oldest: dt.datetime | None
    newest: dt.datetime | None
    tiers: list[LogTier]
    segments: list[SegmentGroup]


class ArchivePartition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The segments offloaded in an hour or a day (UTC) from `start` on, the first one when a segment spans
    more."""

    start: dt.datetime
    rows: int
    bytes: int
    segments: int
    final_segments: int


class ArchivePartitions(msgspec.Struct, frozen=True, kw_only=True):
    """Partitions that have segments, oldest first; `truncated` when there are older ones in the range."""

    by: Literal["hour", "day"]
    partitions: list[ArchivePartition]
    truncated: bool


class IcebergStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the Iceberg tables of logs and runs are, as the database knows. `published` says whether they
    are kept up to date at all, every so many minutes. Of the `final` segments `waiting` are in no snapshot
    yet, the longest since `waiting_since`, and `spanning` have lines of several days and are split first;
    `held` were replaced and some snapshot may still name them. `begun` when there ever was a snapshot."""

    published: bool
    every_minutes: int | None
    namespace: str | None
    final: int
    waiting: int
    waiting_since: dt.datetime | None
    spanning: int
    held: int
    begun: bool


class VerificationProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one object; it is said to have so many rows of so many runs, None when nothing
    is known of it."""

    key: str
    fault: str
    detail: str
    rows: int | None
    runs: int | None


class ArchiveVerification(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of the segments with the objects in the bucket: how much was looked at, and the first
    1,000 of the problems."""

    started: dt.datetime
    finished: dt.datetime
    segments: int
    rows: int
    bytes: int
    problem_count: int
    problems: list[VerificationProblem]


class ArchiveVerifications(msgspec.Struct, frozen=True, kw_only=True):
    """The last result, None before the first, and the wish for another that is being done."""

    last: ArchiveVerification | None
    running: JobWish | None
