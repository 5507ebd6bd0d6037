"""Lines across all runs, newest (or oldest) first, without reading what lies behind the page.

A segment is ordered by run, so its row groups overlap in time; their footers say which times each
holds. Row groups are read in the order of the nearest time that they may hold, a few at first and more
at once the longer nothing is found, and a line is given when no row group that was not read can hold one
before it. So the newest lines with a common word cost the row groups of the runs that logged last. Row
groups that cannot hold the text that is looked for, by the index of their segment, are not read; so a
rare word costs the row groups that have it. What no index knows costs one pass over everything, with what
was found so far given on the way.
"""

import contextlib
import heapq
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from storage.errors import Busy
from storage.logs.engine import Engine
from storage.logs.index_reader import needs_of
from storage.logs.lines import LINES, Key, empty, in_order, key_at, microseconds_of
from storage.logs.looked import Looked, Progress
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import Predicate
from storage.logs.required_text import Clauses
from storage.logs.run_merge import after, before
from storage.logs.run_parts import NO_PARTS, OwnedRuns, RunParts, blocks_of_parts
from storage.logs.side_by_side import decoded, gathered
from storage.logs.source_rows import (
    ROW_GROUPS_PER_FETCH,
    Block,
    Payloads,
    RowGroup,
    SourceRows,
    whole,
)
from storage.logs.text_rows import COLUMNS, rows_holding, searched_clauses

# Row groups read at once: as many decoded are about 50 MB, and no more when they are larger.
MAX_BLOCKS = 32
MAX_DECODED_BYTES = 64 * 1024**2
FIRST_BLOCKS = 4
# The same for hot batches, which may have more lines than a row group.
MAX_ROWS = 250_000
# Lines that match and are not certain yet: with a far offset, all runs that overlap in time.
MAX_WAITING_BYTES = 128 * 1024**2
RETRY_SECONDS = 30.0
# Footers read at once, and indexes.
MAX_SOURCES = 16
# When the index leaves less of a scan than one part in so many, most of what is left has lines that match.
# Then so many are read at first: the first lines come early, and it takes few requests one after another.
FEW = 8
FIRST_OF_FEW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The next lines in order, maybe none, and how much of what may hold lines was looked at. A scan
    that starts at `complete` finds what is left; None when nothing is."""

    lines: pa.Table
    complete: Key | None
    read: Looked
    all: Looked


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    """A block; `edge` is the nearest time that it may hold, made to ascend in the wanted direction."""

    edge: int
    number: int
    source: Source = field(compare=False)
    block: Block = field(compare=False)


class Scan:
    """One scan over whole sources. For one task at a time."""

    def __init__(
        self,
        rows: SourceRows,
        engine: Engine,
        payloads: Payloads,
        sources: Iterable[Source],
        predicate: Predicate,
        bounds: Bounds,
        *,
        descending: bool,
        start: Key | None = None,
        text: Clauses | None = None,
        owned: OwnedRuns | None = None,
    ) -> None:
        """`text` is what lines that match hold, which the predicate says too; lines must be of the runs of
        `owned` besides, if that is given."""
        self._needs = needs_of(text or [])
        self._clauses = searched_clauses(text or [])
        self._rows = rows
        self._engine = engine
        self._payloads = payloads
        self._predicate = predicate
        self._bounds = bounds
        self._descending = descending
        self._start = start
        self._owned = owned
        self._unopened: list[_Candidate] = []
        self._blocks: list[_Candidate] = []
        # Blocks that lie together in an object, and those that were read.
        self._windows: dict[tuple[int, int], list[_Candidate]] = {}
        self._taken: set[int] = set()
        self._numbers = 0
        self._progress = Progress()
        self._ruled_out = 0
        for source in sources:
            self._progress.add(source)
            self._push(self._unopened, source, whole(source))

    async def found(self, limit: int) -> AsyncGenerator[Found, None]:
        """The first `limit` matching lines in order, as they become certain. Raises as
        `SourceRows.rows` does, and Busy when more match than memory is for."""
        waiting = empty()
        width = FIRST_BLOCKS
        while limit > 0 and (self._unopened or self._blocks):
            await self._open_nearest()
            if self._ruled_out * FEW > (FEW - 1) * self._progress.all.rows:
                width = max(width, FIRST_OF_FEW)
            matching = await self._read_nearest(width)
            width = min(2 * width, MAX_BLOCKS)
            if matching.num_rows:
                together = pa.concat_tables([waiting, matching])
                waiting = in_order(together, descending=self._descending, give=limit)
                if waiting.nbytes > MAX_WAITING_BYTES:
                    raise Busy(
                        "too many lines match for a page so far from the first; narrow its time"
                        " range or runs",
                        retry_after=RETRY_SECONDS,
                    )
            certain = self._certain(waiting)
            limit -= certain
            yield Found(
                lines=waiting.slice(0, certain),
                complete=self._complete(),
                read=self._progress.read,
                all=self._progress.all,
            )
            # Copied, so that what was given is not held.
            waiting = waiting.slice(certain).combine_chunks()

    def _push(self, heap: list[_Candidate], source: Source, block: Block) -> _Candidate | None:
        if not may_have_lines(block, self._bounds) or self._is_behind(block):
            self._progress.looked_at(source, block)
            return None
        edge = -block.upper[0] if self._descending else block.lower[0]
        if self._start is not None:
            edge = max(edge, -self._start[0] if self._descending else self._start[0])
        self._numbers += 1
        candidate = _Candidate(edge, self._numbers, source, block)
        heapq.heappush(heap, candidate)
        return candidate

    def _is_behind(self, block: Block) -> bool:
        """Whether all lines of a block come before the start."""
        if self._start is None:
            return False
        return block.lower >= self._start if self._descending else block.upper <= self._start

    async def _open_nearest(self) -> None:
        """Split sources into their blocks until no source may hold lines nearer than the blocks do."""
        while self._unopened and (
            not self._blocks or self._unopened[0].edge <= self._blocks[0].edge
        ):
            nearest = [
                heapq.heappop(self._unopened) for _ in range(min(MAX_SOURCES, len(self._unopened)))
            ]
            theirs = None
            if self._owned is not None:
                segments = [each.source.id for each in nearest if each.source.key is not None]
                theirs = await self._owned.parts(segments)
            opened = await gathered(self._open(each.source, theirs) for each in nearest)
            for each, blocks in zip(nearest, opened, strict=True):
                for block in blocks:
                    candidate = self._push(self._blocks, each.source, block)
                    if candidate is not None:
                        self._windows.setdefault(_window(candidate), []).append(candidate)

    async def _open(self, source: Source, theirs: dict[int, RunParts] | None) -> list[Block]:
        """The blocks of a source that may hold the text, and lines of the runs that are asked for."""
        blocks = await self._rows.blocks(source)
        if source.key is None:
            return blocks
        left = (
            blocks if theirs is None else blocks_of_parts(blocks, theirs.get(source.id, NO_PARTS))
        )
        if self._needs and left:
            possible = await self._rows.possible_groups(source, source.key, self._needs)
            if possible is not None:
                left = [block for block in left if block.group in possible]
        if len(left) < len(blocks):
            groups = {block.group for block in left}
            for block in blocks:
                if block.group not in groups:
                    self._ruled_out += block.rows
                    self._progress.looked_at(source, block)
        return left

    async def _read_nearest(self, width: int) -> pa.Table:
        """The matching lines of the next blocks, in no order."""
        chosen = self._choose(width)
        if not chosen:
            return empty()
        batches = [each.source.id for each in chosen if each.source.key is None]
        segments: dict[int, list[_Candidate]] = {}
        for each in chosen:
            if each.source.key is not None:
                segments.setdefault(each.source.id, []).append(each)
        fetched = await gathered(
            self._rows.row_groups(
                of_one[0].source, of_one[0].source.key or "", [each.block for each in of_one]
            )
            for of_one in segments.values()
        )
        for each in chosen:
            self._progress.looked_at(each.source, each.block)
        groups = [group for of_one in fetched for group in of_one]
        tables = await self._lines_of(groups, width)
        if batches:
            tables.append(await self._rows.hot_lines(self._payloads, batches))
        if not tables:
            return empty()
        lines = pa.concat_tables(tables)
        if self._start is not None:
            lines = lines.filter(
                before(lines, self._start) if self._descending else after(lines, self._start)
            )
        lines = await self._engine.filter(lines, self._predicate)
        return lines if self._owned is None else await self._owned.select(lines)

    async def _lines_of(self, groups: list[RowGroup], width: int) -> list[pa.Table]:
        """The lines of row groups that may match."""
        if self._clauses:
            return await decoded(groups, lambda group: _lines_holding(group, self._clauses))
        if await self._none_matches(groups, width):
            return []
        return await decoded(groups, RowGroup.decode)

    async def _none_matches(self, groups: list[RowGroup], width: int) -> bool:
        """Whether it is known that no line matches, by the columns that the predicate is about. That is
        only likely, and worth looking, when little was found so far."""
        if width < MAX_BLOCKS or not self._predicate.sql or not groups:
            return False
        columns = self._predicate.columns
        lines = pa.concat_tables(await decoded(groups, lambda group: group.decode(columns)))
        return not await self._engine.any_matches(lines, self._predicate)

    def _choose(self, width: int) -> list[_Candidate]:
        """The nearest blocks. When as many as can be are read at once, it is likely that all will be:
        then their neighbours come with them, which saves requests."""
        chosen: list[_Candidate] = []
        rows = size = 0
        while self._blocks and len(chosen) < width and rows < MAX_ROWS and size < MAX_DECODED_BYTES:
            if chosen and self._unopened and self._unopened[0].edge <= self._blocks[0].edge:
                break
            nearest = heapq.heappop(self._blocks)
            if nearest.number in self._taken:
                continue
            together = [nearest]
            if width == MAX_BLOCKS:
                window = self._windows[_window(nearest)]
                together = [each for each in window if each.number not in self._taken]
                if size + _decoded_bytes(together) > MAX_DECODED_BYTES:
                    together = [nearest]
            chosen += together
            size += _decoded_bytes(together)
            rows += sum(each.block.rows for each in together)
            self._taken.update(each.number for each in together)
        return chosen

    def _nearest_edge(self) -> int | None:
        """The nearest time that an unread block may hold; None when all were read."""
        while self._blocks and self._blocks[0].number in self._taken:
            heapq.heappop(self._blocks)
        return min((heap[0].edge for heap in (self._blocks, self._unopened) if heap), default=None)

    def _complete(self) -> Key | None:
        nearest = self._nearest_edge()
        if nearest is None:
            return None
        return (-nearest, 2**63 - 1) if self._descending else (nearest, -1)

    def _certain(self, waiting: pa.Table) -> int:
        """How many of the lines, which are in order, no unread block can hold a line before."""
        nearest = self._nearest_edge()
        if nearest is None:
            return waiting.num_rows
        low, high = 0, waiting.num_rows
        while low < high:
            middle = (low + high) // 2
            time = key_at(waiting, middle)[0]
            if (-time if self._descending else time) < nearest:
                low = middle + 1
            else:
                high = middle
        return low


def _window(candidate: _Candidate) -> tuple[int, int]:
    source = candidate.source
    if source.key is None:
        return (-source.id, 0)
    return (source.id, (candidate.block.group or 0) // ROW_GROUPS_PER_FETCH)


def _decoded_bytes(candidates: list[_Candidate]) -> int:
    return sum(each.block.decoded_bytes for each in candidates)


def may_have_lines(block: Block, bounds: Bounds) -> bool:
    after, before = bounds.after, bounds.before
    least, greatest = bounds.least_level, bounds.greatest_level
    return (
        (after is None or block.upper[0] >= microseconds_of(after))
        and (before is None or block.lower[0] <= microseconds_of(before))
        and (least is None or block.max_level is None or block.max_level >= least)
        and (greatest is None or block.min_level is None or block.min_level <= greatest)
    )


async def first(scan: Scan, limit: int, *, skip: int) -> pa.Table:
    """The first `limit` matching lines of a scan after `skip`."""
    parts = [empty()]
    async with contextlib.aclosing(scan.found(skip + limit)) as found:
        async for each in found:
            parts.append(each.lines.slice(skip))
            skip = max(0, skip - each.lines.num_rows)
    return pa.concat_tables(parts)


def _lines_holding(group: RowGroup, clauses: Clauses) -> pa.Table:
    """The lines of a row group that may hold the text; columns besides that are decoded for nothing else."""
    texts = group.decode(COLUMNS)
    rows = rows_holding(texts, clauses)
    if rows is not None and not rows:
        return empty()
    others = group.decode([name for name in LINES.names if name not in COLUMNS])
    for name in COLUMNS:
        others = others.append_column(LINES.field(name), texts.column(name))
    lines = others.select(LINES.names)
    return lines if rows is None else lines.take(pa.array(rows, pa.int64()))
