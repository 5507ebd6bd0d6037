"""Reads log lines: plans from one snapshot, fetches what the plan names, filters, orders, cuts.

Two ways, one result. *Lines of known runs*: the manifest names the row groups; they are fetched by
ranged GET, cached decoded, and merged with hot lines. *Scans* over all runs: DuckDB reads whole
segments over httpfs, group after group in time, stopping when the page is full.

A hot batch may be offloaded between the plan and its fetch. The page is then read again in a
transaction whose snapshot still has the batches of its plan; it holds a connection while S3 is
read, so it is not the first choice. Segments are never deleted while a plan can name them.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.wire.base import NIL_UUID
from app.wire.logs import Log, LogFilter, LogSort
from storage.logs import hot, manifest, segment
from storage.logs.cache import BytesCache
from storage.logs.encode import decode_batch
from storage.logs.engine import Engine
from storage.logs.lines import UUID_TYPE, empty, first_seq, in_order, to_logs
from storage.logs.planner import Bounds, Group, Source, group_by_time, plan_page
from storage.logs.predicate import EVERYTHING, Predicate, compile_filter, without
from storage.objects.store import ObjectStore, S3Config
from storage.postgres.pool import Conn, Pool, connection, snapshot

BATCH_CACHE_BYTES = 24 * 1024**2
# Row groups of pages that people look at now, decoded: 1.4 MB each.
ROW_GROUP_CACHE_BYTES = 32 * 1024**2
# The same as they lie in S3, ten times smaller: decoding one takes 1.5 ms, fetching it many more.
ROW_GROUP_BYTES_CACHE_BYTES = 48 * 1024**2
FOOTER_CACHE_BYTES = 16 * 1024**2
# Row groups fetched by one GET and decoded at once: 16 are about 25 MB of Arrow.
ROW_GROUPS_PER_FETCH = 16
# Sources of one process read at once: enough to hide S3's latency, few enough to bound memory.
CONCURRENT_SOURCES = 8
# Hot lines of all runs looked at by one query: about 20 MB of Arrow.
HOT_CHUNK_ROWS = 100_000
# Beyond this many runs in a filter a scan is cheaper than one source per run.
MAX_RUNS_BY_MANIFEST = 50


class _BatchesMoved(Exception):
    """A batch of the plan is in a segment by now."""


_Payloads: TypeAlias = Callable[[list[int]], Awaitable[dict[int, bytes]]]


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: `runs` None spans all runs; `predicate` is what the plan does not ensure;
    `payloads` gives batches of the plan by id, those that it still finds."""

    runs: list[uuid.UUID] | None
    predicate: Predicate
    descending: bool
    payloads: _Payloads


class LogReader:
    """Answers pages of log lines; shared by all requests of a process."""

    def __init__(self, pool: Pool, objects: ObjectStore, engine: Engine) -> None:
        self._pool = pool
        self._objects = objects
        self._engine = engine
        self._batches: BytesCache[int, pa.Table] = BytesCache(BATCH_CACHE_BYTES)
        self._row_groups: BytesCache[tuple[int, int], pa.Table] = BytesCache(ROW_GROUP_CACHE_BYTES)
        self._row_group_bytes: BytesCache[tuple[int, int], bytes] = BytesCache(
            ROW_GROUP_BYTES_CACHE_BYTES
        )
        self._readers = asyncio.Semaphore(CONCURRENT_SOURCES)
        self._footers: BytesCache[int, pq.FileMetaData] = BytesCache(FOOTER_CACHE_BYTES)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, pool: Pool, objects: ObjectStore, s3: S3Config
    ) -> AsyncIterator["LogReader"]:
        """Open the engine and a reader on it."""
        async with Engine.open(s3) as engine:
            yield cls(pool, objects, engine)

    async def read(
        self, log_filter: LogFilter, *, sort: LogSort, limit: int, offset: int
    ) -> list[Log]:
        """Lines [offset, offset + limit) of those that match, ordered by (timestamp, seq).

        Raises:
            Unavailable: PostgreSQL, or an object that the page needs, cannot be read; never a
                short page instead.
            Busy: the question takes too long or too much memory.
        """
        if limit == 0:
            return []
        descending = sort == "TIMESTAMP_DESC"
        try:
            async with connection(self._pool) as conn:
                groups, question = await self._plan(conn, log_filter, descending, self._payloads)
            page = await self._page(groups, question, limit, offset)
        except _BatchesMoved:
            async with snapshot(self._pool) as conn:
                held = _payloads_of(conn)
                groups, question = await self._plan(conn, log_filter, descending, held)
                page = await self._page(groups, question, limit, offset)
        return await asyncio.to_thread(to_logs, page) if page.num_rows > 500 else to_logs(page)

    async def matching(self, lines: pa.Table, log_filter: LogFilter) -> pa.Table:
        """Those of `lines` that match, ordered; deleted runs are not looked at."""
        return in_order(await self._engine.filter(lines, compile_filter(log_filter)))

    async def without_deleted(self, lines: pa.Table, deleted: manifest.Deleted) -> pa.Table:
        """Those of `lines` that are not deleted, in no order."""
        return await self._engine.filter(lines, without(EVERYTHING, deleted.runs, deleted.tasks))

    async def _plan(
        self, conn: Conn, log_filter: LogFilter, descending: bool, payloads: _Payloads
    ) -> tuple[list[Group], _Question]:
        runs = _known_runs(log_filter)
        bounds = _bounds(log_filter)
        if runs is not None:
            sources, deleted = await manifest.run_sources(conn, runs, bounds)
            predicate = _residual(log_filter, bounds, sources)
        else:
            deleted = await manifest.deleted(conn)
            sources = await manifest.all_sources(conn, bounds)
            predicate = compile_filter(log_filter)
        predicate = without(predicate, deleted.runs, deleted.tasks)
        groups = group_by_time(sources, descending=descending)
        return groups, _Question(runs, predicate, descending, payloads)

    async def _page(
        self, groups: list[Group], question: _Question, limit: int, offset: int
    ) -> pa.Table:
        if question.runs is None:
            return await self._scan(groups, question, limit, offset)
        if question.predicate.sql:
            return await self._filtered_page(groups, question, limit, offset)
        return await self._exact_page(groups, question, limit, offset)

    async def _payloads(self, batch_ids: list[int]) -> dict[int, bytes]:
        async with connection(self._pool) as conn:
            return await hot.batch_payloads(conn, batch_ids)

    async def _exact_page(
        self, groups: list[Group], question: _Question, limit: int, offset: int
    ) -> pa.Table:
        pages = []
        for step in plan_page(groups, offset=offset, limit=limit):
            if len(step.group.sources) == 1:
                # A source is ordered in itself: its own rows are the page.
                (source,) = step.group.sources
                first = source.rows - step.take if question.descending else step.skip
                lines = await self._rows(question, source, first, step.give)
                pages.append(in_order(lines, descending=question.descending))
                continue
            parts = await _all(
                self._leading_rows(question, source, step.take) for source in step.group.sources
            )
            pages.append(
                in_order(
                    pa.concat_tables(parts),
                    descending=question.descending,
                    skip=step.skip,
                    give=step.give,
                )
            )
        return pa.concat_tables(pages) if pages else empty()

    async def _filtered_page(
        self, groups: list[Group], question: _Question, limit: int, offset: int
    ) -> pa.Table:
        found: list[pa.Table] = []
        wanted = offset + limit
        for group in groups:
            # Kept to the page after each source: a group may hold any number of lines.
            merged = empty()
            for source in group.sources:
                lines = await self._matching_rows(source, question, wanted)
                merged = _first([merged, lines], question, wanted)
            found.append(merged)
            wanted -= merged.num_rows
            if wanted <= 0:
                break
        return pa.concat_tables(found).slice(offset, limit) if found else empty()

    async def _matching_rows(self, source: Source, question: _Question, wanted: int) -> pa.Table:
        """The first `wanted` or a few more matching rows of a source, window by window."""
        found = [empty()]
        for first, rows in _windows(source, descending=question.descending):
            lines = await self._rows(question, source, first, rows)
            found.append(await self._engine.filter(lines, question.predicate))
            wanted -= found[-1].num_rows
            if wanted <= 0:
                break
        return pa.concat_tables(found)

    async def _scan(
        self, groups: list[Group], question: _Question, limit: int, offset: int
    ) -> pa.Table:
        found: list[pa.Table] = []
        wanted = offset + limit
        for group in groups:
            keys = [source.key for source in group.sources if source.key is not None]
            merged = empty()
            # While S3 is down the hot tier grows larger than memory.
            for batch_ids in _hot_chunks(group):
                lines = await self._engine.first(
                    keys,
                    await self._hot_lines(question, batch_ids),
                    question.predicate,
                    descending=question.descending,
                    limit=wanted,
                )
                merged = _first([merged, lines], question, wanted)
                keys.clear()
            found.append(merged)
            wanted -= merged.num_rows
            if wanted <= 0:
                break
        return pa.concat_tables(found).slice(offset, limit) if found else empty()

    async def _leading_rows(self, question: _Question, source: Source, take: int) -> pa.Table:
        """The first `take` rows of a source in the wanted order; with fewer, all of them."""
        take = min(take, source.rows)
        async with self._readers:
            first = source.rows - take if question.descending else 0
            return await self._rows(question, source, first, take)

    async def _rows(self, question: _Question, source: Source, first: int, rows: int) -> pa.Table:
        """Rows [first, first + rows) of a source, counted from its own first row."""
        if source.key is None:
            lines = await self._hot_lines(question, [source.id])
            return _of_run(lines, source.flow_run_id).slice(first, rows)
        return await self._segment_rows(source, source.key, source.first_row + first, rows)

    async def _hot_lines(self, question: _Question, batch_ids: list[int]) -> pa.Table:
        tables = {batch_id: self._batches.get(batch_id) for batch_id in batch_ids}
        missing = [batch_id for batch_id, table in tables.items() if table is None]
        if missing:
            payloads = await question.payloads(missing)
            if len(payloads) < len(missing):
                raise _BatchesMoved
            decoded = await asyncio.to_thread(
                lambda: {
                    key: decode_batch(value, first_seq(key)) for key, value in payloads.items()
                }
            )
            for batch_id, table in decoded.items():
                self._batches.put(batch_id, table, table.nbytes)
            tables.update(decoded)
        found = [table for table in tables.values() if table is not None]
        return pa.concat_tables(found) if found else empty()

    async def _segment_rows(self, source: Source, key: str, first: int, rows: int) -> pa.Table:
        """Rows [first, first + rows) of a segment."""
        first_group = first // segment.ROW_GROUP_ROWS
        last_group = (first + rows - 1) // segment.ROW_GROUP_ROWS
        parts = {
            group: self._row_groups.get((source.id, group))
            for group in range(first_group, last_group + 1)
        }
        missing = [group for group, table in parts.items() if table is None]
        if missing:
            metadata = await self._footer(source, key)
            data = await self._row_group_data(source.id, key, metadata, missing)
            decoded = await asyncio.to_thread(
                lambda: {
                    group: segment.read_row_group(metadata, group, body)
                    for group, body in data.items()
                }
            )
            for group, table in decoded.items():
                self._row_groups.put((source.id, group), table, table.nbytes)
            parts.update(decoded)
        found = [table for table in parts.values() if table is not None]
        return pa.concat_tables(found).slice(first - first_group * segment.ROW_GROUP_ROWS, rows)

    async def _row_group_data(
        self, segment_id: int, key: str, metadata: pq.FileMetaData, groups: list[int]
    ) -> dict[int, bytes]:
        """The compressed bytes of row groups, neighbours fetched by one GET."""
        data = {group: self._row_group_bytes.get((segment_id, group)) for group in groups}
        absent = [group for group, body in data.items() if body is None]
        for neighbours in _neighbours(absent):
            start, length = segment.row_group_span(metadata, neighbours[0], neighbours[-1])
            body = await self._objects.read_range(key, start, length)
            for group in neighbours:
                offset, size = segment.row_group_span(metadata, group, group)
                data[group] = body[offset - start : offset - start + size]
                self._row_group_bytes.put((segment_id, group), data[group] or b"", size)
        return {group: body for group, body in data.items() if body is not None}

    async def _footer(self, source: Source, key: str) -> pq.FileMetaData:
        metadata = self._footers.get(source.id)
        if metadata is None:
            size = source.object_bytes or 0
            guess = min(size, segment.FOOTER_GUESS_BYTES)
            tail = await self._objects.read_range(key, size - guess, guess)
            length = segment.footer_length(tail)
            if length > guess:
                tail = await self._objects.read_range(key, size - length, length)
            metadata = segment.parse_footer(tail[-length:])
            # Parsed metadata takes several times its serialised size.
            self._footers.put(source.id, metadata, 4 * length)
        return metadata


def _payloads_of(conn: Conn) -> _Payloads:
    """Batches as one connection's snapshot has them, asked for one at a time."""
    lock = asyncio.Lock()

    async def payloads(batch_ids: list[int]) -> dict[int, bytes]:
        async with lock:
            return await hot.batch_payloads(conn, batch_ids)

    return payloads


async def _all(reads: Iterable[Coroutine[None, None, pa.Table]]) -> list[pa.Table]:
    """The results of all, side by side; when one fails none is left running."""
    tasks = [asyncio.create_task(read) for read in reads]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _known_runs(log_filter: LogFilter) -> list[uuid.UUID] | None:
    """The runs that a filter asks for, when it asks for a few runs and nothing else besides."""
    asked = log_filter.flow_run_id.any_ if log_filter.flow_run_id else None
    if asked is None or log_filter.operator == "or_":
        return None
    runs = set(asked)
    # In the manifest the nil UUID stands for the lines without a run too.
    if len(runs) > MAX_RUNS_BY_MANIFEST or NIL_UUID in runs:
        return None
    return list(runs)


def _bounds(log_filter: LogFilter) -> Bounds:
    if log_filter.operator == "or_":
        return Bounds()
    level, timestamp = log_filter.level, log_filter.timestamp
    return Bounds(
        after=timestamp.after_ if timestamp else None,
        before=timestamp.before_ if timestamp else None,
        least_level=level.ge_ if level else None,
        greatest_level=level.le_ if level else None,
    )


def _residual(log_filter: LogFilter, bounds: Bounds, sources: list[Source]) -> Predicate:
    """What of the filter the sources do not ensure by themselves."""
    return compile_filter(
        LogFilter(
            level=None if all(map(bounds.hold_levels_of, sources)) else log_filter.level,
            timestamp=None if all(map(bounds.hold_times_of, sources)) else log_filter.timestamp,
            task_run_id=log_filter.task_run_id,
            text=log_filter.text,
        )
    )


def _first(parts: list[pa.Table], question: _Question, wanted: int) -> pa.Table:
    return in_order(pa.concat_tables(parts), descending=question.descending, give=wanted)


def _hot_chunks(group: Group) -> list[list[int]]:
    """The group's batches by ids, HOT_CHUNK_ROWS at a time; one empty chunk when it has none."""
    chunks: list[list[int]] = [[]]
    rows = 0
    for source in group.sources:
        if source.key is not None:
            continue
        if rows >= HOT_CHUNK_ROWS:
            chunks.append([])
            rows = 0
        chunks[-1].append(source.id)
        rows += source.rows
    return chunks


def _neighbours(groups: list[int]) -> list[list[int]]:
    """Ascending row groups, split where one is left out and after ROW_GROUPS_PER_FETCH."""
    runs: list[list[int]] = []
    for group in groups:
        if not runs or group != runs[-1][-1] + 1 or len(runs[-1]) == ROW_GROUPS_PER_FETCH:
            runs.append([])
        runs[-1].append(group)
    return runs


def _windows(source: Source, *, descending: bool) -> list[tuple[int, int]]:
    """(first, rows) windows of a source in the wanted order, each of a few row groups."""
    size = ROW_GROUPS_PER_FETCH * segment.ROW_GROUP_ROWS
    windows = [(first, min(size, source.rows - first)) for first in range(0, source.rows, size)]
    return windows[::-1] if descending else windows


def _of_run(lines: pa.Table, flow_run_id: uuid.UUID | None) -> pa.Table:
    if flow_run_id is None:
        return lines
    wanted = pa.scalar(flow_run_id.bytes, UUID_TYPE)
    return in_order(lines.filter(pc.equal(lines.column("flow_run_id"), wanted)))
