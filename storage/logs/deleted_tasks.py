"""Where the lines of deleted task runs lie.

A line names its task run and its flow run, and nobody checks that the one is of the other. So a deletion
counts for every flow run until it is known under which ones the task run has lines; from then on only pages of
those look for them. Lines that come later are looked at as they are stored (`store_batch`).
"""

import asyncio
import uuid
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs import hot, manifest
from storage.logs.encode import task_pairs
from storage.logs.lines import UUID_TYPE
from storage.logs.planner import Bounds, Source
from storage.logs.source_rows import ROW_GROUPS_PER_FETCH, BatchesMoved, SourceRows
from storage.objects.store import ObjectReader
from storage.postgres.pool import Pool, connection, transaction

# A flush that began before the deletion, and does not know of it, is over by then.
SETTLED_SECONDS = 60.0
MAX_TASKS = 10_000

_Pair: TypeAlias = tuple[uuid.UUID, uuid.UUID | None]


async def locate_deleted_tasks(
    pool: Pool, objects: ObjectReader, *, deleted_before_seconds: float = SETTLED_SECONDS
) -> int:
    """Find out under which flow runs deleted task runs have lines; gives of how many. Reads all lines once,
    two columns of them, and nothing when no task run was deleted since the last time.

    Raises:
        LinesUnreadable, Unavailable: not all lines can be looked at.
    """
    async with connection(pool) as conn:
        tasks = await manifest.unlocated_tasks(conn, MAX_TASKS, deleted_before_seconds)
        sources = await manifest.all_sources(conn, Bounds()) if tasks else []
    if not tasks:
        return 0
    rows = SourceRows(objects)
    wanted = pa.array([task.bytes for task in tasks], UUID_TYPE)
    pairs: set[_Pair] = set()
    try:
        # Batches first, since they move.
        for source in sorted(sources, key=lambda source: source.key is not None):
            pairs |= await _pairs_in(pool, rows, source, wanted)
    except BatchesMoved:
        # They are in segments the next time.
        return 0
    async with transaction(pool) as conn:
        await manifest.locate_tasks(conn, tasks, pairs)
    return len(tasks)


async def _pairs_in(
    pool: Pool, rows: SourceRows, source: Source, wanted: "pa.Array[Any]"
) -> set[_Pair]:
    if source.key is None:

        async def payloads(ids: list[int]) -> dict[int, bytes]:
            async with connection(pool) as conn:
                return await hot.batch_payloads(conn, ids)

        return _pairs_of(await rows.hot_lines(payloads, [source.id]), wanted)
    found: set[_Pair] = set()
    blocks = await rows.blocks(source)
    for at in range(0, len(blocks), ROW_GROUPS_PER_FETCH):
        some = blocks[at : at + ROW_GROUPS_PER_FETCH]
        for group in await rows.row_groups(source, source.key, some):
            lines = await asyncio.to_thread(group.decode, ["flow_run_id", "task_run_id"])
            found |= _pairs_of(lines, wanted)
    return found


def _pairs_of(lines: pa.Table, wanted: "pa.Array[Any]") -> set[_Pair]:
    mine = lines.filter(pc.is_in(lines.column("task_run_id"), wanted))
    if not mine.num_rows:
        return set()
    return set(task_pairs(mine))
