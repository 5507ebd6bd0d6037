"""Counts lines of row groups and hot batches by reading them: only the columns that are needed, and nothing
besides messages and names where none holds the text that is looked for."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.counting import Counting, Span
from storage.logs.engine import Engine
from storage.logs.lines import LINES, empty
from storage.logs.planner import Source
from storage.logs.predicate import Predicate
from storage.logs.run_parts import OwnedRuns
from storage.logs.scan import MAX_ROWS
from storage.logs.side_by_side import decoded
from storage.logs.source_rows import (
    ROW_GROUPS_PER_FETCH,
    Block,
    Payloads,
    RowGroup,
    SourceRows,
)
from storage.logs.text_mask import holding
from storage.logs.text_rows import COLUMNS, searched_clauses

# Lines read at once, as they are decoded.
MAX_DECODED_BYTES = 32 * 1024**2


@dataclass(frozen=True, slots=True)
class Condition:
    """What lines must match; `beside_text` is enough for those that hold the text for certain."""

    whole: Predicate
    beside_text: Predicate


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Lines of a row group that may match; when they are `certain` they hold the text."""

    lines: pa.Table
    certain: bool


@dataclass(frozen=True, slots=True)
class PartToRead:
    """Lines of a block to count by reading them: in `span`, matching `condition`, `sign` times. Unless
    `runs` is None only lines of these are meant."""

    source: Source
    block: Block
    span: Span
    condition: Condition
    sign: int = 1
    runs: "pa.Array[pa.Scalar[pa.DataType]] | None" = None


class LineCounts:
    """Counts lines that it reads; they must be of the runs of `owned`, if that is given."""

    def __init__(
        self, rows: SourceRows, engine: Engine, counting: Counting, owned: OwnedRuns | None
    ) -> None:
        self._rows = rows
        self._engine = engine
        self._counting = counting
        self._owned = owned
        self._columns = list(counting.columns)
        if owned is not None and "flow_run_id" not in self._columns:
            self._columns.append("flow_run_id")
        self._clauses = searched_clauses(counting.text)

    async def in_parts(self, parts: list[PartToRead]) -> AsyncGenerator[list[pa.Table], None]:
        """Counts of lines of row groups, as they are read. Raises as `SourceRows.row_groups` does."""
        at = 0
        while at < len(parts):
            chosen: list[PartToRead] = []
            size = rows = 0
            while at < len(parts) and len(chosen) < ROW_GROUPS_PER_FETCH and rows < MAX_ROWS:
                if chosen and (
                    size + parts[at].block.decoded_bytes > MAX_DECODED_BYTES
                    or (parts[at].condition, parts[at].sign)
                    != (chosen[0].condition, chosen[0].sign)
                ):
                    break
                chosen.append(parts[at])
                size += parts[at].block.decoded_bytes
                rows += parts[at].block.rows
                at += 1
            yield await self._read_together(chosen)

    async def _read_together(self, parts: list[PartToRead]) -> list[pa.Table]:
        """Count lines of row groups for which the condition and the sign are the same."""
        by_place: dict[tuple[int, Span], list[PartToRead]] = {}
        for part in parts:
            by_place.setdefault((part.source.id, part.span), []).append(part)
        condition, sign = parts[0].condition, parts[0].sign
        counts: list[pa.Table] = []
        for of_one in by_place.values():
            source = of_one[0].source
            groups = await self._rows.row_groups(
                source, source.key or "", [part.block for part in of_one]
            )
            found = await decoded(groups, partial(self._decode, of_one[0]))
            certain = [each.lines for each in found if each.certain]
            others = [each.lines for each in found if not each.certain]
            counts += await self._counts(certain, condition.beside_text, sign)
            counts += await self._counts(others, condition.whole, sign)
        return counts

    async def in_batches(
        self, payloads: Payloads, sources: list[Source], condition: Condition
    ) -> AsyncGenerator[list[pa.Table], None]:
        """Counts of lines of hot batches, as they are read. Raises as `SourceRows.hot_lines` does."""
        for chunk in _chunked(sources):
            lines = await self._rows.hot_lines(payloads, [each.id for each in chunk])
            lines = await asyncio.to_thread(self._in, lines, self._counting.span, None)
            yield await self._counts([lines], condition.whole, 1)

    async def _counts(
        self, tables: list[pa.Table], predicate: Predicate, sign: int
    ) -> list[pa.Table]:
        lines = pa.concat_tables(tables) if tables else empty()
        if not lines.num_rows:
            return []
        lines = await self._engine.select(lines, predicate, self._columns)
        if self._owned is not None:
            lines = await self._owned.select(lines)
        return [await asyncio.to_thread(self._counting.counted, lines, sign)]

    def _decode(self, part: PartToRead, group: RowGroup) -> _Candidates:
        """The lines of a row group that may be counted; nothing besides messages and names is decoded
        where none holds the text."""
        condition, span, runs = part.condition, part.span, part.runs
        if not self._clauses:
            lines = group.decode(self._columns_for(condition.whole, runs))
            return _Candidates(self._in(lines, span, runs), certain=False)
        texts = group.decode(COLUMNS)
        found = holding(texts, self._clauses)
        columns = self._columns_for(
            condition.beside_text if found.certain else condition.whole, runs
        )
        if not pc.any(found.mask).as_py():
            return _Candidates(empty().select(columns), found.certain)
        lines = group.decode([name for name in columns if name not in COLUMNS])
        for name in COLUMNS:
            if name in columns:
                lines = lines.append_column(LINES.field(name), texts.column(name))
        lines = lines.filter(found.mask).select(columns)
        return _Candidates(self._in(lines, span, runs), found.certain)

    def _columns_for(
        self, predicate: Predicate, runs: "pa.Array[pa.Scalar[pa.DataType]] | None"
    ) -> list[str]:
        wanted = {*self._columns, *predicate.columns}
        if runs is not None:
            wanted.add("flow_run_id")
        return [name for name in LINES.names if name in wanted]

    def _in(
        self, lines: pa.Table, span: Span, runs: "pa.Array[pa.Scalar[pa.DataType]] | None"
    ) -> pa.Table:
        if runs is not None:
            lines = of_these_runs(lines, runs)
        return self._counting.of_levels(within(lines, "timestamp", span))


def within(table: pa.Table, column: str, span: Span) -> pa.Table:
    """Rows whose times are in the span."""
    times = table.column(column).cast(pa.int64())
    start, end = pa.scalar(span.start, pa.int64()), pa.scalar(span.end, pa.int64())
    return table.filter(pc.and_(pc.greater_equal(times, start), pc.less(times, end)))


def of_these_runs(table: pa.Table, runs: "pa.Array[pa.Scalar[pa.DataType]]") -> pa.Table:
    """Lines, or counts, of these runs."""
    return table.filter(pc.is_in(table.column("flow_run_id"), value_set=runs))


def _chunked(sources: list[Source]) -> Iterable[list[Source]]:
    """Hot batches of about MAX_ROWS lines."""
    chunk: list[Source] = []
    for source in sources:
        if chunk and sum(each.rows for each in chunk) + source.rows > MAX_ROWS:
            yield chunk
            chunk = []
        chunk.append(source)
    if chunk:
        yield chunk
