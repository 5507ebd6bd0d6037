"""Where in a segment each run has its lines, as the manifest says; of all runs, or of those of some flows
and deployments, however many these are."""

import struct
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.lines import UUID_TYPE
from storage.logs.source_rows import Block
from storage.postgres.flow_runs import RunOwners, owned_among
from storage.postgres.pool import Conn, Pool, connection
from storage.postgres.statements import statement

_RUN_PARTS = statement("run_parts")
_OWNED_RUN_PARTS = statement("owned_run_parts")
_PART = struct.Struct(">16sqqqq")
# PostgreSQL counts from 2000.
_EPOCH_OF_2000 = 946_684_800 * 1_000_000
# Runs of which it is remembered whether they are owned: some 200 bytes each.
_MAX_REMEMBERED = 50_000


class RunPart(NamedTuple):
    """Rows [first_row, first_row + rows) of a segment, which are a run's, with its first and last time
    there in microseconds since the epoch. The nil UUID stands for lines without a run."""

    run: bytes
    first_row: int
    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RunParts:
    """The parts of a segment, by rows, as they came: a segment may hold very many runs."""

    packed: bytes

    def __iter__(self) -> Iterator[RunPart]:
        for run, first_row, rows, first, last in _PART.iter_unpack(self.packed):
            yield RunPart(run, first_row, rows, first + _EPOCH_OF_2000, last + _EPOCH_OF_2000)

    @property
    def rows(self) -> int:
        """Lines of all parts."""
        return sum(part[2] for part in _PART.iter_unpack(self.packed))


NO_PARTS = RunParts(b"")


async def run_parts(
    conn: Conn, segment_ids: list[int], owners: RunOwners | None = None
) -> dict[int, RunParts]:
    """The parts of each segment, by rows; only those of the owners' runs unless None are given."""
    if owners is None:
        rows = await conn.fetch(_RUN_PARTS, segment_ids)
    else:
        rows = await conn.fetch(
            _OWNED_RUN_PARTS, segment_ids, owners.flow_ids, owners.deployment_ids
        )
    return {row["segment_id"]: RunParts(row["parts"]) for row in rows}


def blocks_of_parts(blocks: Iterable[Block], parts: Iterable[RunPart]) -> list[Block]:
    """Those of a segment's blocks that have rows of the parts; both are by rows."""
    found = []
    coming = iter(parts)
    part = next(coming, None)
    for block in blocks:
        while part is not None and part.first_row + part.rows <= block.first:
            part = next(coming, None)
        if part is None:
            break
        if part.first_row < block.first + block.rows:
            found.append(block)
    return found


class OwnedRuns:
    """Tells lines of the owners' runs from others. For one question."""

    def __init__(self, pool: Pool, owners: RunOwners) -> None:
        self._pool = pool
        self._owners = owners
        self._known: dict[bytes, bool] = {}

    async def parts(self, segment_ids: list[int]) -> dict[int, RunParts]:
        """Where their runs have lines, by segment."""
        if not segment_ids:
            return {}
        async with connection(self._pool) as conn:
            return await run_parts(conn, segment_ids, self._owners)

    async def among(self, runs: list[uuid.UUID]) -> list[uuid.UUID]:
        """Those of the runs that are theirs, in the same order."""
        async with connection(self._pool) as conn:
            owned = await owned_among(conn, runs, self._owners)
        return [run for run in runs if run in owned]

    async def select(self, lines: pa.Table) -> pa.Table:
        """Those of the lines, or counts by run, that are of their runs."""
        ids = pc.unique(lines.column("flow_run_id")).to_pylist()
        runs: list[bytes] = [run for run in ids if run is not None]
        unknown = [run for run in runs if run not in self._known]
        if unknown:
            if len(self._known) > _MAX_REMEMBERED:
                self._known.clear()
                unknown = runs
            owned = {each.bytes for each in await self.among([uuid.UUID(bytes=u) for u in unknown])}
            self._known.update((run, run in owned) for run in unknown)
        wanted = pa.array([run for run in runs if self._known[run]], UUID_TYPE)
        return lines.filter(pc.is_in(lines.column("flow_run_id"), value_set=wanted))
