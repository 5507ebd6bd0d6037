"""Work pools. A pool is made together with its default queue."""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.work_pools import (
    DEFAULT_QUEUE,
    StorageConfiguration,
    WorkPool,
    WorkPoolCreate,
    WorkPoolQuery,
    WorkPoolSelection,
    WorkPoolUpdate,
)
from storage.errors import NotFound
from storage.postgres import pool_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_SELECT = statement("select_work_pools")
_INSERT = statement("insert_work_pool")
_LOCK = statement("lock_work_pool")
_UPDATE = statement("update_work_pool")
_DELETE = statement("delete_work_pool")
_READ_BY_ID = f"{_SELECT} WHERE p.id = $1"
_READ_BY_NAME = f"{_SELECT} WHERE p.name = $1"

DEFAULT_QUEUE_DESCRIPTION = "The work pool's default queue."


def unknown_pool(name: str) -> NotFound:
    """The error for a pool that is not there."""
    return NotFound(f'Work pool "{name}" not found.')


def pool_of(row: asyncpg.Record) -> WorkPool:
    """A row of `select_work_pools`."""
    return WorkPool(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        description=row["description"],
        type=row["type"],
        base_job_template=row["base_job_template"],
        is_paused=row["is_paused"],
        concurrency_limit=row["concurrency_limit"],
        status=row["status"],
        default_queue_id=row["default_queue_id"],
        storage_configuration=msgspec.convert(row["storage_configuration"], StorageConfiguration),
        active_slots=row["active_slots"],
    )


async def insert_pool(
    conn: Conn,
    create: WorkPoolCreate,
    *,
    id: uuid.UUID,
    default_queue_id: uuid.UUID,
    now: dt.datetime,
) -> bool:
    """Make it with its default queue; False when the name is taken."""
    work_pool_id = await conn.fetchval(
        _INSERT,
        id,
        now,
        create.name,
        create.description,
        create.type,
        create.base_job_template,
        create.is_paused,
        create.concurrency_limit,
        default_queue_id,
        msgspec.to_builtins(create.storage_configuration),
        DEFAULT_QUEUE,
        DEFAULT_QUEUE_DESCRIPTION,
    )
    return work_pool_id is not None


async def read_pool(conn: Conn, name: str) -> WorkPool:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ_BY_NAME, name)
    if row is None:
        raise unknown_pool(name)
    return pool_of(row)


async def find_pool(conn: Conn, id: uuid.UUID) -> WorkPool | None:
    """The pool of that id, if there is one."""
    row = await conn.fetchrow(_READ_BY_ID, id)
    return pool_of(row) if row is not None else None


async def lock_pool(conn: Conn, name: str) -> WorkPool:
    """The pool, locked until the transaction ends. Raises NotFound."""
    if await conn.fetchval(_LOCK, name) is None:
        raise unknown_pool(name)
    return await read_pool(conn, name)


async def update_pool(
    conn: Conn, id: uuid.UUID, update: WorkPoolUpdate, *, now: dt.datetime
) -> None:
    """Change what the update names."""
    storage = update.storage_configuration
    await conn.execute(
        _UPDATE,
        id,
        now,
        _given(update.is_paused),
        _given(update.base_job_template),
        msgspec.to_builtins(storage) if isinstance(storage, StorageConfiguration) else None,
        update.description is not msgspec.UNSET,
        _given(update.description),
        update.concurrency_limit is not msgspec.UNSET,
        _given(update.concurrency_limit),
    )


def _given(value: object) -> object:
    return None if value is msgspec.UNSET else value


async def delete_pool(conn: Conn, id: uuid.UUID) -> None:
    """Delete a locked pool with its queues and workers."""
    await conn.execute(_DELETE, id)


async def select_pools(conn: Conn, query: WorkPoolQuery) -> list[WorkPool]:
    """One stretch of the pools that match, by name."""
    sql, values = pool_filters.select_work_pools(query)
    return [pool_of(row) for row in await conn.fetch(sql, *values)]


async def count_pools(conn: Conn, selection: WorkPoolSelection) -> int:
    """How many match."""
    sql, values = pool_filters.count_work_pools(selection)
    count: int = await conn.fetchval(sql, *values)
    return count
