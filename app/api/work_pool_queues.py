"""The queues of a work pool, by name."""

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.orchestration.work_queues import (
    DefaultQueue,
    create_work_queue,
    delete_work_queue,
    update_work_queue,
)
from app.services import Services
from app.wire.base import utc_now
from app.wire.work_pools import WorkQueue, WorkQueueCreate, WorkQueueQuery, WorkQueueUpdate
from storage.errors import Conflict
from storage.postgres import work_queues
from storage.postgres.pool import connection
from storage.postgres.work_pools import read_pool

_create_decoder = msgspec.json.Decoder(WorkQueueCreate)
_update_decoder = msgspec.json.Decoder(WorkQueueUpdate)
_query_decoder = msgspec.json.Decoder(WorkQueueQuery)


@post(
    "/work_pools/{pool_name:str}/queues",
    status_code=201,
    operation_class=takes(_create_decoder),
)
async def create_queue(
    pool_name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> WorkQueue:
    """A new queue; 409 when the name is taken in the pool."""
    create = await decode_body(request, _create_decoder)
    try:
        made, event_ids = await create_work_queue(services.pool, pool_name, create, now=utc_now())
    except Conflict as error:
        raise HTTPException(
            status_code=409,
            detail=f"A work queue with this name already exists in work pool {pool_name!r}.",
        ) from error
    services.events.announce(event_ids)
    return made


@get("/work_pools/{pool_name:str}/queues/{name:str}")
async def read_queue(
    pool_name: FromPath[str], name: FromPath[str], services: NamedDependency[Services]
) -> WorkQueue:
    """One queue."""
    async with connection(services.pool) as conn:
        return await work_queues.read_queue_of_pool(conn, pool_name, name)


@post(
    "/work_pools/{pool_name:str}/queues/filter",
    status_code=200,
    operation_class=takes(_query_decoder),
)
async def filter_queues(
    pool_name: FromPath[str], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[WorkQueue]:
    """Queues of the pool that match, by priority."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        of_pool = await read_pool(conn, pool_name)
        return await work_queues.select_queues(conn, query, work_pool_id=of_pool.id)


@patch(
    "/work_pools/{pool_name:str}/queues/{name:str}",
    status_code=204,
    operation_class=takes(_update_decoder),
)
async def update_queue(
    pool_name: FromPath[str],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> None:
    """Change what the body names; who has the new priority moves back."""
    update = await decode_body(request, _update_decoder)
    async with connection(services.pool) as conn:
        queue = await work_queues.read_queue_of_pool(conn, pool_name, name)
    services.events.announce(await update_work_queue(services.pool, queue, update, now=utc_now()))


@delete("/work_pools/{pool_name:str}/queues/{name:str}", status_code=204)
async def delete_queue(
    pool_name: FromPath[str], name: FromPath[str], services: NamedDependency[Services]
) -> None:
    """Delete a queue; its deployments and runs stay without one."""
    async with connection(services.pool) as conn:
        queue = await work_queues.read_queue_of_pool(conn, pool_name, name)
    await delete_and_announce(services, queue)


async def delete_and_announce(services: Services, queue: WorkQueue) -> None:
    """Delete it; 409 when it is the default queue of its pool."""
    try:
        event_ids = await delete_work_queue(services.pool, queue, now=utc_now())
    except DefaultQueue as error:
        raise HTTPException(status_code=409, detail=str(error)) from error
    services.events.announce(event_ids)


ROUTES: list[ControllerRouterHandler] = [
    create_queue,
    read_queue,
    filter_queues,
    update_queue,
    delete_queue,
]
