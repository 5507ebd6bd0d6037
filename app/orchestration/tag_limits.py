"""The older way to limit task runs: one limit per tag, its slots held by task runs.

A tag's limit is the limit named `tag:{tag}`, and a slot is a lease that does not run out.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.orchestration.concurrency import Granted, free_leased, lease_slots, take_slots
from app.rules.concurrency import TAG_PREFIX, settled
from app.wire.base import new_id
from app.wire.concurrency import (
    FIRST_OCCUPANCY_SECONDS,
    ConcurrencyLimit,
    LeaseHolder,
    TagLimit,
)
from storage.errors import NotFound
from storage.postgres import concurrency
from storage.postgres.pool import Conn

# Task runs do not renew; their slots come back with their states.
LEASE_DURATION = dt.timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class TagFull:
    """The limit on `tag` has no slot free; with `limit` 0 it never will."""

    tag: str
    limit: int


async def put_tag_limit(
    conn: Conn, tag: str, limit: int, *, now: dt.datetime
) -> tuple[TagLimit, bool]:
    """Set a tag's limit; also says whether it is new."""
    known = await concurrency.lock_limits(conn, names=[TAG_PREFIX + tag])
    if known:
        changed = msgspec.structs.replace(known[0], limit=limit, updated=now)
        await concurrency.write_limits(conn, [changed])
        return (await _views(conn, [changed]))[0], False
    made = ConcurrencyLimit(
        id=new_id(),
        created=now,
        updated=now,
        active=True,
        name=TAG_PREFIX + tag,
        limit=limit,
        active_slots=0,
        denied_slots=0,
        slot_decay_per_second=0.0,
        avg_slot_occupancy_seconds=FIRST_OCCUPANCY_SECONDS,
    )
    await concurrency.insert_limit(conn, made)
    return (await _views(conn, [made]))[0], True


async def read_tag_limit(
    conn: Conn, *, id: uuid.UUID | None = None, tag: str | None = None
) -> TagLimit:
    """Raises NotFound, also for a limit that is none on a tag."""
    name = TAG_PREFIX + tag if tag is not None else None
    limit = await concurrency.read_limit(conn, id=id, name=name)
    if limit is None or not limit.name.startswith(TAG_PREFIX):
        raise NotFound("Concurrency limit not found")
    return (await _views(conn, [limit]))[0]


async def select_tag_limits(conn: Conn, *, limit: int, offset: int) -> list[TagLimit]:
    """One stretch of the tags' limits."""
    found = await concurrency.select_limits(conn, limit=limit, offset=offset, prefix=TAG_PREFIX)
    return await _views(conn, found)


async def delete_tag_limit(
    conn: Conn, *, id: uuid.UUID | None = None, tag: str | None = None
) -> None:
    """Raises NotFound."""
    limit = await read_tag_limit(conn, id=id, tag=tag)
    await concurrency.end_leases_of_limit(conn, limit.id)
    await concurrency.delete_limit(conn, id=limit.id)


async def reset_tag_limit(
    conn: Conn, tag: str, holders: Sequence[uuid.UUID], *, now: dt.datetime
) -> None:
    """Let just `holders` hold slots, and who takes one meanwhile. Raises NotFound."""
    known = await concurrency.read_limit(conn, name=TAG_PREFIX + tag)
    if known is None:
        raise NotFound("Concurrency limit not found")
    # Leases before limits, as everywhere: else two could wait for each other.
    ended = await concurrency.end_leases_of_limit(conn, known.id)
    await free_leased(conn, ended, now=now)
    limits = await concurrency.lock_limits(conn, ids=[known.id])
    if not limits:
        raise NotFound("Concurrency limit not found")
    newcomers = (await concurrency.holders_of_limits(conn, [known.id]))[known.id]
    limit = msgspec.structs.replace(limits[0], active_slots=len(newcomers) + len(holders))
    await concurrency.write_limits(conn, [limit])
    for holder in holders:
        await _hold(conn, limit, holder, now=now)


async def take_tag_slots(
    conn: Conn, tags: Sequence[str], task_run_id: uuid.UUID, *, now: dt.datetime
) -> list[ConcurrencyLimit] | TagFull:
    """One slot of each tag that has a limit, or of none; gives those limits."""
    names = [TAG_PREFIX + tag for tag in tags]
    limits = await concurrency.lock_limits(conn, names=names)
    for limit in limits:
        if limit.active and settled(limit, now).active_slots >= limit.limit:
            return TagFull(limit.name.removeprefix(TAG_PREFIX), limit.limit)
    granted = await take_slots(conn, names, 1, "concurrency", now=now)
    if not isinstance(granted, Granted):
        # The limits are locked and none was full.
        raise TypeError(f"slots of {names} were free and then were not")
    for limit in granted.active:
        await _hold(conn, limit, task_run_id, now=now)
    return list(granted.limits)


async def give_back_tag_slots(
    conn: Conn, tags: Sequence[str], task_run_id: uuid.UUID, *, now: dt.datetime
) -> list[ConcurrencyLimit]:
    """All slots of these tags that the task run holds; gives the tags' limits."""
    names = [TAG_PREFIX + tag for tag in tags]
    # Leases before limits, as everywhere: else two could wait for each other.
    ended = await concurrency.end_leases_of_task_run(conn, task_run_id, names)
    await free_leased(conn, ended, now=now)
    return await concurrency.lock_limits(conn, names=names)


async def _hold(
    conn: Conn, limit: ConcurrencyLimit, task_run_id: uuid.UUID, *, now: dt.datetime
) -> None:
    await lease_slots(
        conn,
        Granted(limits=[limit], active=[limit]),
        1,
        duration=LEASE_DURATION,
        holder=LeaseHolder(type="task_run", id=task_run_id),
        now=now,
    )


async def _views(conn: Conn, limits: Sequence[ConcurrencyLimit]) -> list[TagLimit]:
    holders = await concurrency.holders_of_limits(conn, [limit.id for limit in limits])
    return [
        TagLimit(
            id=limit.id,
            created=limit.created,
            updated=limit.updated,
            tag=limit.name.removeprefix(TAG_PREFIX),
            concurrency_limit=limit.limit,
            active_slots=holders[limit.id],
        )
        for limit in limits
    ]


async def hold_tag_slots(
    conn: Conn, limits: Sequence[ConcurrencyLimit], task_run_id: uuid.UUID, *, now: dt.datetime
) -> None:
    """Put a lease of the task run on slots that have been taken, one of each limit."""
    await lease_slots(
        conn,
        Granted(limits=limits, active=limits),
        1,
        duration=LEASE_DURATION,
        holder=LeaseHolder(type="task_run", id=task_run_id),
        now=now,
    )
