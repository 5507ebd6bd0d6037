"""Work pools and how full they are."""

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.orchestration.work_pools import create_work_pool, delete_work_pool, update_work_pool
from app.rules.job_templates import why_unusable
from app.rules.pool_names import is_reserved
from app.services import Services
from app.wire.base import Json, utc_now
from app.wire.work_pools import (
    PoolConcurrencyQuery,
    PoolConcurrencyStatus,
    WorkPool,
    WorkPoolCreate,
    WorkPoolQuery,
    WorkPoolSelection,
    WorkPoolUpdate,
    WorkQueueQuery,
)
from storage.errors import Conflict, NotFound
from storage.postgres import queue_slots, work_pools
from storage.postgres.flows import pages_of
from storage.postgres.pool import connection, snapshot
from storage.postgres.work_queues import select_queues

_create_decoder = msgspec.json.Decoder(WorkPoolCreate)
_update_decoder = msgspec.json.Decoder(WorkPoolUpdate)
_query_decoder = msgspec.json.Decoder(WorkPoolQuery)
_selection_decoder = msgspec.json.Decoder(WorkPoolSelection)
_concurrency_decoder = msgspec.json.Decoder(PoolConcurrencyQuery)

_RESERVED = "Work pools starting with 'Prefect' are reserved for internal use"
# What may be changed of a pool with a reserved name.
_CHANGEABLE_OF_RESERVED = frozenset({"is_paused", "concurrency_limit"})


@post("/work_pools/", status_code=201, operation_class=takes(_create_decoder))
async def create_pool(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> WorkPool:
    """A new pool, with its default queue; 409 when the name is taken."""
    create = await decode_body(request, _create_decoder)
    if is_reserved(create.name):
        raise HTTPException(status_code=403, detail=f"{_RESERVED}.")
    _check_template(create.base_job_template)
    try:
        made, event_ids = await create_work_pool(services.pool, create, now=utc_now())
    except Conflict as error:
        raise HTTPException(
            status_code=409, detail="A work pool with this name already exists."
        ) from error
    services.events.announce(event_ids)
    return made


@get("/work_pools/{name:str}")
async def read_pool(name: FromPath[str], services: NamedDependency[Services]) -> WorkPool:
    """One pool."""
    async with connection(services.pool) as conn:
        return await work_pools.read_pool(conn, name)


@post("/work_pools/filter", status_code=200, operation_class=takes(_query_decoder))
async def filter_pools(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[WorkPool]:
    """Pools that match, by name."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await work_pools.select_pools(conn, query)


@post("/work_pools/count", status_code=200, operation_class=takes(_selection_decoder))
async def count_pools(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> int:
    """How many pools match."""
    selection = await decode_body(request, _selection_decoder)
    async with connection(services.pool) as conn:
        return await work_pools.count_pools(conn, selection)


@patch("/work_pools/{name:str}", status_code=204, operation_class=takes(_update_decoder))
async def update_pool(
    name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names."""
    update = await decode_body(request, _update_decoder)
    if is_reserved(name) and not _named_fields(update) <= _CHANGEABLE_OF_RESERVED:
        raise HTTPException(
            status_code=403,
            detail=f"{_RESERVED} and can only be updated to set concurrency limits or pause.",
        )
    if update.base_job_template is not msgspec.UNSET:
        _check_template(update.base_job_template)
    services.events.announce(await update_work_pool(services.pool, name, update, now=utc_now()))


@delete("/work_pools/{name:str}", status_code=204)
async def delete_pool(name: FromPath[str], services: NamedDependency[Services]) -> None:
    """Delete a pool with its queues and workers; its deployments and runs stay."""
    if is_reserved(name):
        raise HTTPException(status_code=403, detail=f"{_RESERVED} and can not be deleted.")
    services.events.announce(await delete_work_pool(services.pool, name, now=utc_now()))


@post(
    "/work_pools/{name:str}/concurrency_status",
    status_code=200,
    operation_class=takes(_concurrency_decoder),
)
async def read_concurrency_status(
    name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> PoolConcurrencyStatus:
    """How full a pool is, and which runs take up the room of its queues."""
    query = await decode_body(request, _concurrency_decoder)
    check_limit(query.limit)
    offset = (query.page - 1) * query.limit
    async with snapshot(services.pool) as conn:
        try:
            of_pool = await work_pools.read_pool(conn, name)
        except NotFound as error:
            raise HTTPException(status_code=404, detail=f"Work pool {name!r} not found.") from error
        active_slots, count = await queue_slots.slots_and_queues_of_pool(conn, of_pool.id)
        page = WorkQueueQuery(limit=query.limit, offset=offset)
        queues = await select_queues(conn, page, work_pool_id=of_pool.id)
        slots = await queue_slots.slots_of_queues(
            conn,
            [queue.id for queue in queues],
            runs_per_queue=query.flow_run_limit,
            now=utc_now(),
        )
    return PoolConcurrencyStatus(
        active_slots=active_slots,
        concurrency_limit=of_pool.concurrency_limit,
        queues=slots,
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )


def _named_fields(update: WorkPoolUpdate) -> set[str]:
    return {
        field for field in update.__struct_fields__ if getattr(update, field) is not msgspec.UNSET
    }


def _check_template(template: Json) -> None:
    reason = why_unusable(template)
    if reason is not None:
        raise InvalidRequest(["body", "base_job_template"], f"Value error, {reason}")


ROUTES: list[ControllerRouterHandler] = [
    create_pool,
    read_pool,
    filter_pools,
    count_pools,
    update_pool,
    delete_pool,
    read_concurrency_status,
]
