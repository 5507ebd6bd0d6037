"""Slot arithmetic: who may take slots of which limits, and when to ask again. Pure.

A limit *decays* when slots come back by themselves, `slot_decay_per_second` of them each second; it
then limits a rate. Slots of other limits come back when their holders give them back. What was
asked for in vain (`denied_slots`) is forgotten at the same rate, or, if nothing decays, one slot per
average occupancy.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.wire.concurrency import ConcurrencyLimit

TAG_PREFIX = "tag:"
# The longest that somebody is told to wait for a slot that another must give back.
MAX_WAIT_SECONDS = 30.0
MAX_TAG_WAIT_SECONDS = 10.0
MIN_OCCUPANCY_SECONDS = 0.1
# How far a wait may be from its mean, so that those who were refused together return apart.
JITTER = 0.3

_MOST_DENIED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Acquired:
    """The slots are taken: `limits` are as they are now."""

    limits: Sequence[ConcurrencyLimit]


@dataclass(frozen=True, slots=True)
class Denied:
    """There is no room in one of the limits; `limits` have counted the attempt. `retry_after` is
    the mean number of seconds to wait, without jitter."""

    limits: Sequence[ConcurrencyLimit]
    blocked_by: ConcurrencyLimit
    retry_after: float


def settled(limit: ConcurrencyLimit, now: dt.datetime) -> ConcurrencyLimit:
    """The limit with all whole slots counted that came back until `now`. Fractions are not lost:
    `updated` moves only as far as whole slots reach."""
    decays = limit.slot_decay_per_second > 0
    rate = limit.slot_decay_per_second if decays else 1 / limit.avg_slot_occupancy_seconds
    elapsed = (now - limit.updated).total_seconds()
    # An attempt may be younger than the limit's clock when two processes' clocks differ.
    returned = max(math.floor(rate * elapsed), 0)
    active = max(limit.active_slots - returned, 0) if decays else limit.active_slots
    denied = max(limit.denied_slots - returned, 0)
    pending = (decays and active > 0) or denied > 0
    if pending:
        updated = limit.updated + dt.timedelta(seconds=returned / rate)
    else:
        updated = max(now, limit.updated)
    return msgspec.structs.replace(
        limit,
        active_slots=active,
        denied_slots=denied,
        updated=min(updated, max(now, limit.updated)),
    )


def acquire(limits: Sequence[ConcurrencyLimit], slots: int, now: dt.datetime) -> Acquired | Denied:
    """Take `slots` of all limits, or of none. No limit may be below `slots`."""
    current = [settled(limit, now) for limit in limits]
    if all(limit.active_slots + slots <= limit.limit for limit in current):
        return Acquired(
            [
                msgspec.structs.replace(limit, active_slots=limit.active_slots + slots)
                for limit in current
            ]
        )
    blocked_by = max(current, key=lambda limit: _blocking(limit, slots))
    counted = [
        msgspec.structs.replace(limit, denied_slots=min(limit.denied_slots + slots, _MOST_DENIED))
        for limit in current
    ]
    return Denied(counted, blocked_by, retry_after(blocked_by, slots))


def release(
    limit: ConcurrencyLimit, slots: int, occupancy_seconds: float | None, now: dt.datetime
) -> ConcurrencyLimit:
    """Give `slots` back, which were held for `occupancy_seconds` if that is known."""
    current = settled(limit, now)
    average = current.avg_slot_occupancy_seconds
    if occupancy_seconds is not None and current.limit > 0:
        average += (occupancy_seconds - average) / (2 * current.limit)
    return msgspec.structs.replace(
        current,
        active_slots=max(current.active_slots - slots, 0),
        avg_slot_occupancy_seconds=max(average, MIN_OCCUPANCY_SECONDS),
    )


def _blocking(limit: ConcurrencyLimit, slots: int) -> float:
    wanted = slots + limit.denied_slots
    return wanted if limit.slot_decay_per_second > 0 else wanted / limit.limit


def retry_after(limit: ConcurrencyLimit, slots: int) -> float:
    """Seconds until `slots` may be free, seen from how many want them. Waiting for others to give
    slots back is capped; a rate is not, since nothing comes sooner."""
    blocking = _blocking(limit, slots)
    if limit.slot_decay_per_second > 0:
        return blocking / limit.slot_decay_per_second
    cap = MAX_TAG_WAIT_SECONDS if limit.name.startswith(TAG_PREFIX) else MAX_WAIT_SECONDS
    return min(min(limit.avg_slot_occupancy_seconds, cap) * blocking, cap)


def jittered(seconds: float, chance: float) -> float:
    """`seconds` moved by up to 30 %, the way arrivals are spread; `chance` is in [0, 1)."""
    if seconds <= 0:
        return 0.0
    first, last = -math.expm1(JITTER - 1), -math.expm1(-JITTER - 1)
    return -seconds * math.log1p(-(first + chance * (last - first)))
