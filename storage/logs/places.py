"""Where a line lies, for people: its batch, or its row in which object."""

from dataclasses import dataclass

import pyarrow as pa

from storage.logs import manifest
from storage.logs.lines import key_at
from storage.logs.numbered import NumberedLines
from storage.logs.planner import Source
from storage.logs.source_rows import BatchesMoved, Payloads, SourceRows
from storage.postgres.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class HotPlace:
    """A line's batch, how many lines are in it and how many bytes it takes."""

    batch: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """A line's segment and its row there."""

    row: int
    segment: manifest.SegmentFacts


async def place_in(
    pool: Pool,
    rows: SourceRows,
    payloads: Payloads,
    numbered: NumberedLines,
    source: Source,
    line: pa.Table,
) -> HotPlace | SegmentPlace:
    """Where the line, a table of one that the source has, lies; `numbered` are the lines of that source.
    Raises as `SourceRows.rows` does."""
    if source.key is None:
        payload = (await payloads([source.id])).get(source.id)
        if payload is None:
            raise BatchesMoved
        lines = await rows.hot_lines(payloads, [source.id])
        return HotPlace(source.id, lines.num_rows, len(payload))
    before = await numbered.before(key_at(line, 0))
    async with connection(pool) as conn:
        facts = await manifest.segment_facts(conn, source.id)
    return SegmentPlace(source.first_row + before, facts)
