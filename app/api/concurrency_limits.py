"""Limits by tag, the older routes: the same limits under `tag:{tag}`."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.telling import telling
from app.orchestration import tag_limits
from app.orchestration.object_events import limit_event
from app.orchestration.tag_limits import TagFull
from app.rules.concurrency import MAX_TAG_WAIT_SECONDS, TAG_PREFIX
from app.services import Services
from app.wire.base import utc_now
from app.wire.concurrency import (
    LimitQuery,
    MinimalConcurrencyLimit,
    TagLimit,
    TagLimitCreate,
    TagReset,
    TagSlots,
)
from storage.postgres import concurrency
from storage.postgres.pool import connection, transaction

_create_decoder = msgspec.json.Decoder(TagLimitCreate)
_query_decoder = msgspec.json.Decoder(LimitQuery)
_slots_decoder = msgspec.json.Decoder(TagSlots)
_reset_decoder = msgspec.json.Decoder(TagReset)


@post("/concurrency_limits/", status_code=201, operation_class=takes(_create_decoder, also=200))
async def put_tag_limit(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Response[TagLimit]:
    """Set a tag's limit: 201 when it is new, else 200."""
    create = await decode_body(request, _create_decoder)
    now = utc_now()
    async with telling(services) as (conn, events):
        limit, new = await tag_limits.put_tag_limit(
            conn, create.tag, create.concurrency_limit, now=now
        )
        kept = await concurrency.read_limit(conn, id=limit.id)
        if kept is not None:
            events.append(limit_event("created" if new else "updated", kept, now=now))
    return Response(limit, status_code=201 if new else 200)


@get("/concurrency_limits/{id:uuid}")
async def read_tag_limit(id: FromPath[UUID], services: NamedDependency[Services]) -> TagLimit:
    """One tag's limit."""
    async with connection(services.pool) as conn:
        return await tag_limits.read_tag_limit(conn, id=id)


@get("/concurrency_limits/tag/{tag:str}")
async def read_limit_of_tag(tag: FromPath[str], services: NamedDependency[Services]) -> TagLimit:
    """One tag's limit."""
    async with connection(services.pool) as conn:
        return await tag_limits.read_tag_limit(conn, tag=tag)


@delete("/concurrency_limits/{id:uuid}", status_code=200)
async def delete_tag_limit(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it; its slots are nobody's then."""
    await _delete(services, id=id)


@delete("/concurrency_limits/tag/{tag:str}", status_code=200)
async def delete_limit_of_tag(tag: FromPath[str], services: NamedDependency[Services]) -> None:
    """Delete it; its slots are nobody's then."""
    await _delete(services, tag=tag)


async def _delete(services: Services, *, id: UUID | None = None, tag: str | None = None) -> None:
    async with telling(services) as (conn, events):
        name = TAG_PREFIX + tag if tag is not None else None
        gone = await concurrency.read_limit(conn, id=id, name=name)
        await tag_limits.delete_tag_limit(conn, id=id, tag=tag)
        if gone is not None:
            events.append(limit_event("deleted", gone, now=utc_now()))


@post("/concurrency_limits/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_tag_limits(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[TagLimit]:
    """A page of the tags' limits."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await tag_limits.select_tag_limits(conn, limit=query.limit, offset=query.offset)


@post(
    "/concurrency_limits/tag/{tag:str}/reset",
    status_code=200,
    operation_class=takes(_reset_decoder),
)
async def reset_tag_limit(
    tag: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Let just the task runs of the body hold slots, or none."""
    body = await decode_body(request, _reset_decoder)
    async with transaction(services.pool) as conn:
        await tag_limits.reset_tag_limit(conn, tag, body.slot_override or [], now=utc_now())


@post("/concurrency_limits/increment", status_code=200, operation_class=takes(_slots_decoder))
async def increment_tags(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[MinimalConcurrencyLimit]:
    """One slot of each of these tags, or of none: 423 says when to ask again."""
    body = await decode_body(request, _slots_decoder)
    async with transaction(services.pool) as conn:
        taken = await tag_limits.take_tag_slots(conn, body.names, body.task_run_id, now=utc_now())
    if isinstance(taken, TagFull):
        detail = (
            f"The concurrency limit on tag {taken.tag!r} is 0: the task run would wait for ever."
            if taken.limit == 0
            else f"Concurrency limit for the {taken.tag} tag has been reached"
        )
        raise HTTPException(
            status_code=423, detail=detail, headers={"Retry-After": str(MAX_TAG_WAIT_SECONDS)}
        )
    return [
        MinimalConcurrencyLimit(
            id=limit.id, name=limit.name.removeprefix(TAG_PREFIX), limit=limit.limit
        )
        for limit in taken
    ]


@post("/concurrency_limits/decrement", status_code=200, operation_class=takes(_slots_decoder))
async def decrement_tags(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[MinimalConcurrencyLimit]:
    """Give back what the task run holds of these tags."""
    body = await decode_body(request, _slots_decoder)
    async with transaction(services.pool) as conn:
        limits = await tag_limits.give_back_tag_slots(
            conn, body.names, body.task_run_id, now=utc_now()
        )
    return [
        MinimalConcurrencyLimit(id=limit.id, name=limit.name, limit=limit.limit) for limit in limits
    ]


ROUTES: list[ControllerRouterHandler] = [
    put_tag_limit,
    read_tag_limit,
    read_limit_of_tag,
    delete_tag_limit,
    delete_limit_of_tag,
    read_tag_limits,
    reset_tag_limit,
    increment_tags,
    decrement_tags,
]
