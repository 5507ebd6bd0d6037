"""Counts of lines by time and level, or by run and level, mostly without reading lines.

A segment's index has its lines by minute and level, and by run and level (`rollup`). Lines are read,
only the columns that are needed, where these do not do: hot batches, segments without index, minutes that
the range cuts, buckets finer than a minute, and filters by more than time and level. Where some runs
are counted and not others, or the range cuts a segment of which runs are counted, the manifest says where
each run has its lines and when: those of which all lines count together need no reading. Lines of deleted
runs that a segment still holds are read and taken off its counts.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from app.wire.base import NIL_UUID
from storage.errors import Busy
from storage.logs.counted_lines import Condition, LineCounts, PartToRead, of_these_runs, within
from storage.logs.counting import Counting, Span
from storage.logs.engine import Engine
from storage.logs.index_reader import needs_of
from storage.logs.lines import UUID_TYPE, microseconds_of
from storage.logs.manifest import Deleted, DeletedPart
from storage.logs.planner import Source
from storage.logs.predicate import EVERYTHING, Predicate, both, negated, of_runs, without
from storage.logs.rollup import summed
from storage.logs.run_parts import NO_PARTS, OwnedRuns, RunPart, RunParts, blocks_of_parts
from storage.logs.scan import MAX_SOURCES, may_have_lines
from storage.logs.side_by_side import gathered
from storage.logs.source_rows import Block, Payloads, SourceRows, whole

MINUTE = 60 * 1_000_000
# Different (bucket or run, level) pairs of an answer; a million take some 30 MB.
MAX_COUNTS = 1_000_000
RETRY_SECONDS = 30.0
_NO_RUN = NIL_UUID.bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the lines may be, and what of it nobody may see; `parts_of` gives where runs have lines in
    whole segments. Lines must be of the runs of `owned`, if that is given."""

    sources: Sequence[Source]
    deleted: Deleted
    deleted_parts: Sequence[DeletedPart]
    payloads: Payloads
    parts_of: Callable[[list[int]], Awaitable[dict[int, RunParts]]]
    owned: OwnedRuns | None = None


class Counter:
    """Counts once. For one task at a time."""

    def __init__(self, rows: SourceRows, engine: Engine, plan: Plan, counting: Counting) -> None:
        self._rows = rows
        self._plan = plan
        self._counting = counting
        deleted = plan.deleted
        wanted = of_runs(counting.runs)

        def visible(predicate: Predicate) -> Predicate:
            return without(predicate, deleted.runs, deleted.tasks)

        # Of parts it is known whose they are.
        self._visible_of_parts = Condition(
            visible(counting.predicate), visible(counting.beside_text)
        )
        self._visible = Condition(
            visible(both(counting.predicate, wanted)), visible(both(counting.beside_text, wanted))
        )
        hidden = both(negated(visible(EVERYTHING)), wanted)
        self._hidden = Condition(hidden, hidden)
        self._lines = LineCounts(rows, engine, counting, plan.owned)
        self._deleted_parts: dict[int, list[DeletedPart]] = {}
        for part in plan.deleted_parts:
            self._deleted_parts.setdefault(part.segment_id, []).append(part)
        self._counts = counting.schema.empty_table()

    async def counts(self) -> pa.Table:
        """Lines by bucket or run, and level, ordered. Raises as `SourceRows.rows` does, and Busy when
        there are too many different counts."""
        span = self._counting.span
        sources = [each for each in self._plan.sources if span.overlaps(whole(each))]
        hot = list({each.id: each for each in sources if each.key is None}.values())
        await self._add_all(self._lines.in_batches(self._plan.payloads, hot, self._visible))
        segments: dict[int, list[Source]] = {}
        for each in sources:
            if each.key is not None:
                segments.setdefault(each.id, []).append(each)
        waiting = list(segments.values())
        for at in range(0, len(waiting), MAX_SOURCES):
            chosen = waiting[at : at + MAX_SOURCES]
            parts_of = await self._parts_of(chosen)
            opened = await gathered(self._open(of_one, parts_of) for of_one in chosen)
            await self._add([counted for counted, _ in opened if counted is not None])
            to_read = [part for _, parts in opened for part in parts]
            await self._add_all(self._lines.in_parts(to_read))
        lines = self._counts.column("lines")
        return self._counts.filter(pc.not_equal(lines, pa.scalar(0, pa.int64())))

    async def _parts_of(self, segments: list[list[Source]]) -> dict[int, Iterable[RunPart]]:
        """Where runs have lines in those segments of which the runs are looked at one by one."""
        counting, owned = self._counting, self._plan.owned
        if counting.runs is not None:
            return {sources[0].id: list(map(_part_of, sources)) for sources in segments}
        whole_segments = [sources[0] for sources in segments]
        if owned is not None:
            found = await owned.parts([source.id for source in whole_segments])
            return {
                source.id: found.get(source.id, NO_PARTS)
                for source in whole_segments
                if found.get(source.id, NO_PARTS).rows < source.rows
            }
        if counting.bucket is not None or counting.predicate.sql:
            return {}
        cut = [source.id for source in whole_segments if not counting.span.holds(source)]
        return {**await self._plan.parts_of(cut)} if cut else {}

    async def _open(
        self, sources: list[Source], parts_of: dict[int, Iterable[RunPart]]
    ) -> tuple[pa.Table | None, list[PartToRead]]:
        """The counts that a segment keeps, and what is to be read besides."""
        counting = self._counting
        source = sources[0]
        parts_by_run = parts_of.get(source.id)
        rollup = None
        if counting.runs is not None or parts_by_run is None:
            rollup = await self._rollup(sources)
        if rollup is None and parts_by_run is not None:
            return await self._by_run(sources, parts_by_run)
        if rollup is None:
            blocks = await self._blocks(sources)
            return None, self._parts(source, blocks, counting.span, self._visible)
        counts, inner = rollup
        edges = [
            edge
            for edge in (
                Span(counting.span.start, inner.start),
                Span(inner.end, counting.span.end),
            )
            if edge.overlaps(whole(source))
        ]
        deleted = self._deleted_parts.get(source.id, [])
        if not edges and not deleted:
            return counts, []
        blocks = await self._blocks(sources)
        parts: list[PartToRead] = []
        for edge in edges:
            parts += self._parts(source, blocks, edge, self._visible)
        touched = [
            block
            for block in blocks
            if any(
                each.first_row < block.first + block.rows
                and block.first < each.first_row + each.rows
                for each in deleted
            )
        ]
        parts += self._parts(source, touched, inner, self._hidden, sign=-1)
        return counts, parts

    async def _by_run(
        self, sources: list[Source], run_parts: Iterable[RunPart]
    ) -> tuple[pa.Table | None, list[PartToRead]]:
        """Counts of some runs of a segment. Those whose lines are all counted together are taken from the
        counts that it keeps, and the row groups of others are to be read."""
        counting, span = self._counting, self._counting.span
        source = sources[0]
        rollup = None
        if not counting.predicate.sql and source.key is not None:
            rollup = await self._rows.counts_by_run(source, source.key)
        deleted = {part.first_row for part in self._deleted_parts.get(source.id, [])}
        buckets: dict[bytes, int] = {}
        to_read: list[RunPart] = []
        for part in run_parts:
            if part.last < span.start or part.first >= span.end:
                continue
            bucket = self._common_bucket(part)
            if rollup is None or bucket is None or part.first_row in deleted:
                to_read.append(part)
            else:
                buckets[part.run] = bucket
        counts = None
        if rollup is not None and buckets:
            counts = counting.of_levels(of_these_runs(rollup, _run_ids(buckets)))
            if counting.bucket is not None:
                runs = counts.column("flow_run_id").to_pylist()
                starts = [buckets[_NO_RUN if run is None else run] for run in runs]
                counts = pa.table(
                    {
                        "bucket": pa.array(starts, pa.int64()),
                        "level": counts.column("level"),
                        "lines": counts.column("lines"),
                    }
                )
        if not to_read:
            return counts, []
        blocks = blocks_of_parts(await self._blocks(sources), to_read)
        runs = _run_ids(part.run for part in to_read)
        return counts, self._parts(source, blocks, span, self._visible_of_parts, runs=runs)

    def _common_bucket(self, part: RunPart) -> int | None:
        """The bucket in which all lines of a part lie, 0 where there are no buckets; None when they lie in
        more than one, or not all are counted."""
        span, bucket = self._counting.span, self._counting.bucket
        if part.first < span.start or part.last >= span.end:
            return None
        if bucket is None:
            return 0
        start = part.first // bucket * bucket
        return start if part.last < start + bucket else None

    async def _rollup(self, sources: list[Source]) -> tuple[pa.Table, Span] | None:
        """Counts that the segment keeps, of the lines in which span, in the form of the answer."""
        counting = self._counting
        span = counting.span
        source = sources[0]
        if counting.predicate.sql or source.key is None:
            return None
        if counting.bucket is None:
            if not all(map(span.holds, sources)):
                return None
            counts = await self._rows.counts_by_run(source, source.key)
            return None if counts is None else (counting.of_runs(counting.of_levels(counts)), span)
        if counting.bucket % MINUTE:
            return None
        # By minute a segment keeps counts of all its runs together.
        if counting.runs is not None and not await self._is_of_one_run(source, source.key):
            return None
        inner = Span(-(-span.start // MINUTE) * MINUTE, span.end // MINUTE * MINUTE)
        if span.holds(source):
            # Whole minutes of the segment, though the range may cut them.
            inner = span
        if not inner.overlaps(whole(source)):
            return None
        minutes = await self._rows.counts_by_minute(source, source.key)
        if minutes is None:
            return None
        first = inner.start // MINUTE * MINUTE
        minutes = counting.of_levels(within(minutes, "minute", Span(first, inner.end)))
        # A minute that the range cuts begins before it.
        times = minutes.column("minute").cast(pa.int64())
        least = pa.scalar(span.start, pa.int64())
        times = pc.if_else(pc.less(times, least), least, times)
        buckets = pa.table(
            {
                "bucket": counting.buckets_of(times, counting.bucket),
                "level": minutes.column("level"),
                "lines": minutes.column("lines"),
            }
        )
        return buckets, inner

    async def _is_of_one_run(self, source: Source, key: str) -> bool:
        """Whether a segment has no other lines than those of the source's run."""
        counts = await self._rows.counts_by_run(source, key)
        return (
            counts is not None
            and pc.count_distinct(counts.column("flow_run_id"), "all").as_py() == 1
        )

    async def _blocks(self, sources: list[Source]) -> list[Block]:
        """The row groups of a segment that may have lines, each once, by rows of the segment."""
        source = sources[0]
        possible = None
        needs = needs_of(self._counting.text)
        if needs and source.key is not None:
            possible = await self._rows.possible_groups(source, source.key, needs)
        found: dict[int | None, Block] = {}
        for each in sources:
            for block in await self._rows.blocks(each):
                if possible is None or block.group in possible:
                    placed = replace(block, first=each.first_row + block.first)
                    found[block.group] = _joined(found.get(block.group, placed), placed)
        return [block for block in found.values() if may_have_lines(block, self._counting.bounds)]

    def _parts(
        self,
        source: Source,
        blocks: list[Block],
        span: Span,
        condition: Condition,
        *,
        sign: int = 1,
        runs: "pa.Array[pa.Scalar[pa.DataType]] | None" = None,
    ) -> list[PartToRead]:
        return [
            PartToRead(source, block, span, condition, sign, runs)
            for block in blocks
            if span.overlaps(block)
        ]

    async def _add_all(self, counts: AsyncGenerator[list[pa.Table], None]) -> None:
        async with contextlib.aclosing(counts) as parts:
            async for part in parts:
                await self._add(part)

    async def _add(self, counts: list[pa.Table]) -> None:
        if not counts:
            return
        schema = self._counting.schema
        parts = [self._counts, *(each.select(schema.names).cast(schema) for each in counts)]
        self._counts = await asyncio.to_thread(summed, parts, schema)
        if self._counts.num_rows > MAX_COUNTS:
            raise Busy(
                "too many runs or levels to count; narrow the time range or the filter",
                retry_after=RETRY_SECONDS,
            )


def _part_of(source: Source) -> RunPart:
    run = _NO_RUN if source.flow_run_id is None else source.flow_run_id.bytes
    first, last = microseconds_of(source.min_timestamp), microseconds_of(source.max_timestamp)
    return RunPart(run, source.first_row, source.rows, first, last)


def _run_ids(runs: Iterable[bytes]) -> "pa.Array[pa.Scalar[pa.DataType]]":
    """Runs as lines name them: those of the manifest's nil UUID have none."""
    ids = list(runs)
    return pa.array([*ids, None] if _NO_RUN in ids else ids, UUID_TYPE)


def _joined(one: Block, other: Block) -> Block:
    """A row group in which two runs have lines."""
    first = min(one.first, other.first)
    return replace(
        one,
        first=first,
        rows=max(one.first + one.rows, other.first + other.rows) - first,
        lower=min(one.lower, other.lower),
        upper=max(one.upper, other.upper),
    )
