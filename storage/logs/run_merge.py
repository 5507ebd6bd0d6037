"""Lines of runs in the total order, or its reverse, merged from their sources as they are needed.

Each source gives its rows block by block (a hot batch whole, a segment by row group). What is known of
a block before it is read, bounds on its keys, says how far the lines read so far are complete: lines
before the nearest unread block may be given. So a page reads only the blocks that overlap it in time,
and a whole run goes through in the memory of about one block per source that overlaps another.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.engine import Engine
from storage.logs.index_reader import needs_of
from storage.logs.lines import TIMESTAMP, Key, empty, in_order, key_at, microseconds_of
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import Predicate
from storage.logs.required_text import Clauses
from storage.logs.seen import Arrivals
from storage.logs.source_rows import (
    ROW_GROUPS_PER_FETCH,
    Block,
    Payloads,
    SourceRows,
    whole,
)

# Hot batches hold few lines each; many are asked for at once.
CONCURRENT_READS = 32
# Decoded lines in memory at once while blocks are read ahead: about 5 row groups.
AHEAD_BYTES = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines of the sources: beyond `start` (exclusive, in the direction of the merge), those of the
    batches `arrived`, only the one with `seq`, within `bounds`, that match `predicate`. None is no bound.
    `text` is what lines that match hold. `seq`, `bounds` and `text` spare reading; the predicate says so
    again."""

    predicate: Predicate
    bounds: Bounds = field(default_factory=Bounds)
    start: Key | None = None
    arrived: Arrivals | None = None
    seq: int | None = None
    text: Clauses = field(default_factory=list)


class _Strand:
    """One source: the blocks that wait, in the order of the merge, and the lines read and not given."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.blocks = [whole(source)]
        self.opened = False
        self.ahead = 1
        self.lines: pa.Table | None = None


class Merge:
    """One merge of sources. For one task at a time."""

    def __init__(
        self,
        rows: SourceRows,
        engine: Engine,
        payloads: Payloads,
        sources: Iterable[Source],
        selection: Selection,
        *,
        descending: bool,
        keep: bool = True,
    ) -> None:
        """Unless `keep`, what is read of segments is not kept for others: nobody asks for it soon."""
        self._rows = rows
        self._keep = keep
        self._engine = engine
        self._payloads = payloads
        self._selection = selection
        self._descending = descending
        self._strands = [_Strand(source) for source in sources]
        for strand in self._strands:
            strand.blocks = self._wanted(strand.blocks)

    async def first(self, limit: int, *, skip: int = 0) -> pa.Table:
        """The first `limit` lines after `skip`. Raises as `SourceRows.rows` does."""
        found = []
        wanted = skip + limit
        async with contextlib.aclosing(self.tables(lambda: wanted)) as tables:
            async for table in tables:
                kept = table.slice(0, wanted)
                wanted -= kept.num_rows
                if skip < kept.num_rows:
                    found.append(kept.slice(skip))
                skip = max(0, skip - kept.num_rows)
                if wanted == 0:
                    break
        return pa.concat_tables(found) if found else empty()

    async def tables(self, wanted: Callable[[], int]) -> AsyncGenerator[pa.Table, None]:
        """All lines, in tables of some size; `wanted` says how many more will be asked for, so that no
        more is read than helps. Raises as `SourceRows.rows` does."""
        while True:
            waiting = [strand for strand in self._strands if strand.blocks]
            complete = min((self._near(strand.blocks[0]) for strand in waiting), default=None)
            complete = self._enough(complete, max(1, wanted()))
            parts = [
                part
                for strand in self._strands
                if (part := self._take(strand, complete)) is not None
            ]
            if parts:
                lines = await self._matching(parts)
                if lines.num_rows:
                    yield lines
            elif waiting:
                await self._read(waiting, max(1, wanted()))
            else:
                return

    def _near(self, block: Block) -> Key:
        """The bound that lines of a block lie beyond, made to ascend in the direction of the merge."""
        if self._descending:
            return (-block.upper[0], -block.upper[1])
        return block.lower

    def _enough(self, complete: Key | None, wanted: int) -> Key | None:
        """A nearer bound when some strand alone has as many lines as are wanted: sorting more than may
        be given costs more than reading it. Without effect on what is filtered afterwards."""
        if self._selection.predicate.sql:
            return complete
        for strand in self._strands:
            lines = strand.lines
            if lines is not None and lines.num_rows > wanted:
                row = lines.num_rows - 1 - wanted if self._descending else wanted
                moment, seq = key_at(lines, row)
                key = (-moment, -seq) if self._descending else (moment, seq)
                complete = key if complete is None else min(complete, key)
        return complete

    def _take(self, strand: _Strand, complete: Key | None) -> pa.Table | None:
        """What the strand has before `complete`, which is taken out of it."""
        lines = strand.lines
        if lines is None:
            return None
        count = lines.num_rows
        if complete is not None:
            key = (-complete[0], -complete[1]) if self._descending else complete
            count = count_of(after(lines, key) if self._descending else before(lines, key))
        if count == 0:
            return None
        first = lines.num_rows - count if self._descending else 0
        rest = lines.slice(0, first) if self._descending else lines.slice(count)
        strand.lines = rest if rest.num_rows else None
        return lines.slice(first, count)

    async def _read(self, waiting: list[_Strand], wanted: int) -> None:
        nearest = self._nearest(waiting, wanted)
        unopened = [strand for strand in nearest if not strand.opened]
        if unopened:
            # What is really nearest is known once the bounds of their row groups are.
            await side_by_side(self._open(strand) for strand in unopened)
            if any(strand.source.key for strand in unopened):
                return
        share = AHEAD_BYTES // max(1, sum(strand.opened for strand in waiting))
        await self._prefetch(nearest)
        await side_by_side(self._read_on(strand, share) for strand in nearest if strand.blocks)

    def _nearest(self, waiting: list[_Strand], wanted: int) -> list[_Strand]:
        """The strands whose next blocks are likely to have part of the next `wanted` lines."""
        waiting = sorted(waiting, key=lambda strand: self._near(strand.blocks[0]))
        chosen: list[_Strand] = []
        rows = 0
        last = 0
        for strand in waiting:
            block = strand.blocks[0]
            near = self._near(block)[0]
            if chosen and ((rows >= wanted and near > last) or len(chosen) == CONCURRENT_READS):
                break
            chosen.append(strand)
            if rows < wanted:
                # Where in the block the last wanted line is, if its lines are evenly spread.
                part = min(1.0, (wanted - rows) / block.rows)
                last = near + int((block.upper[0] - block.lower[0]) * part)
                rows += block.rows
        return chosen

    async def _open(self, strand: _Strand) -> None:
        blocks = await self._rows.blocks(strand.source)
        if strand.source.key is not None and (needs := needs_of(self._selection.text)):
            possible = await self._rows.possible_groups(strand.source, strand.source.key, needs)
            if possible is not None:
                blocks = [block for block in blocks if block.group in possible]
        strand.blocks = self._wanted(blocks)
        strand.opened = True

    def _wanted(self, blocks: list[Block]) -> list[Block]:
        """Those that may have selected lines, in the order of the merge."""
        found = [block for block in blocks if self._may_have_lines(block)]
        return found[::-1] if self._descending else found

    def _may_have_lines(self, block: Block) -> bool:
        start, bounds, seq = self._selection.start, self._selection.bounds, self._selection.seq
        if seq is not None and not block.min_seq <= seq <= block.max_seq:
            return False
        arrived = self._selection.arrived
        if arrived is not None and not arrived.may_have(block.min_seq, block.max_seq):
            return False
        if bounds.after is not None and block.upper[0] < microseconds_of(bounds.after):
            return False
        if bounds.before is not None and block.lower[0] > microseconds_of(bounds.before):
            return False
        if start is not None and (
            block.lower >= start if self._descending else block.upper <= start
        ):
            return False
        least, greatest = bounds.least_level, bounds.greatest_level
        return (least is None or block.max_level is None or block.max_level >= least) and (
            greatest is None or block.min_level is None or block.min_level <= greatest
        )

    async def _prefetch(self, strands: list[_Strand]) -> None:
        """Hot batches by one statement instead of one for each."""
        batches = [strand.source.id for strand in strands if strand.source.key is None]
        if len(batches) > 1:
            await self._rows.hot_lines(self._payloads, list(dict.fromkeys(batches)))

    async def _read_on(self, strand: _Strand, share: int) -> None:
        """Read the strand's next blocks: one at first, more the longer it goes on, and of more than one
        at most `share` bytes."""
        blocks = strand.blocks[:1]
        size = blocks[0].decoded_bytes
        for block in strand.blocks[1 : strand.ahead]:
            size += block.decoded_bytes
            if size > share or not self._adjacent(blocks[-1], block):
                break
            blocks.append(block)
        first = min(block.first for block in blocks)
        rows = sum(block.rows for block in blocks)
        lines = await self._rows.rows(self._payloads, strand.source, first, rows, keep=self._keep)
        lines = self._selected(lines)
        strand.blocks = strand.blocks[len(blocks) :]
        strand.ahead = min(2 * strand.ahead, ROW_GROUPS_PER_FETCH)
        held = [] if strand.lines is None else [strand.lines]
        together = [lines, *held] if self._descending else [*held, lines]
        strand.lines = pa.concat_tables(together) if lines.num_rows else strand.lines

    def _adjacent(self, one: Block, next_: Block) -> bool:
        if self._descending:
            one, next_ = next_, one
        return one.first + one.rows == next_.first

    def _selected(self, lines: pa.Table) -> pa.Table:
        start, arrived = self._selection.start, self._selection.arrived
        if start is not None:
            lines = lines.filter(before(lines, start) if self._descending else after(lines, start))
        return lines if arrived is None else arrived.select(lines)

    async def _matching(self, parts: list[pa.Table]) -> pa.Table:
        """Those that match, in order. All at once: a question to DuckDB costs a millisecond."""
        if self._selection.predicate.sql:
            parts = [await self._engine.filter(pa.concat_tables(parts), self._selection.predicate)]
        elif len(parts) == 1 and not self._descending:
            return parts[0]
        return in_order(pa.concat_tables(parts), descending=self._descending)


def before(lines: pa.Table, key: Key) -> "pa.Array[Any] | pa.ChunkedArray[Any]":
    """Which lines come before a key."""
    times, seqs = lines.column("timestamp"), lines.column("seq")
    moment = pa.scalar(key[0], TIMESTAMP)
    return pc.or_(
        pc.less(times, moment), pc.and_(pc.equal(times, moment), pc.less(seqs, pa.scalar(key[1])))
    )


def after(lines: pa.Table, key: Key) -> "pa.Array[Any] | pa.ChunkedArray[Any]":
    """Which lines come after a key."""
    times, seqs = lines.column("timestamp"), lines.column("seq")
    moment = pa.scalar(key[0], TIMESTAMP)
    return pc.or_(
        pc.greater(times, moment),
        pc.and_(pc.equal(times, moment), pc.greater(seqs, pa.scalar(key[1]))),
    )


def count_of(mask: "pa.Array[Any] | pa.ChunkedArray[Any]") -> int:
    """How many are true."""
    return pc.sum(mask).as_py() or 0


async def side_by_side(reads: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all; when one fails none is left running."""
    tasks = [asyncio.create_task(read) for read in reads]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
