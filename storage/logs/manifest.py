"""The manifest: which segments there are and which runs they hold.

A segment is `staged` before its object is uploaded, `published` in the transaction that deletes
the batches it was made from, and `marked` when its object may be deleted. Readers see published
ones only.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from storage.errors import Conflict
from storage.logs import hot
from storage.logs.planner import Bounds, Source
from storage.logs.segment import FORMAT_VERSION, SegmentRun, SegmentSummary
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_STAGE_SEGMENT = statement("stage_segment")
_PUBLISH_SEGMENT = statement("publish_segment")
_INSERT_SEGMENT_RUNS = statement("insert_segment_runs")
_MARK_STALE_STAGED = statement("mark_stale_staged")
_MARKED_SEGMENTS = statement("marked_segments")
_MARK_SEGMENTS = statement("mark_segments")
_SEGMENTS_TO_MERGE = statement("segments_to_merge")
_SEGMENT_TO_SPLIT = statement("segment_to_split")
_SEGMENT_TO_CLEAN = statement("segment_to_clean")
_TOMBSTONES_IN_SEGMENTS = statement("tombstones_in_segments")
_EXPIRIES_IN_SEGMENTS = statement("expiries_in_segments")
_PRUNE_TOMBSTONES = statement("prune_tombstones")
_UNLOCATED_TASKS = statement("unlocated_tasks")
_LOCATE_TASKS = statement("locate_tasks")
_KEEP_AS_THEY_ARE = statement("keep_as_they_are")
_MARK_DAMAGED = statement("mark_damaged")
_MARK_WHOLE = statement("mark_whole")
_ALL_SEGMENTS = statement("all_segments")
_KNOWN_KEYS = statement("known_keys")
_DELETE_SEGMENT_RUNS = statement("delete_segment_runs")
_FORGET_SEGMENTS = statement("forget_segments")
_RUN_SOURCES = statement("run_sources")
_ALL_SOURCES = statement("all_sources")
_TOMBSTONES = statement("tombstones")
_DELETED_PARTS = statement("deleted_parts")
_TOMBSTONES_OF_BATCH = statement("tombstones_of_batch")
_SEGMENT_FACTS = statement("segment_facts")
_TIER_STATUS = statement("tier_status")
_HOT_RUNS = statement("hot_runs")
_SEGMENT_RUNS = statement("segment_runs")
_SEGMENTS_PUBLISHED_SINCE = statement("segments_published_since")

_FIRST_TIME = dt.datetime.min.replace(tzinfo=dt.UTC)
_LAST_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)
_LEAST_LEVEL = -(2**31)
_GREATEST_LEVEL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStatus:
    """What a tier holds: `parts` are batches or segments, `bytes` are compressed; the times are
    those of the oldest and newest line, None when the tier is empty."""

    tier: str
    parts: int
    rows: int
    bytes: int
    oldest: dt.datetime | None
    newest: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """Flow runs, and task runs of others, that were deleted: nobody may see their lines."""

    runs: list[uuid.UUID]
    tasks: list[uuid.UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedPart:
    """Rows [first_row, first_row + rows) of a segment, of a run of which lines are deleted."""

    segment_id: int
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A published segment. `tier` says how often its lines were rewritten, `hour` in which hour (UTC)
    they were offloaded, the first one when it spans more."""

    id: int
    key: str
    tier: int
    rows: int
    bytes: int
    sha256: bytes | None
    hour: dt.datetime
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSegment:
    """What the manifest says of an object: `rows` and `bytes` of the object, `run_rows` and `runs` of
    the runs that it lists. `sha256` and `footer_crc32` are None for objects of before they were kept."""

    id: int
    key: str
    state: str
    rows: int
    bytes: int
    sha256: bytes | None
    footer_crc32: int | None
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    known_damaged: bool
    run_rows: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """What an operator is told of a segment; `format` is the version of its layout."""

    id: int
    key: str
    tier: int
    format: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a segment's lines come from: see `Segment`; tombstones written before `cleaned` have been
    applied to them."""

    tier: int = 0
    hour: dt.datetime | None = None
    cleaned: dt.datetime | None = None


FROM_HOT = Lineage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    """What a rewrite leaves out: deleted runs and task runs, lines of runs below a level, and lines
    outside any run from before a time."""

    deleted: Deleted
    below_level: dict[uuid.UUID, int]
    runless_before: dt.datetime | None = None


async def stage_segment(
    conn: Conn, key: str, segment: SegmentSummary, lineage: Lineage = FROM_HOT
) -> int:
    """Announce an object about to be uploaded; gives the segment's id."""
    segment_id: int = await conn.fetchval(
        _STAGE_SEGMENT,
        key,
        lineage.tier,
        FORMAT_VERSION,
        segment.rows,
        segment.bytes,
        segment.sha256,
        segment.min_timestamp,
        segment.max_timestamp,
        segment.min_run_id,
        segment.max_run_id,
        lineage.hour,
        lineage.cleaned,
        segment.footer_crc32,
    )
    return segment_id


async def publish_offloaded(
    conn: Conn, segment_id: int, segment: SegmentSummary, batch_ids: list[int]
) -> None:
    """Make a segment readable and delete the batches it holds. Must run in one transaction.

    Raises:
        Conflict: another process offloaded one of the batches, or the segment is not staged any
            more. The transaction must be rolled back.
    """
    if await hot.delete_batches(conn, batch_ids) != len(batch_ids):
        raise Conflict("log_batch", "a batch was offloaded by another process in the meantime")
    await _publish(conn, segment_id, segment)


async def publish_merged(
    conn: Conn, outputs: dict[int, SegmentSummary], input_ids: list[int]
) -> None:
    """Make the outputs of a merge readable, by segment id, in place of its inputs. Must run in one
    transaction.

    Raises:
        Conflict: another process replaced one of the inputs, or an output is not staged any more.
            The transaction must be rolled back.
    """
    if await conn.execute(_MARK_SEGMENTS, input_ids) != f"UPDATE {len(input_ids)}":
        raise Conflict("log_segment", "a segment was merged by another process in the meantime")
    for segment_id, segment in outputs.items():
        await _publish(conn, segment_id, segment)


async def _publish(conn: Conn, segment_id: int, segment: SegmentSummary) -> None:
    if await conn.execute(_PUBLISH_SEGMENT, segment_id) != "UPDATE 1":
        raise Conflict("log_segment", f"segment {segment_id} is not staged any more")
    await _insert_runs(conn, segment_id, segment.runs)


async def _insert_runs(conn: Conn, segment_id: int, runs: list[SegmentRun]) -> None:
    await conn.execute(
        _INSERT_SEGMENT_RUNS,
        segment_id,
        [run.part.flow_run_id for run in runs],
        [run.first_row for run in runs],
        [run.part.rows for run in runs],
        [run.errors for run in runs],
        [run.part.min_timestamp for run in runs],
        [run.part.max_timestamp for run in runs],
        [run.part.min_level for run in runs],
        [run.part.max_level for run in runs],
    )


async def replace_runs(conn: Conn, segment_id: int, runs: list[SegmentRun]) -> None:
    """Say anew which runs a segment holds. Must run in one transaction."""
    await conn.execute(_DELETE_SEGMENT_RUNS, segment_id)
    await _insert_runs(conn, segment_id, runs)


async def all_segments(conn: Conn, after: int, limit: int) -> list[ListedSegment]:
    """Segments with ids above `after`, whatever their state."""
    rows = await conn.fetch(_ALL_SEGMENTS, after, limit)
    return [ListedSegment(**with_zones(row)) for row in rows]


async def known_among(conn: Conn, keys: list[str]) -> set[str]:
    """Those of the keys that the manifest knows, in whatever state."""
    return {row["key"] for row in await conn.fetch(_KNOWN_KEYS, keys)}


async def published_among(conn: Conn, keys: list[str]) -> set[str]:
    """Those of the keys whose segments are published."""
    rows = await conn.fetch(_KNOWN_KEYS, keys)
    return {row["key"] for row in rows if row["state"] == "published"}


async def segments_to_merge(conn: Conn, limit: int) -> list[Segment]:
    """Published segments that may be merged, the oldest hours first; damaged ones are left out."""
    return [Segment(**with_zones(row)) for row in await conn.fetch(_SEGMENTS_TO_MERGE, limit)]


async def segment_to_split(conn: Conn) -> Segment | None:
    """A final segment whose lines are of several days (UTC)."""
    row = await conn.fetchrow(_SEGMENT_TO_SPLIT)
    return None if row is None else Segment(**with_zones(row))


async def segment_to_clean(
    conn: Conn, *, deleted_before_seconds: float
) -> tuple[Segment, bool] | None:
    """A published segment that holds enough deleted or expired lines, or long enough, and whether all
    of its runs are deleted."""
    row = await conn.fetchrow(_SEGMENT_TO_CLEAN, deleted_before_seconds)
    if row is None:
        return None
    values = with_zones(row)
    all_deleted: bool = values.pop("all_deleted")
    return Segment(**values), all_deleted


async def unwanted_in_segments(conn: Conn, ids: list[int]) -> tuple[Unwanted, dt.datetime]:
    """What of these segments is not to be kept, and the moment at which that was so."""
    rows = await conn.fetch(_TOMBSTONES_IN_SEGMENTS, ids)
    expiries = await conn.fetch(_EXPIRIES_IN_SEGMENTS, ids)
    unwanted = Unwanted(
        deleted=_deleted(rows),
        below_level={
            row["flow_run_id"]: row["below_level"]
            for row in expiries
            if row["below_level"] is not None
        },
        runless_before=next((row["before"] for row in expiries if row["before"] is not None), None),
    )
    return unwanted, rows[0]["read_at"]


async def prune_tombstones(conn: Conn, *, older_than_seconds: float) -> int:
    """Forget deletions whose lines are held nowhere any more; gives how many."""
    pruned: int = await conn.fetchval(_PRUNE_TOMBSTONES, older_than_seconds)
    return pruned


async def unlocated_tasks(conn: Conn, limit: int, deleted_before_seconds: float) -> list[uuid.UUID]:
    """Task runs deleted so many seconds ago or before, of which it is not known where they have lines."""
    rows = await conn.fetch(_UNLOCATED_TASKS, limit, deleted_before_seconds)
    return [row["task_run_id"] for row in rows]


async def locate_tasks(
    conn: Conn, tasks: list[uuid.UUID], pairs: Iterable[tuple[uuid.UUID, uuid.UUID | None]]
) -> None:
    """Say under which flow runs, None for none, deleted task runs have lines: all that have any."""
    found = list(pairs)
    await conn.execute(_LOCATE_TASKS, tasks, [task for task, _ in found], [run for _, run in found])


async def keep_as_they_are(conn: Conn, ids: list[int], tier: int) -> None:
    """Count segments as of this tier although nothing was rewritten."""
    await conn.execute(_KEEP_AS_THEY_ARE, ids, tier)


async def mark_damaged(conn: Conn, key: str) -> None:
    """Remember that an object cannot be read, so that jobs leave it alone."""
    await conn.execute(_MARK_DAMAGED, key)


async def mark_whole(conn: Conn, key: str) -> None:
    """Forget that an object could not be read."""
    await conn.execute(_MARK_WHOLE, key)


async def mark_stale_staged(conn: Conn, *, older_than_seconds: float) -> int:
    """Give up segments whose upload was never published; gives how many."""
    tag: str = await conn.execute(_MARK_STALE_STAGED, older_than_seconds)
    return int(tag.rpartition(" ")[2])


async def marked_segments(
    conn: Conn, limit: int, *, marked_before_seconds: float, held_seconds: float
) -> dict[int, str]:
    """Keys of segments that were replaced so many seconds ago, by segment id; those that the archive
    may name only when that was `held_seconds` ago."""
    rows = await conn.fetch(_MARKED_SEGMENTS, limit, marked_before_seconds, held_seconds)
    return {row["id"]: row["key"] for row in rows}


async def forget_segments(conn: Conn, ids: list[int]) -> None:
    """Remove marked segments from the manifest, their objects being gone."""
    await conn.execute(_FORGET_SEGMENTS, ids)


async def run_sources(
    conn: Conn, flow_run_ids: list[uuid.UUID], bounds: Bounds
) -> tuple[list[Source], Deleted]:
    """Everything that may hold lines of these runs within the bounds, and what of it is deleted: one
    statement, so one snapshot, so a line that moves to S3 meanwhile is seen once."""
    rows = await conn.fetch(_RUN_SOURCES, flow_run_ids, *_least_and_most(bounds))
    sources = []
    tasks: list[uuid.UUID] = []
    for row in rows:
        *values, found = row
        tasks = found or []
        sources.append(_source(values))
    return sources, Deleted(runs=[], tasks=tasks)


def _least_and_most(bounds: Bounds) -> tuple[dt.datetime, dt.datetime, int, int]:
    """Bounds as columns are compared with: times, then levels."""
    least, greatest = bounds.least_level, bounds.greatest_level
    return (
        bounds.after or _FIRST_TIME,
        bounds.before or _LAST_TIME,
        _LEAST_LEVEL if least is None else max(least, _LEAST_LEVEL),
        _GREATEST_LEVEL if greatest is None else min(greatest, _GREATEST_LEVEL),
    )


async def segment_facts(conn: Conn, segment_id: int) -> SegmentFacts:
    """Of a segment that a plan names; raises Conflict when it is gone, long after the plan was made."""
    row = await conn.fetchrow(_SEGMENT_FACTS, segment_id)
    if row is None:
        raise Conflict("log_segment", f"segment {segment_id} is gone")
    return SegmentFacts(**dict(row))


async def runs_beyond(
    conn: Conn,
    flow_run_id: uuid.UUID,
    bounds: Bounds,
    limit: int,
    *,
    published_since: dt.datetime | None = None,
) -> list[tuple[uuid.UUID, int]]:
    """The next runs, by id, that may have lines within the bounds, and how many at most; no more than
    `limit`, and none at the end. Of segments only those published since then are looked at. A run whose
    lines move meanwhile is among them."""
    arguments = (flow_run_id, *_least_and_most(bounds), limit)
    # In this order: what leaves the first between the two is in the second.
    hot_rows = await conn.fetch(_HOT_RUNS, *arguments)
    rows = await conn.fetch(_SEGMENT_RUNS, *arguments, published_since or _FIRST_TIME)
    # Of a list that was cut off, neither runs beyond its last are known nor all lines of that one.
    ends = [part[-1]["run"] for part in (hot_rows, rows) if len(part) == limit]
    found: dict[uuid.UUID, int] = {}
    for row in (*hot_rows, *rows):
        found[row["run"]] = found.get(row["run"], 0) + row["rows"]
    end = min(ends, default=None)
    known = [(run, found[run]) for run in sorted(found) if end is None or run < end]
    return known or [(run, found[run]) for run in sorted(found)][:1]


async def segments_published_since(conn: Conn, moment: dt.datetime) -> set[int]:
    """Segments that were published then or later, also those that have been replaced."""
    return {row["id"] for row in await conn.fetch(_SEGMENTS_PUBLISHED_SINCE, moment)}


async def all_sources(conn: Conn, bounds: Bounds) -> list[Source]:
    """Everything that may hold lines within the bounds, whole batches and segments, from one
    snapshot. Levels are not looked at."""
    rows = await conn.fetch(_ALL_SOURCES, bounds.after or _FIRST_TIME, bounds.before or _LAST_TIME)
    return [_source(list(row)) for row in rows]


def _source(values: list[Any]) -> Source:
    """Of the columns of a source; there may be hundreds for a page."""
    first, last = values[7], values[8]
    return Source(
        id=values[0],
        key=values[1],
        object_bytes=values[2],
        footer_crc32=values[3],
        flow_run_id=values[4],
        first_row=values[5],
        rows=values[6],
        min_timestamp=first if first.tzinfo else first.replace(tzinfo=dt.UTC),
        max_timestamp=last if last.tzinfo else last.replace(tzinfo=dt.UTC),
        min_level=values[9],
        max_level=values[10],
    )


def with_zones(row: asyncpg.Record) -> dict[str, Any]:
    """The row, its first and last times of all made aware again: PostgreSQL keeps them as infinity,
    which asyncpg gives without a zone."""
    return {
        name: value.replace(tzinfo=dt.UTC)
        if isinstance(value, dt.datetime) and value.tzinfo is None
        else value
        for name, value in row.items()
    }


async def deleted(conn: Conn) -> Deleted:
    """What no reader may show although batches or segments still hold it."""
    return _deleted(await conn.fetch(_TOMBSTONES))


async def deleted_parts(conn: Conn, segment_ids: list[int]) -> list[DeletedPart]:
    """Where these segments still hold what no reader may show."""
    rows = await conn.fetch(_DELETED_PARTS, segment_ids)
    return [DeletedPart(**dict(row)) for row in rows]


async def deleted_of_batch(conn: Conn, batch_id: int) -> Deleted:
    """The same among the runs of one batch."""
    return _deleted(await conn.fetch(_TOMBSTONES_OF_BATCH, batch_id))


def _deleted(rows: list[asyncpg.Record]) -> Deleted:
    return Deleted(
        runs=[row["flow_run_id"] for row in rows if row["flow_run_id"] is not None],
        tasks=[row["task_run_id"] for row in rows if row["task_run_id"] is not None],
    )


async def tier_status(conn: Conn) -> list[TierStatus]:
    """What each tier holds, hot first."""
    return [TierStatus(**with_zones(row)) for row in await conn.fetch(_TIER_STATUS)]
