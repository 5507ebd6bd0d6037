"""Concurrency limits and leases. Slots change only on rows that are locked."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg

from app.wire.concurrency import ConcurrencyLimit, Lease, LeaseHolder
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_SELECT = statement("select_concurrency_limits")
_READ = statement("read_concurrency_limit")
_LOCK = statement("lock_concurrency_limits")
_INSERT = statement("insert_concurrency_limit")
_WRITE = statement("write_concurrency_limits")
_DELETE = statement("delete_concurrency_limit")
_INSERT_LEASE = statement("insert_concurrency_lease")
_RENEW_LEASE = statement("renew_concurrency_lease")
_LOCK_LEASE = statement("lock_concurrency_lease")
_END_LEASE = statement("end_concurrency_lease")
_END_LEASES = statement("end_concurrency_leases")
_END_EXPIRED = statement("end_expired_concurrency_leases")
_END_OF_TASK_RUN = statement("end_task_run_concurrency_leases")
_END_TAG_LEASES = statement("end_tag_concurrency_leases")
_END_OF_LIMIT = statement("end_concurrency_leases_of_limit")
_HOLDERS = statement("select_concurrency_lease_holders")


def _limit_of(row: asyncpg.Record) -> ConcurrencyLimit:
    return ConcurrencyLimit(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        active=row["active"],
        name=row["name"],
        limit=row["limit"],
        active_slots=row["active_slots"],
        denied_slots=row["denied_slots"],
        slot_decay_per_second=row["slot_decay_per_second"],
        avg_slot_occupancy_seconds=row["avg_slot_occupancy_seconds"],
    )


def _lease_of(row: asyncpg.Record) -> Lease:
    holder = None
    if row["holder_id"] is not None:
        holder = LeaseHolder(type=row["holder_type"], id=row["holder_id"])
    return Lease(
        id=row["id"],
        created=row["created"],
        expires=row["expires"],
        limit_ids=row["limit_ids"],
        slots=row["slots"],
        holder=holder,
    )


async def select_limits(
    conn: Conn, *, limit: int, offset: int, prefix: str = ""
) -> list[ConcurrencyLimit]:
    """One stretch of the limits whose names begin with `prefix`, by name."""
    return [_limit_of(row) for row in await conn.fetch(_SELECT, prefix, limit, offset)]


async def read_limit(
    conn: Conn, *, id: uuid.UUID | None = None, name: str | None = None
) -> ConcurrencyLimit | None:
    """The limit of that id or name, if there is one."""
    row = await conn.fetchrow(_READ, id, name)
    return _limit_of(row) if row is not None else None


async def lock_limits(
    conn: Conn, *, names: Sequence[str] = (), ids: Sequence[uuid.UUID] = ()
) -> list[ConcurrencyLimit]:
    """The limits of these names and ids, locked until the transaction ends."""
    return [_limit_of(row) for row in await conn.fetch(_LOCK, names, ids)]


async def insert_limit(conn: Conn, limit: ConcurrencyLimit) -> None:
    """Raises Conflict for a name that is taken."""
    await conn.execute(
        _INSERT,
        limit.id,
        limit.created,
        limit.updated,
        limit.active,
        limit.name,
        limit.limit,
        limit.active_slots,
        limit.denied_slots,
        limit.slot_decay_per_second,
        limit.avg_slot_occupancy_seconds,
    )


async def write_limits(conn: Conn, limits: Sequence[ConcurrencyLimit]) -> None:
    """Keep locked limits as they are now. Raises Conflict for a name that is taken."""
    await conn.execute(
        _WRITE,
        [limit.id for limit in limits],
        [limit.updated for limit in limits],
        [limit.active for limit in limits],
        [limit.name for limit in limits],
        [limit.limit for limit in limits],
        [limit.active_slots for limit in limits],
        [limit.denied_slots for limit in limits],
        [limit.slot_decay_per_second for limit in limits],
        [limit.avg_slot_occupancy_seconds for limit in limits],
    )


async def delete_limit(conn: Conn, *, id: uuid.UUID | None = None, name: str | None = None) -> None:
    """Raises NotFound. Leases on it stay, and free nothing when they end."""
    if await conn.fetchval(_DELETE, id, name) is None:
        raise NotFound("Concurrency limit not found")


async def insert_lease(conn: Conn, lease: Lease) -> None:
    """Keep a new lease."""
    holder = lease.holder
    await conn.execute(
        _INSERT_LEASE,
        lease.id,
        lease.created,
        lease.expires,
        lease.limit_ids,
        lease.slots,
        holder.type if holder is not None else None,
        holder.id if holder is not None else None,
    )


async def renew_lease(conn: Conn, lease_id: uuid.UUID, expires: dt.datetime) -> bool:
    """Let it last until `expires`; False when it is gone."""
    return await conn.fetchval(_RENEW_LEASE, lease_id, expires) is not None


async def lock_lease(conn: Conn, lease_id: uuid.UUID) -> bool:
    """Whether the lease is there; it then stays until the transaction ends."""
    return await conn.fetchval(_LOCK_LEASE, lease_id) is not None


async def end_lease(conn: Conn, lease_id: uuid.UUID) -> Lease | None:
    """Delete the lease; None when it is gone already. Its slots are the caller's to give back."""
    row = await conn.fetchrow(_END_LEASE, lease_id)
    return _lease_of(row) if row is not None else None


async def end_leases(conn: Conn, lease_ids: Sequence[uuid.UUID]) -> list[Lease]:
    """Delete those of the leases that are there. Their slots are the caller's to give back."""
    return [_lease_of(row) for row in await conn.fetch(_END_LEASES, lease_ids)]


async def end_expired_leases(conn: Conn, *, now: dt.datetime, at_most: int) -> list[Lease]:
    """Delete leases that have expired. Their slots are the caller's to give back."""
    return [_lease_of(row) for row in await conn.fetch(_END_EXPIRED, now, at_most)]


async def end_leases_of_task_run(
    conn: Conn, task_run_id: uuid.UUID, limit_names: Sequence[str]
) -> list[Lease]:
    """Delete a task run's leases on the limits of these names. Their slots are the caller's to give back."""
    return [_lease_of(row) for row in await conn.fetch(_END_OF_TASK_RUN, task_run_id, limit_names)]


async def end_tag_leases(conn: Conn, task_run_id: uuid.UUID) -> list[Lease]:
    """Delete a task run's leases on limits of tags. Their slots are the caller's to give back."""
    return [_lease_of(row) for row in await conn.fetch(_END_TAG_LEASES, task_run_id)]


async def end_leases_of_limit(conn: Conn, limit_id: uuid.UUID) -> list[Lease]:
    """Delete all leases on a limit. Their slots are the caller's to give back."""
    return [_lease_of(row) for row in await conn.fetch(_END_OF_LIMIT, limit_id)]


async def holders_of_limits(
    conn: Conn, limit_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Who holds leases on each limit; once per lease."""
    holders: dict[uuid.UUID, list[uuid.UUID]] = {limit_id: [] for limit_id in limit_ids}
    for row in await conn.fetch(_HOLDERS, limit_ids):
        holders[row["limit_id"]].append(row["holder_id"])
    return holders
