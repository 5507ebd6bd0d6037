"""Work queues of all pools by id, and those of the old agents' pool by name."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.work_pool_queues import delete_and_announce
from app.orchestration.work_queues import create_work_queue, update_work_queue
from app.services import Services
from app.wire.base import utc_now
from app.wire.work_pools import (
    DEFAULT_AGENT_POOL,
    HealthCheckPolicy,
    QueueConcurrencyQuery,
    QueueConcurrencyStatus,
    QueueStatusDetail,
    WorkQueue,
    WorkQueueCreate,
    WorkQueueQuery,
    WorkQueueUpdate,
)
from storage.errors import Conflict, NotFound
from storage.postgres import queue_slots, work_queues
from storage.postgres.flows import pages_of
from storage.postgres.pool import Conn, connection, snapshot

_create_decoder = msgspec.json.Decoder(WorkQueueCreate)
_update_decoder = msgspec.json.Decoder(WorkQueueUpdate)
_query_decoder = msgspec.json.Decoder(WorkQueueQuery)
_concurrency_decoder = msgspec.json.Decoder(QueueConcurrencyQuery)

_NOT_FOUND = "work queue not found"


@post("/work_queues/", status_code=201, operation_class=takes(_create_decoder))
async def create_queue(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> WorkQueue:
    """A new queue of the old agents' pool; 409 when the name is taken there."""
    create = await decode_body(request, _create_decoder)
    try:
        made, event_ids = await create_work_queue(services.pool, None, create, now=utc_now())
    except Conflict as error:
        raise HTTPException(
            status_code=409, detail="A work queue with this name already exists."
        ) from error
    services.events.announce(event_ids)
    return made


@get("/work_queues/{id:uuid}")
async def read_queue(id: FromPath[UUID], services: NamedDependency[Services]) -> WorkQueue:
    """One queue."""
    async with connection(services.pool) as conn:
        return await _found(conn, id, _NOT_FOUND)


@get("/work_queues/name/{name:str}")
async def read_queue_by_name(name: FromPath[str], services: NamedDependency[Services]) -> WorkQueue:
    """The queue of that name in the old agents' pool."""
    async with connection(services.pool) as conn:
        try:
            return await work_queues.read_queue_of_pool(conn, DEFAULT_AGENT_POOL, name)
        except NotFound as error:
            raise NotFound(_NOT_FOUND) from error


@post("/work_queues/filter", status_code=200, operation_class=takes(_query_decoder))
async def filter_queues(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[WorkQueue]:
    """Queues of all pools that match, by name."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await work_queues.select_queues(conn, query)


@patch("/work_queues/{id:uuid}", status_code=204, operation_class=takes(_update_decoder))
async def update_queue(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names; who has the new priority moves back."""
    update = await decode_body(request, _update_decoder)
    async with connection(services.pool) as conn:
        queue = await _found(conn, id, f"Work Queue {id} not found")
    services.events.announce(await update_work_queue(services.pool, queue, update, now=utc_now()))


@delete("/work_queues/{id:uuid}", status_code=204)
async def delete_queue(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete a queue; its deployments and runs stay without one."""
    async with connection(services.pool) as conn:
        queue = await _found(conn, id, _NOT_FOUND)
    await delete_and_announce(services, queue)


@get("/work_queues/{id:uuid}/status")
async def read_status(
    id: FromPath[UUID], services: NamedDependency[Services]
) -> Response[QueueStatusDetail | dict[str, str]]:
    """Whether a queue is healthy: polled within a minute, and no run of it late."""
    policy = HealthCheckPolicy()
    async with connection(services.pool) as conn:
        queue = await work_queues.read_queue(conn, id)
        if queue is None:
            reason = f"Work queue with id {id} not found"
            return Response({"exception_message": reason}, status_code=404)
        late = await queue_slots.count_late_runs(conn, id)
    polled = queue.last_polled is not None and (
        queue.last_polled >= utc_now() - work_queues.POLLED_WITHIN
    )
    return Response(
        QueueStatusDetail(
            healthy=polled and late <= (policy.maximum_late_runs or 0),
            late_runs_count=late,
            last_polled=queue.last_polled,
            health_check_policy=policy,
        )
    )


@post(
    "/work_queues/{id:uuid}/concurrency_status",
    status_code=200,
    operation_class=takes(_concurrency_decoder),
)
async def read_concurrency_status(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> QueueConcurrencyStatus:
    """How full a queue is, and a page of the runs that take up its room."""
    query = await decode_body(request, _concurrency_decoder)
    check_limit(query.limit)
    async with snapshot(services.pool) as conn:
        queue = await _found(conn, id, "Work queue not found.")
        count = await queue_slots.count_slot_holders_of_queue(conn, id)
        offset = (query.page - 1) * query.limit
        holders = await queue_slots.slot_holders_of_queue(
            conn, id, limit=query.limit, offset=offset, now=utc_now()
        )
    return QueueConcurrencyStatus(
        active_slots=count,
        concurrency_limit=queue.concurrency_limit,
        flow_runs=holders,
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )


async def _found(conn: Conn, id: UUID, otherwise: str) -> WorkQueue:
    queue = await work_queues.read_queue(conn, id)
    if queue is None:
        raise NotFound(otherwise)
    return queue


ROUTES: list[ControllerRouterHandler] = [
    create_queue,
    read_queue,
    read_queue_by_name,
    filter_queues,
    update_queue,
    delete_queue,
    read_status,
    read_concurrency_status,
]
