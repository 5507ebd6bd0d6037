"""Who takes up the room of queues and pools."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg

from app.wire.work_pools import QueueSlots, SlotHolder
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_OF_POOL = statement("select_slot_holders_of_pool")
_POOL_COUNTS = statement("count_pool_slots_and_queues")
_OF_QUEUE = statement("select_slot_holders_of_queue")
_COUNT_OF_QUEUE = statement("count_slot_holders_of_queue")
_LATE = statement("count_late_runs_of_queue")


def _holder_of(row: asyncpg.Record, now: dt.datetime) -> SlotHolder:
    since = row["state_timestamp"]
    return SlotHolder(
        id=row["id"],
        name=row["name"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        start_time=row["start_time"],
        state_timestamp=since,
        time_in_current_state=(now - since).total_seconds() if since is not None else None,
    )


async def slots_of_queues(
    conn: Conn, queue_ids: Sequence[uuid.UUID], *, runs_per_queue: int, now: dt.datetime
) -> list[QueueSlots]:
    """The queues by priority, each with the first of the runs that take up its room."""
    found: dict[uuid.UUID, QueueSlots] = {}
    for row in await conn.fetch(_OF_POOL, queue_ids, runs_per_queue):
        slots = found.get(row["queue_id"])
        if slots is None:
            slots = found[row["queue_id"]] = QueueSlots(
                queue_id=row["queue_id"],
                queue_name=row["queue_name"],
                active_slots=row["active_slots"],
                concurrency_limit=row["concurrency_limit"],
                flow_runs=[],
                flow_run_count=row["active_slots"],
            )
        if row["id"] is not None:
            slots.flow_runs.append(_holder_of(row, now))
    return list(found.values())


async def slots_and_queues_of_pool(conn: Conn, work_pool_id: uuid.UUID) -> tuple[int, int]:
    """How many runs take up room, and how many queues there are."""
    row = await conn.fetchrow(_POOL_COUNTS, work_pool_id)
    return (row["active_slots"], row["queues"]) if row is not None else (0, 0)


async def slot_holders_of_queue(
    conn: Conn, queue_id: uuid.UUID, *, limit: int, offset: int, now: dt.datetime
) -> list[SlotHolder]:
    """One stretch of the runs that take up its room; those that are being cancelled too."""
    return [_holder_of(row, now) for row in await conn.fetch(_OF_QUEUE, queue_id, limit, offset)]


async def count_slot_holders_of_queue(conn: Conn, queue_id: uuid.UUID) -> int:
    """How many there are."""
    count: int = await conn.fetchval(_COUNT_OF_QUEUE, queue_id)
    return count


async def count_late_runs(conn: Conn, queue_id: uuid.UUID) -> int:
    """How many runs of the queue are late."""
    count: int = await conn.fetchval(_LATE, queue_id)
    return count
