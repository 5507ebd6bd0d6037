"""What workers are asked to clean up: kept until one of them says that it is done.

At least once, and to one worker at a time: who reserves a message has it until its lease expires.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.wire.base import Json
from app.wire.worker_cleanup import CleanupKind, Held, Reservation
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

# Names the work pool for which something may wait.
CHANNEL = "worker_cleanup"
# How long a message is left to workers of its own queue.
OWN_QUEUE_FIRST = dt.timedelta(seconds=5)

_INSERT = statement("insert_worker_cleanup")
_RESERVE = statement("reserve_worker_cleanup")
_LOCK = statement("lock_worker_cleanup")
_DELETE = statement("delete_worker_cleanup")
_RENEW = statement("renew_worker_cleanup")
_FREE = statement("free_worker_cleanup")
_BURY = statement("bury_worker_cleanup")
_EXPIRE = statement("expire_worker_cleanup")
_WAKE = statement("wake_worker_cleanup")
_FORGET = statement("forget_worker_cleanup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A worker that takes clean-ups: of which pool and kinds, which queues it serves, how many it
    takes at a time. It stays the same over its connections."""

    consumer_id: uuid.UUID
    work_pool_id: uuid.UUID
    kinds: Sequence[CleanupKind]
    work_queue_ids: Sequence[uuid.UUID]
    concurrency: int


async def insert_cleanup(
    conn: Conn,
    *,
    id: uuid.UUID,
    work_pool_id: uuid.UUID,
    work_queue_id: uuid.UUID,
    kind: CleanupKind,
    target: Json,
    now: dt.datetime,
) -> None:
    """Ask the workers of a pool, and wake them once this is committed."""
    await conn.execute(_INSERT, id, now, work_pool_id, work_queue_id, kind, target, CHANNEL)


async def reserve_cleanup(
    conn: Conn, server: Server, *, token: str, until: dt.datetime, now: dt.datetime
) -> Reservation | None:
    """The next message for this worker; None when nothing waits or it has no room."""
    row = await conn.fetchrow(
        _RESERVE,
        server.work_pool_id,
        server.consumer_id,
        token,
        until,
        server.kinds,
        server.work_queue_ids,
        now - OWN_QUEUE_FIRST,
        server.concurrency,
        now,
    )
    if row is None:
        return None
    return Reservation(
        message_id=row["id"],
        kind=row["kind"],
        reservation_token=token,
        lease_expires_at=until,
        delivery_count=row["delivery_count"],
        work_queue_id=row["work_queue_id"],
        target=row["target"],
    )


async def lock_cleanup(conn: Conn, id: uuid.UUID) -> Held | None:
    """The message, locked until the transaction ends; None for one that is done or dead."""
    row = await conn.fetchrow(_LOCK, id)
    if row is None:
        return None
    return Held(
        work_pool_id=row["work_pool_id"],
        reservation_token=row["reservation_token"],
        lease_expires_at=row["lease_expires_at"],
        delivery_count=row["delivery_count"],
    )


async def delete_cleanup(conn: Conn, id: uuid.UUID) -> None:
    """It is done."""
    await conn.execute(_DELETE, id)


async def renew_cleanup(conn: Conn, id: uuid.UUID, *, until: dt.datetime) -> None:
    """Whoever has it keeps it until then."""
    await conn.execute(_RENEW, id, until)


async def free_cleanup(conn: Conn, id: uuid.UUID) -> None:
    """Nobody has it any more; the workers of its pool are woken."""
    await conn.execute(_FREE, id, CHANNEL)


async def bury_cleanup(conn: Conn, id: uuid.UUID, *, reason: str | None, now: dt.datetime) -> None:
    """It is not delivered again; `reason` is the worker's."""
    await conn.execute(_BURY, id, now, reason)


async def expire_leases(
    conn: Conn, *, max_deliveries: int, at_most: int, now: dt.datetime
) -> tuple[int, list[uuid.UUID]]:
    """Take messages back whose lease ran out: how many wait again, and which are dead, because they
    were delivered so often."""
    rows = await conn.fetch(_EXPIRE, now, max_deliveries, at_most)
    dead = [row["id"] for row in rows if row["died"]]
    return len(rows) - len(dead), dead


async def wake_workers(conn: Conn) -> None:
    """Wake the workers of every pool for which something waits."""
    await conn.execute(_WAKE, CHANNEL)


async def forget_old(conn: Conn, *, made_before: dt.datetime) -> int:
    """Forget messages made before then that nobody has, dead or not; says how many."""
    status: str = await conn.execute(_FORGET, made_before)
    return int(status.rpartition(" ")[2])
