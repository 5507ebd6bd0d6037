"""Work queues. Every queue belongs to a pool; a queue that is named without one belongs to the
pool of old agents, which is made when it is first needed."""

import datetime as dt
import uuid
from collections.abc import Mapping

import asyncpg
import msgspec

from app.wire.base import new_id
from app.wire.facts import ResolvedQueue
from app.wire.work_pools import (
    DEFAULT_AGENT_POOL,
    QueueFilter,
    WorkPoolCreate,
    WorkQueue,
    WorkQueueCreate,
    WorkQueueQuery,
    WorkQueueUpdate,
)
from storage.errors import NotFound
from storage.postgres import pool_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.postgres.work_pools import insert_pool, unknown_pool

_SELECT = statement("select_work_queues")
_BY_ID = f"{_SELECT} WHERE q.id = $1"
_BY_NAME = f"{_SELECT} WHERE p.name = $1 AND q.name = $2"
_OF_POOL = f"{_SELECT} WHERE q.work_pool_id = $1 ORDER BY q.priority, q.id"
_RESOLVE = statement("resolve_work_queue")
_LOCK_POOL = statement("lock_work_pool")
_PRIORITIES = statement("select_work_queue_priorities")
_WRITE_PRIORITIES = statement("write_work_queue_priorities")
_INSERT = statement("insert_work_queue")
_UPDATE = statement("update_work_queue")
_DELETE = statement("delete_work_queue")

# Who polled within this time polls: clients do so every 10 s.
POLLED_WITHIN = dt.timedelta(seconds=60)


def queue_of(row: asyncpg.Record) -> WorkQueue:
    """A row of `select_work_queues`."""
    return WorkQueue(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        description=row["description"],
        is_paused=row["is_paused"],
        concurrency_limit=row["concurrency_limit"],
        priority=row["priority"],
        work_pool_id=row["work_pool_id"],
        filter=msgspec.convert(row["filter"], QueueFilter) if row["filter"] is not None else None,
        last_polled=row["last_polled"],
        work_pool_name=row["work_pool_name"],
        status=row["status"],
        active_slots=row["active_slots"],
    )


# Named by deployments and runs --------------------------------------------------------------------


async def ensure_agent_pool(conn: Conn, *, now: dt.datetime) -> None:
    """Make the pool of queues that are named without one, unless it is there."""
    create = WorkPoolCreate(name=DEFAULT_AGENT_POOL)
    await insert_pool(conn, create, id=new_id(), default_queue_id=new_id(), now=now)


async def ensure_work_queue(
    conn: Conn, *, pool_name: str | None, queue_name: str | None, now: dt.datetime
) -> ResolvedQueue | None:
    """The queue that a deployment or a run names, made if it is not there yet: without a queue the
    default queue of the pool, without a pool a queue of the old agents' pool, without either none.
    One statement when it is there.

    Raises:
        NotFound: there is no such pool.
    """
    if pool_name is None and queue_name is None:
        return None
    name = pool_name if pool_name is not None else DEFAULT_AGENT_POOL
    row = await conn.fetchrow(_RESOLVE, name, queue_name)
    if row is None and pool_name is None:
        await ensure_agent_pool(conn, now=now)
        row = await conn.fetchrow(_RESOLVE, name, queue_name)
    if row is not None and row["id"] is None and queue_name is not None:
        priorities = await lock_priorities(conn, name, row["work_pool_id"])
        last = max(priorities.values(), default=0)
        create = WorkQueueCreate(name=queue_name)
        await insert_queue(
            conn, row["work_pool_id"], create, id=new_id(), priority=last + 1, now=now
        )
        row = await conn.fetchrow(_RESOLVE, name, queue_name)
    if row is None or row["id"] is None:
        raise unknown_pool(name)
    return ResolvedQueue(
        id=row["id"],
        name=row["name"],
        work_pool_id=row["work_pool_id"],
        work_pool_name=row["work_pool_name"],
        work_pool_type=row["work_pool_type"],
    )


# Reading ------------------------------------------------------------------------------------------


async def read_queue(conn: Conn, id: uuid.UUID) -> WorkQueue | None:
    """The queue of that id, if there is one."""
    row = await conn.fetchrow(_BY_ID, id)
    return queue_of(row) if row is not None else None


async def read_queue_of_pool(conn: Conn, pool_name: str, name: str) -> WorkQueue:
    """Raises NotFound."""
    row = await conn.fetchrow(_BY_NAME, pool_name, name)
    if row is None:
        raise unknown_queue(pool_name, name)
    return queue_of(row)


def unknown_queue(pool_name: str, name: str) -> NotFound:
    """The error for a queue that is not there."""
    return NotFound(f"Work pool queue '{pool_name}/{name}' not found.")


async def queues_of_pool(conn: Conn, work_pool_id: uuid.UUID) -> list[WorkQueue]:
    """All of them, by priority."""
    return [queue_of(row) for row in await conn.fetch(_OF_POOL, work_pool_id)]


async def select_queues(
    conn: Conn, query: WorkQueueQuery, *, work_pool_id: uuid.UUID | None = None
) -> list[WorkQueue]:
    """One stretch of the queues of a pool, by priority; of all pools, by name."""
    sql, values = pool_filters.select_work_queues(query, work_pool_id)
    return [queue_of(row) for row in await conn.fetch(sql, *values)]


# Changing -----------------------------------------------------------------------------------------


async def lock_priorities(
    conn: Conn, pool_name: str, work_pool_id: uuid.UUID
) -> dict[uuid.UUID, int]:
    """The priorities of the queues of a pool, which nobody else changes until the transaction
    ends."""
    await conn.fetchrow(_LOCK_POOL, pool_name)
    return {row["id"]: row["priority"] for row in await conn.fetch(_PRIORITIES, work_pool_id)}


async def write_priorities(
    conn: Conn, priorities: Mapping[uuid.UUID, int], *, now: dt.datetime
) -> None:
    """Give these queues these priorities."""
    await conn.execute(_WRITE_PRIORITIES, list(priorities), list(priorities.values()), now)


async def insert_queue(
    conn: Conn,
    work_pool_id: uuid.UUID,
    create: WorkQueueCreate,
    *,
    id: uuid.UUID,
    priority: int,
    now: dt.datetime,
) -> bool:
    """False when the name is taken."""
    made = await conn.fetchval(
        _INSERT,
        id,
        now,
        create.name,
        create.description or "",
        create.is_paused,
        create.concurrency_limit,
        priority,
        work_pool_id,
        msgspec.to_builtins(create.filter) if create.filter is not None else None,
    )
    return made is not None


async def update_queue(
    conn: Conn, id: uuid.UUID, update: WorkQueueUpdate, *, now: dt.datetime
) -> None:
    """Change what the update names, its priority aside. Raises Conflict for a name that is taken."""
    queue_filter = update.filter
    await conn.execute(
        _UPDATE,
        id,
        now,
        _given(update.name),
        _given(update.is_paused),
        update.description is not msgspec.UNSET,
        _given(update.description),
        update.concurrency_limit is not msgspec.UNSET,
        _given(update.concurrency_limit),
        update.last_polled is not msgspec.UNSET,
        _given(update.last_polled),
        queue_filter is not msgspec.UNSET,
        msgspec.to_builtins(queue_filter) if isinstance(queue_filter, QueueFilter) else None,
        now - POLLED_WITHIN,
    )


def _given(value: object) -> object:
    return None if value is msgspec.UNSET else value


async def delete_queue(conn: Conn, id: uuid.UUID) -> None:
    """Delete it; its runs and deployments stay without a queue."""
    await conn.execute(_DELETE, id)
