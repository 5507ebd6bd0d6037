"""Slots of concurrency limits: taken, held under a lease, given back.

Everything here runs in the caller's transaction, on locked limits. A refusal is a result and not
an error, because it is written down too.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.rules.concurrency import Acquired, Denied, acquire, release
from app.wire.base import new_id
from app.wire.concurrency import ConcurrencyLimit, Lease, LeaseHolder, Mode
from storage.postgres import concurrency
from storage.postgres.pool import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The slots are taken. `limits` are all that were named and exist, inactive ones too; only
    `active` ones gave slots."""

    limits: Sequence[ConcurrencyLimit]
    active: Sequence[ConcurrencyLimit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """Waiting would not help, as `reason` says."""

    reason: str


async def take_slots(
    conn: Conn, names: Sequence[str], slots: int, mode: Mode, *, now: dt.datetime
) -> Granted | Denied | Impossible:
    """Take `slots` of every active limit of these names, or of none."""
    limits = await concurrency.lock_limits(conn, names=names)
    active = [limit for limit in limits if limit.active]
    if any(slots > limit.limit for limit in active):
        return Impossible(reason="Slots requested is greater than the limit")
    steady = [limit.name for limit in active if limit.slot_decay_per_second == 0]
    if mode == "rate_limit" and steady:
        names_of_steady = ", ".join(map(repr, steady))
        return Impossible(
            reason="Only concurrency limits with slot decay can be used for rate limiting. "
            f"These have none: {names_of_steady}"
        )
    outcome = acquire(active, slots, now)
    await concurrency.write_limits(conn, outcome.limits)
    if isinstance(outcome, Acquired):
        return Granted(limits=limits, active=active)
    return outcome


async def lease_slots(
    conn: Conn,
    granted: Granted,
    slots: int,
    *,
    duration: dt.timedelta,
    holder: LeaseHolder | None,
    now: dt.datetime,
) -> Lease:
    """Put a lease on the slots that were granted."""
    lease = Lease(
        id=new_id(),
        created=now,
        expires=now + duration,
        limit_ids=[limit.id for limit in granted.active],
        slots=slots,
        holder=holder,
    )
    await concurrency.insert_lease(conn, lease)
    return lease


async def give_back(
    conn: Conn,
    names: Sequence[str],
    slots: int,
    occupancy_seconds: float | None,
    *,
    now: dt.datetime,
) -> list[ConcurrencyLimit]:
    """Give slots back that no lease is on; gives the limits of these names."""
    limits = await concurrency.lock_limits(conn, names=names)
    released = [
        release(limit, slots, occupancy_seconds, now) if limit.active else limit for limit in limits
    ]
    await concurrency.write_limits(conn, released)
    return released


async def give_back_lease(conn: Conn, lease_id: uuid.UUID, *, now: dt.datetime) -> None:
    """End a lease and give its slots back; nothing happens when it is gone."""
    lease = await concurrency.end_lease(conn, lease_id)
    if lease is not None:
        await free_leased(conn, [lease], now=now)


async def free_expired_leases(conn: Conn, *, at_most: int, now: dt.datetime) -> int:
    """Give back the slots of holders that stopped renewing; says how many leases that were."""
    leases = await concurrency.end_expired_leases(conn, now=now, at_most=at_most)
    await free_leased(conn, leases, now=now)
    return len(leases)


async def free_leased(conn: Conn, leases: Sequence[Lease], *, now: dt.datetime) -> None:
    """Give back the slots of leases that have been ended."""
    if not leases:
        return
    slots: Counter[uuid.UUID] = Counter()
    held: dict[uuid.UUID, float] = {}
    for lease in leases:
        for limit_id in lease.limit_ids:
            slots[limit_id] += lease.slots
            held[limit_id] = (now - lease.created).total_seconds()
    limits = await concurrency.lock_limits(conn, ids=list(slots))
    await concurrency.write_limits(
        conn, [release(limit, slots[limit.id], max(held[limit.id], 0.0), now) for limit in limits]
    )
