"""Work queues. Every queue belongs to a pool; a queue that is named without one belongs to the
pool of old agents, which is made when it is first needed."""

import datetime as dt
import uuid
from dataclasses import dataclass

import asyncpg
import msgspec

from app.wire.base import new_id
from app.wire.work_pools import (
    DEFAULT_AGENT_POOL,
    QueueFilter,
    WorkPoolCreate,
    WorkQueue,
    WorkQueueCreate,
)
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.postgres.work_pools import insert_pool, unknown_pool

_SELECT = statement("select_work_queues")
_RESOLVE = statement("resolve_work_queue")
_INSERT = statement("insert_work_queue")
_LOCK_POOL = statement("lock_work_pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedQueue:
    """A queue that is there, and its pool."""

    id: uuid.UUID
    name: str
    work_pool_id: uuid.UUID
    work_pool_name: str


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
        await _insert(conn, row["work_pool_id"], name, WorkQueueCreate(name=queue_name), now)
        row = await conn.fetchrow(_RESOLVE, name, queue_name)
    if row is None or row["id"] is None:
        raise unknown_pool(name)
    return ResolvedQueue(
        id=row["id"],
        name=row["name"],
        work_pool_id=row["work_pool_id"],
        work_pool_name=row["work_pool_name"],
    )


async def _insert(
    conn: Conn, work_pool_id: uuid.UUID, pool_name: str, create: WorkQueueCreate, now: dt.datetime
) -> uuid.UUID | None:
    """Its id; None when the name is taken."""
    # Two that come last at once would both have the same priority.
    await conn.fetchrow(_LOCK_POOL, pool_name)
    id: uuid.UUID | None = await conn.fetchval(
        _INSERT,
        new_id(),
        now,
        create.name,
        create.description,
        create.is_paused,
        create.concurrency_limit,
        create.priority,
        work_pool_id,
        msgspec.to_builtins(create.filter) if create.filter is not None else None,
    )
    return id
