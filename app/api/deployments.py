"""Deployments: make, read, change, pause, delete."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, check_parameter_size, decode_body
from app.api.documentation import takes
from app.api.provenance import author_of
from app.orchestration.deployments import (
    apply_deployment,
    delete_deployments,
    set_paused,
    update_deployment,
)
from app.services import Services
from app.wire.base import utc_now
from app.wire.deployments import (
    DeletedDeployments,
    Deployment,
    DeploymentBulkDelete,
    DeploymentCreate,
    DeploymentPage,
    DeploymentUpdate,
)
from app.wire.filters import DeploymentPageQuery, DeploymentQuery, Selection
from app.wire.work_pools import WorkQueue
from storage.errors import NotFound
from storage.postgres import deployments
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(DeploymentCreate)
_UPDATE = msgspec.json.Decoder(DeploymentUpdate)
_QUERY = msgspec.json.Decoder(DeploymentQuery)
_PAGE_QUERY = msgspec.json.Decoder(DeploymentPageQuery)
_SELECTION = msgspec.json.Decoder(Selection)
_BULK_DELETE = msgspec.json.Decoder(DeploymentBulkDelete)


@post("/deployments/", status_code=201, operation_class=takes(_CREATE, also=200))
async def create(request: Request[Any, Any, Any], services: Services) -> Response[Deployment]:
    """The deployment of that flow and name, as the body says: 201 when it was made now, 200 when
    it was known."""
    body = await decode_body(request, _CREATE)
    check_parameter_size(body.parameters)
    deployment, created, told = await apply_deployment(
        services.pool, body, author=author_of(request), now=utc_now()
    )
    services.events.announce(told)
    return Response(deployment, status_code=201 if created else 200)


@get("/deployments/{deployment_id:uuid}")
async def read(deployment_id: UUID, services: Services) -> Deployment:
    """One deployment."""
    async with connection(services.pool) as conn:
        return await deployments.read_deployment(conn, deployment_id)


@get("/deployments/name/{flow_name:str}/{deployment_name:str}")
async def read_by_name(flow_name: str, deployment_name: str, services: Services) -> Deployment:
    """The deployment of that name of the flow of that name."""
    async with connection(services.pool) as conn:
        return await deployments.read_deployment_by_name(conn, flow_name, deployment_name)


@patch("/deployments/{deployment_id:uuid}", status_code=204, operation_class=takes(_UPDATE))
async def update(deployment_id: UUID, request: Request[Any, Any, Any], services: Services) -> None:
    """Change what the body says; runs that wait for its schedules are made anew."""
    body = await decode_body(request, _UPDATE)
    check_parameter_size(body.parameters)
    told = await update_deployment(services.pool, deployment_id, body, now=utc_now())
    services.events.announce(told)


@delete("/deployments/{deployment_id:uuid}", status_code=204)
async def delete_one(deployment_id: UUID, services: Services) -> None:
    """Delete a deployment with its schedules and the runs that nobody started."""
    deleted, told = await delete_deployments(services.pool, [deployment_id], now=utc_now())
    if not deleted:
        raise NotFound("Deployment not found")
    services.events.announce(told)


@post("/deployments/bulk_delete", status_code=200, operation_class=takes(_BULK_DELETE))
async def delete_many(request: Request[Any, Any, Any], services: Services) -> DeletedDeployments:
    """Delete the first deployments, by name, that match."""
    body = await decode_body(request, _BULK_DELETE)
    query = DeploymentQuery(deployments=body.deployments, limit=body.limit)
    async with connection(services.pool) as conn:
        found = await deployments.select_deployments(conn, query)
    deleted, told = await delete_deployments(
        services.pool, [each.id for each in found], now=utc_now()
    )
    services.events.announce(told)
    return DeletedDeployments(deleted=deleted)


@post("/deployments/filter", status_code=200, operation_class=takes(_QUERY))
async def filter_deployments(
    request: Request[Any, Any, Any], services: Services
) -> list[Deployment]:
    """Deployments that match."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await deployments.select_deployments(conn, query)


@post("/deployments/paginate", status_code=200, operation_class=takes(_PAGE_QUERY))
async def paginate(request: Request[Any, Any, Any], services: Services) -> DeploymentPage:
    """A page of the deployments that match, and how many there are."""
    query = await decode_body(request, _PAGE_QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await deployments.page_of_deployments(conn, query)


@post("/deployments/count", status_code=200, operation_class=takes(_SELECTION))
async def count(request: Request[Any, Any, Any], services: Services) -> int:
    """How many deployments match."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await deployments.count_deployments(conn, selection)


@post("/deployments/{deployment_id:uuid}/resume_deployment", status_code=200)
async def resume(deployment_id: UUID, services: Services) -> None:
    """Let its schedules make runs again."""
    services.events.announce(
        await set_paused(services.pool, deployment_id, paused=False, now=utc_now())
    )


@post("/deployments/{deployment_id:uuid}/pause_deployment", status_code=200)
async def pause(deployment_id: UUID, services: Services) -> None:
    """Stop its schedules, and take back the runs they made that nobody started."""
    services.events.announce(
        await set_paused(services.pool, deployment_id, paused=True, now=utc_now())
    )


@get("/deployments/{deployment_id:uuid}/work_queue_check")
async def check_work_queues(deployment_id: UUID, services: Services) -> list[WorkQueue]:
    """The queues that would pick up its runs by their filters, as old agents do."""
    async with connection(services.pool) as conn:
        await deployments.read_deployment(conn, deployment_id)
        return await deployments.queues_picking(conn, deployment_id)


ROUTES: list[ControllerRouterHandler] = [
    create,
    read,
    read_by_name,
    update,
    delete_one,
    delete_many,
    filter_deployments,
    paginate,
    count,
    resume,
    pause,
    check_work_queues,
]
