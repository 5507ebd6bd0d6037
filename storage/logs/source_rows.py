"""Rows of one source: a run's lines in a hot batch or in a segment, kept near for the next page.

Segments are read by ranged GETs of their row groups and checked against the page checksums that they
were written with. An object that cannot be read as it was written makes `LinesUnreadable`, which names
the lines that are lost.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import LinesUnreadable, ObjectDamaged, ObjectMissing
from storage.logs import segment
from storage.logs.cache import BytesCache
from storage.logs.encode import decode_batch
from storage.logs.footer import as_written, read_layout
from storage.logs.index_reader import Needs, SegmentIndexes
from storage.logs.layout import Layout
from storage.logs.lines import UUID_TYPE, Key, empty, first_seq, in_order, microseconds_of
from storage.logs.planner import Source
from storage.logs.segment_index import IndexDirectory, group_numbers
from storage.objects.store import ObjectReader

# Hot batches decoded, and as they were stored, five times smaller.
BATCH_CACHE_BYTES = 12 * 1024**2
PAYLOADS_CACHE_BYTES = 12 * 1024**2
# Row groups of pages that people look at now, decoded: 1.4 MB each.
ROW_GROUP_CACHE_BYTES = 32 * 1024**2
# The same as they lie in S3, ten times smaller: decoding one takes 2 ms, fetching it more, even from the
# local disk.
ROW_GROUP_BYTES_CACHE_BYTES = 16 * 1024**2
# 0.4 KB for each row group: those of 300 million lines.
LAYOUT_CACHE_BYTES = 16 * 1024**2
BLOCKS_CACHE_BYTES = 8 * 1024**2
# What Python takes for the block that a row group is.
_BYTES_OF_BLOCK = 500
# A line decoded has so many besides its message.
_BYTES_BESIDES_MESSAGE = 70
# Row groups fetched by one GET and decoded at once: 16 are about 25 MB of Arrow.
ROW_GROUPS_PER_FETCH = 16
# Objects asked for at once: enough to hide S3's latency, few enough to bound memory.
CONCURRENT_FETCHES = 8


class BatchesMoved(Exception):
    """A batch of the plan is in a segment by now."""


# Gives batches of the plan by id, those that it still finds.
Payloads: TypeAlias = Callable[[list[int]], Awaitable[dict[int, bytes]]]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows [first, first + rows) of a source, and bounds (inclusive) on their keys, seqs and levels.
    `group` is the row group in which they lie, None for a source as one block; `decoded_bytes` is about
    what that takes in memory, and `stored_bytes` what it takes in S3."""

    first: int
    rows: int
    lower: Key
    upper: Key
    min_seq: int
    max_seq: int
    min_level: int | None
    max_level: int | None
    group: int | None = None
    decoded_bytes: int = 0
    stored_bytes: int = 0


def whole(source: Source) -> Block:
    """All rows of a source as one block, by what the manifest says of it."""
    least, greatest = 0, 2**63 - 1
    if source.key is None:
        least, greatest = first_seq(source.id), first_seq(source.id + 1) - 1
    # By place: there may be hundreds for a page.
    return Block(
        0,
        source.rows,
        (microseconds_of(source.min_timestamp), least),
        (microseconds_of(source.max_timestamp), greatest),
        least,
        greatest,
        source.min_level,
        source.max_level,
    )


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group as it was fetched."""

    source: Source
    key: str
    layout: Layout
    group: int
    data: bytes
    reading: Callable[[Source], AbstractContextManager[None]]

    def decode(self, columns: list[str] | None = None) -> pa.Table:
        """Its lines, or some columns of them; takes a millisecond, so in a thread. Raises
        LinesUnreadable."""
        with self.reading(self.source), as_written(self.key):
            return _decoded(self.layout, self.group, self.data, columns)


class SourceRows:
    """Reads and caches rows; shared by all questions of a process."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._batches: BytesCache[int, pa.Table] = BytesCache(BATCH_CACHE_BYTES)
        self._row_groups: BytesCache[tuple[int, int], pa.Table] = BytesCache(ROW_GROUP_CACHE_BYTES)
        self._row_group_bytes: BytesCache[tuple[int, int], bytes] = BytesCache(
            ROW_GROUP_BYTES_CACHE_BYTES
        )
        self._layouts: BytesCache[int, Layout] = BytesCache(LAYOUT_CACHE_BYTES)
        self._blocks: BytesCache[int, list[Block]] = BytesCache(BLOCKS_CACHE_BYTES)
        self._payloads: BytesCache[int, bytes] = BytesCache(PAYLOADS_CACHE_BYTES)
        # Only objects wait for it: while S3 hangs, hot lines are read as always.
        self._fetches = asyncio.Semaphore(CONCURRENT_FETCHES)
        self._indexes = SegmentIndexes(objects, self._fetches)

    async def rows(
        self, payloads: Payloads, source: Source, first: int, rows: int, *, keep: bool = True
    ) -> pa.Table:
        """Rows [first, first + rows) of a source of one run, counted from its own first row. Unless
        `keep`, row groups that are read for it are not kept.

        Raises:
            BatchesMoved: the batch is not there any more.
            LinesUnreadable: the object is missing or damaged.
            Unavailable: PostgreSQL or S3 does not answer.
        """
        if source.key is None:
            lines = await self.hot_lines(payloads, [source.id])
            return _of_run(lines, source).slice(first, rows)
        with self._reading(source):
            return await self._segment_rows(
                source, source.key, source.first_row + first, rows, keep=keep
            )

    async def hot_lines(self, payloads: Payloads, batch_ids: list[int]) -> pa.Table:
        """All lines of these batches. Raises as `rows` does."""
        tables = {batch_id: self._batches.get(batch_id) for batch_id in batch_ids}
        missing = [batch_id for batch_id, table in tables.items() if table is None]
        if missing:
            found = await self.payloads(payloads, missing)
            decoded = await asyncio.to_thread(
                lambda: {key: decode_batch(value, first_seq(key)) for key, value in found.items()}
            )
            for batch_id, table in decoded.items():
                self._batches.put(batch_id, table, table.nbytes)
            tables.update(decoded)
        whole_batches = [table for table in tables.values() if table is not None]
        return pa.concat_tables(whole_batches) if whole_batches else empty()

    async def payloads(self, payloads: Payloads, batch_ids: list[int]) -> dict[int, bytes]:
        """Batches as they were stored, by id. Raises as `rows` does."""
        held = {batch_id: self._payloads.get(batch_id) for batch_id in batch_ids}
        found = {batch_id: body for batch_id, body in held.items() if body is not None}
        missing = [batch_id for batch_id, body in held.items() if body is None]
        if missing:
            read = await payloads(missing)
            if len(read) < len(missing):
                raise BatchesMoved
            for batch_id, body in read.items():
                self._payloads.put(batch_id, body, len(body))
            found |= read
        return found

    async def row_group(self, source: Source, key: str, group: int) -> RowGroup:
        """A row group of a segment for a page: its bytes are kept. Raises as `rows` does."""
        with self._reading(source):
            layout = await self._layout(source, key)
            with as_written(key):
                data = (await self._row_group_data(source.id, key, layout, [group]))[group]
        self._row_group_bytes.put((source.id, group), data, len(data))
        return RowGroup(source, key, layout, group, data, self._reading)

    async def row_groups(self, source: Source, key: str, blocks: list[Block]) -> "list[RowGroup]":
        """Blocks of a whole segment, for a question that comes once: what is fetched is not kept, and
        neighbours come by one GET. Raises as `rows` does."""
        groups = sorted(block.group for block in blocks if block.group is not None)
        with self._reading(source):
            layout = await self._layout(source, key)
            with as_written(key):
                data: dict[int, bytes] = {}
                for neighbours in _neighbours(groups):
                    data |= await self._fetched(key, layout, neighbours)
        return [
            RowGroup(source, key, layout, group, body, self._reading)
            for group, body in data.items()
        ]

    async def blocks(self, source: Source) -> list[Block]:
        """A source's rows in order, split where its row groups end. Raises as `rows` does."""
        everything = whole(source)
        if source.key is None:
            return [everything]
        with self._reading(source):
            layout = await self._layout(source, source.key)
            end = source.first_row + source.rows
            if end > layout.starts[-1]:
                found = layout.starts[-1]
                raise ObjectDamaged(source.key, f"{found} rows are there, {end} should be")
        if source.first_row == 0 and end == layout.starts[-1]:
            return self._all_blocks(source.id, layout)
        found = []
        with self._reading(source), as_written(source.key):
            groups = range(layout.group_of(source.first_row), layout.group_of(end - 1) + 1)
            blocks = _blocks_of(layout, groups)
        for group in blocks:
            first = max(group.first, source.first_row)
            rows = min(group.first + group.rows, end) - first
            # Other runs' lines in the group widen its bounds.
            found.append(
                replace(
                    group,
                    first=first - source.first_row,
                    rows=rows,
                    lower=max(group.lower, everything.lower),
                    upper=min(group.upper, everything.upper),
                )
            )
        return found

    async def possible_groups(self, source: Source, key: str, needs: Needs) -> set[int] | None:
        """The row groups of a segment that may hold a line for which the needs are met; None when it has
        no index. Raises as `rows` does."""
        with self._reading(source):
            directory = await self._directory(source, key)
            if directory is None:
                return None
            groups = await self._indexes.possible(source.id, key, directory, needs)
        return set(group_numbers(groups, directory.groups))

    async def counts_by_minute(self, source: Source, key: str) -> pa.Table | None:
        """A whole segment's counts by minute and level (`rollup.MINUTES`); None when it has no index.
        Raises as `rows` does."""
        with self._reading(source):
            directory = await self._directory(source, key)
            if directory is None:
                return None
            return await self._indexes.minutes(source.id, key, directory)

    async def counts_by_run(self, source: Source, key: str) -> pa.Table | None:
        """A whole segment's counts by run and level (`rollup.RUNS`); None when it has no index. Raises
        as `rows` does."""
        with self._reading(source):
            directory = await self._directory(source, key)
            if directory is None:
                return None
            return await self._indexes.runs(source.id, key, directory)

    async def _directory(self, source: Source, key: str) -> IndexDirectory | None:
        return await self._indexes.directory(source.id, key, lambda: self._layout(source, key))

    async def _segment_rows(
        self, source: Source, key: str, first: int, rows: int, *, keep: bool
    ) -> pa.Table:
        """Rows [first, first + rows) of a segment."""
        layout = await self._layout(source, key)
        first_group, last_group = layout.group_of(first), layout.group_of(first + rows - 1)
        parts = {
            group: self._row_groups.get((source.id, group))
            for group in range(first_group, last_group + 1)
        }
        missing = [group for group, table in parts.items() if table is None]
        if missing:
            with as_written(key):
                data = await self._row_group_data(source.id, key, layout, missing)
                decoded = await asyncio.to_thread(
                    lambda: {group: _decoded(layout, group, body) for group, body in data.items()}
                )
            parts.update(decoded)
            for group, table in decoded.items() if keep else ():
                self._row_groups.put((source.id, group), table, table.nbytes)
                self._row_group_bytes.put((source.id, group), data[group], len(data[group]))
        found = [table for table in parts.values() if table is not None]
        lines = pa.concat_tables(found).slice(first - layout.starts[first_group], rows)
        if lines.num_rows != rows:
            raise ObjectDamaged(key, f"{lines.num_rows} of {rows} rows are there")
        return lines

    async def _row_group_data(
        self, segment_id: int, key: str, layout: Layout, groups: list[int]
    ) -> dict[int, bytes]:
        """The compressed bytes of row groups, neighbours fetched by one GET."""
        data = {group: self._row_group_bytes.get((segment_id, group)) for group in groups}
        absent = [group for group, body in data.items() if body is None]
        for neighbours in _neighbours(absent):
            data |= await self._fetched(key, layout, neighbours)
        return {group: body for group, body in data.items() if body is not None}

    async def _fetched(self, key: str, layout: Layout, neighbours: list[int]) -> dict[int, bytes]:
        start, length = layout.span(neighbours[0], neighbours[-1])
        async with self._fetches:
            body = await self._objects.read_range(key, start, length)
        spans = {group: layout.span(group, group) for group in neighbours}
        return {
            group: body[offset - start : offset - start + size]
            for group, (offset, size) in spans.items()
        }

    @contextlib.contextmanager
    def _reading(self, source: Source) -> Iterator[None]:
        """Say which lines are lost with an object."""
        try:
            yield
        except (ObjectMissing, ObjectDamaged) as error:
            # It may be mended by the next time.
            self._objects.distrust(error.key)
            raise LinesUnreadable(
                error,
                key=error.key,
                flow_run_id=source.flow_run_id,
                rows=source.rows,
                first=source.min_timestamp,
                last=source.max_timestamp,
            ) from error

    def _all_blocks(self, segment_id: int, layout: Layout) -> list[Block]:
        blocks = self._blocks.get(segment_id)
        if blocks is None:
            blocks = _blocks_of(layout, range(layout.groups))
            self._blocks.put(segment_id, blocks, _BYTES_OF_BLOCK * len(blocks))
        return blocks

    async def _layout(self, source: Source, key: str) -> Layout:
        layout = self._layouts.get(source.id)
        if layout is None:
            async with self._fetches:
                layout = await read_layout(
                    self._objects, key, source.object_bytes or 0, source.footer_crc32
                )
            self._layouts.put(source.id, layout, layout.nbytes)
        return layout


def _decoded(layout: Layout, group: int, data: bytes, columns: list[str] | None = None) -> pa.Table:
    return segment.read_row_group(layout.metadata(group), data, columns)


def _blocks_of(layout: Layout, groups: range) -> list[Block]:
    found = []
    for group in groups:
        first_time, last_time, min_seq, max_seq, min_level, max_level = layout.bounds[
            6 * group : 6 * group + 6
        ]
        rows = layout.starts[group + 1] - layout.starts[group]
        found.append(
            Block(
                first=layout.starts[group],
                rows=rows,
                lower=(first_time, min_seq),
                upper=(last_time, max_seq),
                min_seq=min_seq,
                max_seq=max_seq,
                min_level=min_level,
                max_level=max_level,
                group=group,
                decoded_bytes=layout.decoded_bytes[group] + _BYTES_BESIDES_MESSAGE * rows,
                stored_bytes=layout.span(group, group)[1],
            )
        )
    return found


def _neighbours(groups: list[int]) -> list[list[int]]:
    """Ascending row groups, split where one is left out and after ROW_GROUPS_PER_FETCH."""
    runs: list[list[int]] = []
    for group in groups:
        if not runs or group != runs[-1][-1] + 1 or len(runs[-1]) == ROW_GROUPS_PER_FETCH:
            runs.append([])
        runs[-1].append(group)
    return runs


def _of_run(lines: pa.Table, source: Source) -> pa.Table:
    if source.flow_run_id is None:
        return lines
    wanted = pa.scalar(source.flow_run_id.bytes, UUID_TYPE)
    return in_order(lines.filter(pc.equal(lines.column("flow_run_id"), wanted)))
