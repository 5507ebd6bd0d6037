"""Work pools. A pool is made together with its default queue."""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.work_pools import DEFAULT_QUEUE, StorageConfiguration, WorkPool, WorkPoolCreate
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_SELECT = statement("select_work_pools")
_INSERT = statement("insert_work_pool")
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
    return (
        await conn.fetchval(
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
        is not None
    )


async def read_pool(conn: Conn, name: str) -> WorkPool:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ_BY_NAME, name)
    if row is None:
        raise unknown_pool(name)
    return pool_of(row)
