"""How many lines of runs match a filter, row group by row group: what a far page of a filter begins with.

Counting reads the columns that the filter is about, once: counts of segments, which never change, are kept, so
the next page of the same filter reads little more than its own lines.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.cache import BytesCache
from storage.logs.engine import Engine
from storage.logs.index_reader import needs_of
from storage.logs.lines import LINES, in_order
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import Predicate
from storage.logs.required_text import Clauses
from storage.logs.scan import may_have_lines
from storage.logs.side_by_side import decoded
from storage.logs.source_rows import (
    ROW_GROUPS_PER_FETCH,
    Block,
    Payloads,
    RowGroup,
    SourceRows,
    whole,
)

# Counts of 10 million lines take some 30 KB.
CACHE_BYTES = 4 * 1024**2
_BYTES_OF_COUNT = 28
_BYTES_OF_ENTRY = 300
# Hot batches asked for by one statement.
BATCHES_AT_ONCE = 32
# Lines read at once, as they are decoded.
MAX_DECODED_BYTES = 32 * 1024**2

_Key = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines: those that match `predicate`; `bounds` and `text` are what it says of them for certain."""

    predicate: Predicate
    bounds: Bounds
    text: Clauses

    def digest(self) -> bytes:
        """Of what decides which lines of a source match."""
        said = repr((self.predicate.sql, self.predicate.arguments))
        return hashlib.blake2b(said.encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Counted:
    """A block of a source, and how many of its lines match."""

    source: Source
    block: Block
    matches: int


class MatchCounts:
    """Counts, and keeps them; shared by all questions of a process."""

    def __init__(self, rows: SourceRows, engine: Engine) -> None:
        self._rows = rows
        self._engine = engine
        self._known: BytesCache[_Key, list[int]] = BytesCache(CACHE_BYTES)

    def known(self, sources: Iterable[Source], wanted: Filter) -> bool:
        """Whether only hot lines would have to be counted."""
        digest = wanted.digest()
        return all(
            source.key is None or self._known.get(_key(source, digest)) is not None
            for source in sources
        )

    async def count(
        self, payloads: Payloads, sources: Sequence[Source], wanted: Filter
    ) -> list[Counted]:
        """The blocks of the sources that have lines that match. Raises as `SourceRows.rows` does."""
        found: list[Counted] = []
        hot = [source for source in sources if source.key is None]
        for at in range(0, len(hot), BATCHES_AT_ONCE):
            chunk = hot[at : at + BATCHES_AT_ONCE]
            await self._rows.hot_lines(payloads, list({source.id: None for source in chunk}))
            for source in chunk:
                lines = await self._rows.rows(payloads, source, 0, source.rows)
                matches = (await self.matching(lines, wanted.predicate)).num_rows
                found.append(Counted(source, whole(source), matches))
        digest = wanted.digest()
        for source in sources:
            if source.key is None:
                continue
            blocks = await self._rows.blocks(source)
            counts = self._known.get(_key(source, digest))
            if counts is None:
                counts = await self._count(source, source.key, blocks, wanted)
                size = _BYTES_OF_ENTRY + _BYTES_OF_COUNT * len(counts)
                self._known.put(_key(source, digest), counts, size)
            found += [
                Counted(source, block, matches)
                for block, matches in zip(blocks, counts, strict=True)
            ]
        return [each for each in found if each.matches]

    async def matching(self, lines: pa.Table, predicate: Predicate) -> pa.Table:
        """Those of the lines that match, in order."""
        return in_order(await self._engine.filter(lines, predicate))

    async def _count(
        self, source: Source, key: str, blocks: list[Block], wanted: Filter
    ) -> list[int]:
        possible = None
        if needs := needs_of(wanted.text):
            possible = await self._rows.possible_groups(source, key, needs)
        waiting = [
            number
            for number, block in enumerate(blocks)
            if may_have_lines(block, wanted.bounds)
            and (possible is None or block.group in possible)
        ]
        counts = [0] * len(blocks)
        while waiting:
            chosen = _together(blocks, waiting)
            waiting = waiting[len(chosen) :]
            for number, matches in await self._count_some(source, key, blocks, chosen, wanted):
                counts[number] = matches
        return counts

    async def _count_some(
        self, source: Source, key: str, blocks: list[Block], chosen: list[int], wanted: Filter
    ) -> list[tuple[int, int]]:
        groups = await self._rows.row_groups(source, key, [blocks[number] for number in chosen])
        by_group = {blocks[number].group: number for number in chosen}

        def numbered(group: RowGroup) -> pa.Table:
            """The columns that the filter is about, of the run's lines alone, with the number of the block
            for a seq, which no filter is about."""
            number = by_group[group.group]
            block = blocks[number]
            lines = group.decode(wanted.predicate.columns)
            first = source.first_row + block.first - group.layout.starts[group.group]
            lines = lines.slice(first, block.rows)
            numbers = pa.repeat(pa.scalar(number, pa.int64()), lines.num_rows)
            return lines.append_column(LINES.field("seq"), numbers)

        tables = pa.concat_tables(await decoded(groups, numbered))
        matching = await self._engine.select(tables, wanted.predicate, ["seq"])
        counted = pc.value_counts(matching.column("seq").combine_chunks())
        return [(each["values"].as_py(), each["counts"].as_py()) for each in counted]


def _key(source: Source, digest: bytes) -> _Key:
    return source.id, source.first_row, digest


def _together(blocks: list[Block], waiting: list[int]) -> list[int]:
    """As many of the blocks that wait as are read at once."""
    size = 0
    for taken, number in enumerate(waiting[:ROW_GROUPS_PER_FETCH]):
        size += blocks[number].decoded_bytes
        if taken and size > MAX_DECODED_BYTES:
            return waiting[:taken]
    return waiting[:ROW_GROUPS_PER_FETCH]
