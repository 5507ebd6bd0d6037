"""Concurrency limits: their slots, with and without a lease."""

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.telling import telling
from app.orchestration.concurrency import (
    Granted,
    Impossible,
    give_back,
    give_back_lease,
    lease_slots,
    take_slots,
)
from app.orchestration.object_events import limit_event
from app.rules.concurrency import Denied, jittered
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.concurrency import (
    FIRST_OCCUPANCY_SECONDS,
    ConcurrencyLimit,
    ConcurrencyLimitCreate,
    ConcurrencyLimitUpdate,
    Decrement,
    DecrementWithLease,
    GlobalConcurrencyLimit,
    Increment,
    IncrementWithLease,
    LeasedLimits,
    LimitQuery,
    MinimalConcurrencyLimit,
    Renewal,
)
from storage.errors import NotFound
from storage.postgres import concurrency
from storage.postgres.pool import connection, transaction

_create_decoder = msgspec.json.Decoder(ConcurrencyLimitCreate)
_update_decoder = msgspec.json.Decoder(ConcurrencyLimitUpdate)
_query_decoder = msgspec.json.Decoder(LimitQuery)
_increment_decoder = msgspec.json.Decoder(Increment)
_increment_with_lease_decoder = msgspec.json.Decoder(IncrementWithLease)
_decrement_decoder = msgspec.json.Decoder(Decrement)
_decrement_with_lease_decoder = msgspec.json.Decoder(DecrementWithLease)
_renewal_decoder = msgspec.json.Decoder(Renewal)


@post("/v2/concurrency_limits/", status_code=201, operation_class=takes(_create_decoder))
async def create_limit(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> ConcurrencyLimit:
    """A new limit; 409 when the name is taken."""
    create = await decode_body(request, _create_decoder)
    now = utc_now()
    limit = ConcurrencyLimit(
        id=new_id(),
        created=now,
        updated=now,
        active=create.active,
        name=create.name,
        limit=create.limit,
        active_slots=create.active_slots,
        denied_slots=create.denied_slots,
        slot_decay_per_second=create.slot_decay_per_second,
        avg_slot_occupancy_seconds=FIRST_OCCUPANCY_SECONDS,
    )
    async with telling(services) as (conn, events):
        await concurrency.insert_limit(conn, limit)
        events.append(limit_event("created", limit, now=now))
    return limit


def _which(id_or_name: str) -> tuple[UUID | None, str | None]:
    try:
        return UUID(id_or_name), None
    except ValueError:
        return None, id_or_name


@get("/v2/concurrency_limits/{id_or_name:str}")
async def read_limit(
    id_or_name: FromPath[str], services: NamedDependency[Services]
) -> GlobalConcurrencyLimit:
    """One limit."""
    id, name = _which(id_or_name)
    async with connection(services.pool) as conn:
        limit = await concurrency.read_limit(conn, id=id, name=name)
    if limit is None:
        raise NotFound("Concurrency Limit not found")
    return _global(limit)


@patch(
    "/v2/concurrency_limits/{id_or_name:str}",
    status_code=204,
    operation_class=takes(_update_decoder),
)
async def update_limit(
    id_or_name: FromPath[str],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> None:
    """Change what the body names, the slots in use too."""
    update = await decode_body(request, _update_decoder)
    id, name = _which(id_or_name)
    now = utc_now()
    async with telling(services) as (conn, events):
        limits = await concurrency.lock_limits(
            conn, names=[name] if name is not None else [], ids=[id] if id is not None else []
        )
        if not limits:
            raise NotFound("Concurrency Limit not found")
        changes = {
            field: value
            for field in update.__struct_fields__
            if (value := getattr(update, field)) is not msgspec.UNSET
        }
        changed = msgspec.structs.replace(limits[0], updated=now, **changes)
        await concurrency.write_limits(conn, [changed])
        events.append(limit_event("updated", changed, now=now))


@delete("/v2/concurrency_limits/{id_or_name:str}")
async def delete_limit(id_or_name: FromPath[str], services: NamedDependency[Services]) -> None:
    """Delete it."""
    id, name = _which(id_or_name)
    async with telling(services) as (conn, events):
        gone = await concurrency.read_limit(conn, id=id, name=name)
        await concurrency.delete_limit(conn, id=id, name=name)
        if gone is not None:
            events.append(limit_event("deleted", gone, now=utc_now()))


@post("/v2/concurrency_limits/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_limits(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[GlobalConcurrencyLimit]:
    """A page of all limits, by name."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        limits = await concurrency.select_limits(conn, limit=query.limit, offset=query.offset)
    return [_global(limit) for limit in limits]


@post(
    "/v2/concurrency_limits/increment", status_code=200, operation_class=takes(_increment_decoder)
)
async def increment(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[MinimalConcurrencyLimit]:
    """Take slots of all limits named, or of none: 423 says when to ask again."""
    body = await decode_body(request, _increment_decoder)
    async with transaction(services.pool) as conn:
        outcome = await take_slots(conn, body.names, body.slots, body.mode, now=utc_now())
    return _minimal(_granted(outcome).limits)


@post(
    "/v2/concurrency_limits/increment-with-lease",
    status_code=200,
    operation_class=takes(_increment_with_lease_decoder),
)
async def increment_with_lease(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> LeasedLimits:
    """The same, under a lease that gives the slots back unless it is renewed."""
    body = await decode_body(request, _increment_with_lease_decoder)
    now = utc_now()
    lease = None
    async with transaction(services.pool) as conn:
        outcome = await take_slots(conn, body.names, body.slots, body.mode, now=now)
        if isinstance(outcome, Granted):
            lease = await lease_slots(
                conn,
                outcome,
                body.slots,
                duration=dt.timedelta(seconds=body.lease_duration),
                holder=body.holder,
                now=now,
            )
    limits = _minimal(_granted(outcome).limits)
    assert lease is not None
    return LeasedLimits(lease_id=lease.id, limits=limits)


@post(
    "/v2/concurrency_limits/decrement", status_code=200, operation_class=takes(_decrement_decoder)
)
async def decrement(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[MinimalConcurrencyLimit]:
    """Give slots back."""
    body = await decode_body(request, _decrement_decoder)
    async with transaction(services.pool) as conn:
        limits = await give_back(
            conn, body.names, body.slots, body.occupancy_seconds, now=utc_now()
        )
    return _minimal(limits)


@post(
    "/v2/concurrency_limits/decrement-with-lease",
    status_code=204,
    operation_class=takes(_decrement_with_lease_decoder),
)
async def decrement_with_lease(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """End a lease and give its slots back; a lease that is gone is no error."""
    body = await decode_body(request, _decrement_with_lease_decoder)
    async with transaction(services.pool) as conn:
        await give_back_lease(conn, body.lease_id, now=utc_now())


@post(
    "/v2/concurrency_limits/leases/{lease_id:uuid}/renew",
    status_code=204,
    operation_class=takes(_renewal_decoder),
)
async def renew_lease(
    lease_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> None:
    """Let a lease last longer from now; 410 when it is gone."""
    body = await decode_body(request, _renewal_decoder)
    expires = utc_now() + dt.timedelta(seconds=body.lease_duration)
    async with connection(services.pool) as conn:
        if not await concurrency.renew_lease(conn, lease_id, expires):
            raise HTTPException(
                status_code=410, detail="Lease not found - it may have expired or been revoked"
            )


def _granted(outcome: Granted | Denied | Impossible) -> Granted:
    # Called after the commit: what was denied has been counted.
    if isinstance(outcome, Impossible):
        raise HTTPException(status_code=422, detail=outcome.reason)
    if isinstance(outcome, Denied):
        seconds = jittered(outcome.retry_after, random.random())
        raise HTTPException(
            status_code=423, detail="Locked", headers={"Retry-After": f"{seconds:.3f}"}
        )
    return outcome


def _global(limit: ConcurrencyLimit) -> GlobalConcurrencyLimit:
    return GlobalConcurrencyLimit(
        id=limit.id,
        created=limit.created,
        updated=limit.updated,
        active=limit.active,
        name=limit.name,
        limit=limit.limit,
        active_slots=limit.active_slots,
        slot_decay_per_second=limit.slot_decay_per_second,
    )


def _minimal(limits: Sequence[ConcurrencyLimit]) -> list[MinimalConcurrencyLimit]:
    return [
        MinimalConcurrencyLimit(id=limit.id, name=limit.name, limit=limit.limit) for limit in limits
    ]


ROUTES: list[ControllerRouterHandler] = [
    create_limit,
    read_limit,
    update_limit,
    delete_limit,
    read_limits,
    increment,
    increment_with_lease,
    decrement,
    decrement_with_lease,
    renew_lease,
]
