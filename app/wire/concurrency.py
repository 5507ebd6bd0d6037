"""Concurrency limits, slots and leases on the wire. Durations are seconds."""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import NonNegative

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Slots = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
Rate = Annotated[float, msgspec.Meta(ge=0)]
LimitName = Annotated[str, msgspec.Meta(pattern=r"^[^/%&><]+$")]
LeaseSeconds = Annotated[float, msgspec.Meta(ge=60, le=86_400)]

Mode: TypeAlias = Literal["concurrency", "rate_limit"]
HolderType: TypeAlias = Literal["flow_run", "task_run", "deployment"]

# What a limit's average starts with, before anybody has given a slot back.
FIRST_OCCUPANCY_SECONDS = 2.0
DEFAULT_LEASE_SECONDS = 300.0


class ConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it is kept. `denied_slots` counts what was asked for in vain, lately. Slots that
    come back by themselves (decay) have been counted up to `updated`."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    active: bool
    name: str
    limit: int
    active_slots: int
    denied_slots: int
    slot_decay_per_second: float
    avg_slot_occupancy_seconds: float


class GlobalConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it is answered to most readers."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    active: bool
    name: str
    limit: int
    active_slots: int
    slot_decay_per_second: float


class MinimalConcurrencyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as it is answered to those who take slots."""

    id: uuid.UUID
    name: str
    limit: int


class ConcurrencyLimitCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v2/concurrency_limits/`."""

    active: bool = True
    name: LimitName
    limit: Count
    active_slots: Count = 0
    denied_slots: Count = 0
    slot_decay_per_second: Rate = 0.0


class ConcurrencyLimitUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a PATCH; what is absent stays as it is."""

    active: bool | msgspec.UnsetType = msgspec.UNSET
    name: LimitName | msgspec.UnsetType = msgspec.UNSET
    limit: Count | msgspec.UnsetType = msgspec.UNSET
    active_slots: Count | msgspec.UnsetType = msgspec.UNSET
    denied_slots: Count | msgspec.UnsetType = msgspec.UNSET
    slot_decay_per_second: Rate | msgspec.UnsetType = msgspec.UNSET


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of both filter routes."""

    offset: NonNegative = 0
    limit: NonNegative = PAGE_LIMIT


class LeaseHolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who holds a lease."""

    type: HolderType
    id: uuid.UUID


class Increment(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `increment`: slots of every limit of these names, or of none."""

    slots: Slots
    names: list[str]
    mode: Mode = "concurrency"


class IncrementWithLease(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `increment-with-lease`."""

    slots: Slots
    names: list[str]
    mode: Mode = "concurrency"
    lease_duration: LeaseSeconds = DEFAULT_LEASE_SECONDS
    holder: LeaseHolder | None = None


class Decrement(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `decrement`. `occupancy_seconds` is how long the slots were held."""

    slots: Slots
    names: list[str]
    occupancy_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None


class DecrementWithLease(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `decrement-with-lease`."""

    lease_id: uuid.UUID


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a renewal."""

    lease_duration: LeaseSeconds = DEFAULT_LEASE_SECONDS


class LeasedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `increment-with-lease`."""

    lease_id: uuid.UUID
    limits: list[MinimalConcurrencyLimit]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Slots of some limits, held until `expires` unless renewed or given back."""

    id: uuid.UUID
    created: dt.datetime
    expires: dt.datetime
    limit_ids: list[uuid.UUID]
    slots: int
    holder: LeaseHolder | None = None


# The older routes, which know limits by tag ------------------------------------------------------


class TagLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A tag's limit. `active_slots` are the task runs that hold its slots."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    tag: str
    concurrency_limit: int
    active_slots: list[uuid.UUID]


class TagLimitCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /concurrency_limits/`."""

    tag: LimitName
    concurrency_limit: Count


class TagSlots(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `increment` and `decrement`: one slot of each of these tags' limits."""

    names: list[str]
    task_run_id: uuid.UUID


class TagReset(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a reset: who holds slots from now on."""

    slot_override: list[uuid.UUID] | None = None
