"""Workers: processes that poll a pool and say now and then that they are there."""

import datetime as dt
import uuid
from dataclasses import dataclass

import asyncpg

from app.wire.work_pools import Worker, WorkerHeartbeat, WorkerQuery
from storage.errors import NotFound
from storage.postgres import pool_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.postgres.work_pools import unknown_pool

_HEARTBEAT = statement("heartbeat_of_worker")
_MARK_POOL_READY = statement("mark_work_pool_ready")
_DELETE = statement("delete_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOfWorker:
    """The pool of a worker as far as it is told of in events, and when it was last changed;
    `became_ready` by this heartbeat."""

    id: uuid.UUID
    name: str
    type: str
    is_paused: bool
    updated: dt.datetime
    became_ready: bool


def _worker_of(row: asyncpg.Record) -> Worker:
    return Worker(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        work_pool_id=row["work_pool_id"],
        last_heartbeat_time=row["last_heartbeat_time"],
        heartbeat_interval_seconds=row["heartbeat_interval_seconds"],
        status=row["status"],
    )


async def record_heartbeat(
    conn: Conn, pool_name: str, heartbeat: WorkerHeartbeat, *, id: uuid.UUID, now: dt.datetime
) -> PoolOfWorker:
    """The worker is online, and so its pool is ready; `id` is for a worker that is new.

    Raises:
        NotFound: there is no such pool.
    """
    interval = heartbeat.heartbeat_interval_seconds
    row = await conn.fetchrow(_HEARTBEAT, pool_name, id, now, heartbeat.name, interval)
    if row is None:
        raise unknown_pool(pool_name)
    became_ready = row["status"] != "READY" and (
        await conn.fetchrow(_MARK_POOL_READY, row["id"]) is not None
    )
    return PoolOfWorker(
        id=row["id"],
        name=row["name"],
        type=row["type"],
        is_paused=row["is_paused"],
        updated=row["updated"],
        became_ready=became_ready,
    )


async def select_workers(
    conn: Conn, query: WorkerQuery, *, work_pool_id: uuid.UUID
) -> list[Worker]:
    """One stretch of the workers of a pool, the one heard last first."""
    sql, values = pool_filters.select_workers(query, work_pool_id)
    return [_worker_of(row) for row in await conn.fetch(sql, *values)]


async def delete_worker(conn: Conn, work_pool_id: uuid.UUID, name: str) -> None:
    """Raises NotFound."""
    if await conn.fetchval(_DELETE, work_pool_id, name) is None:
        raise NotFound("Worker not found.")
