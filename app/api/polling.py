"""What workers, old agents and processes that serve deployments ask for every few seconds."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.orchestration.polling import poll_deployments, poll_pool, poll_queue
from app.services import Services
from app.wire.base import utc_now
from app.wire.runs import FlowRun
from app.wire.work_pools import DeploymentPoll, PoolPoll, QueuePoll, WorkerFlowRun
from storage.postgres.pool import connection
from storage.postgres.work_queues import read_queue

_pool_decoder = msgspec.json.Decoder(PoolPoll)
_queue_decoder = msgspec.json.Decoder(QueuePoll)
_deployments_decoder = msgspec.json.Decoder(DeploymentPoll)


def _is_from_ui(request: Request[Any, Any, Any]) -> bool:
    """The UI asks in order to show what waits; it is no poller."""
    return request.headers.get("x-prefect-ui", "").lower() in ("true", "1", "yes", "on")


@post(
    "/work_pools/{name:str}/get_scheduled_flow_runs",
    status_code=200,
    operation_class=takes(_pool_decoder),
)
async def get_runs_of_pool(
    name: FromPath[str],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> list[WorkerFlowRun]:
    """Runs for a worker, by the priority of their queue, then by time."""
    poll = await decode_body(request, _pool_decoder)
    check_limit(poll.limit)
    runs, event_ids = await poll_pool(
        services.pool, name, poll, only_look=_is_from_ui(request), now=utc_now()
    )
    services.events.announce(event_ids)
    return runs


@post("/work_queues/{id:uuid}/get_runs", status_code=200, operation_class=takes(_queue_decoder))
async def get_runs_of_queue(
    id: FromPath[UUID],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> Response[list[FlowRun] | dict[str, str]]:
    """Runs for an old agent, or for the page that shows what waits in a queue."""
    poll = await decode_body(request, _queue_decoder)
    check_limit(poll.limit)
    async with connection(services.pool) as conn:
        queue = await read_queue(conn, id)
    if queue is None:
        reason = f"Work queue with id {id} not found."
        return Response({"exception_message": reason}, status_code=404)
    runs, event_ids = await poll_queue(
        services.pool, queue, poll, only_look=_is_from_ui(request), now=utc_now()
    )
    services.events.announce(event_ids)
    return Response(runs)


@post(
    "/deployments/get_scheduled_flow_runs",
    status_code=200,
    operation_class=takes(_deployments_decoder),
)
async def get_runs_of_deployments(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[FlowRun]:
    """Runs for a process that serves deployments, by time."""
    poll = await decode_body(request, _deployments_decoder)
    check_limit(poll.limit)
    runs, event_ids = await poll_deployments(services.pool, poll, now=utc_now())
    services.events.announce(event_ids)
    return runs


ROUTES: list[ControllerRouterHandler] = [
    get_runs_of_pool,
    get_runs_of_queue,
    get_runs_of_deployments,
]
