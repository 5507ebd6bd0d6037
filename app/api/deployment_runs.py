"""Runs made from a deployment, one or many."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_parameter_size, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.api.provenance import author_of, client_of
from app.orchestration.deployment_runs import create_run, create_runs
from app.services import Services
from app.wire.base import utc_now
from app.wire.deployments import CreatedFlowRuns, DeploymentFlowRunCreate
from app.wire.runs import FlowRun

MAX_RUNS_AT_ONCE = 100

_CREATE = msgspec.json.Decoder(DeploymentFlowRunCreate)
_CREATE_MANY = msgspec.json.Decoder(list[DeploymentFlowRunCreate])


@post(
    "/deployments/{deployment_id:uuid}/create_flow_run",
    status_code=201,
    operation_class=takes(_CREATE, also=200),
)
async def create(
    deployment_id: UUID, request: Request[Any, Any, Any], services: Services
) -> Response[FlowRun]:
    """A new run, scheduled for now unless the body has a state: 201, or 200 with the run that has
    the idempotency key already."""
    body = await decode_body(request, _CREATE)
    check_parameter_size(body.parameters)
    run, created = await create_run(
        services.pool,
        deployment_id,
        body,
        author=author_of(request),
        changed_by=client_of(request).changed_by,
        now=utc_now(),
    )
    if created and run.state_id is not None:
        services.events.announce([run.state_id])
    return Response(run, status_code=201 if created else 200)


@post(
    "/deployments/{deployment_id:uuid}/create_flow_run/bulk",
    status_code=200,
    operation_class=takes(_CREATE_MANY),
)
async def create_many(
    deployment_id: UUID, request: Request[Any, Any, Any], services: Services
) -> CreatedFlowRuns:
    """Up to 100 new runs, and what became of each."""
    if not await request.body():
        raise InvalidRequest(["body"], "Field required", kind="missing")
    bodies = await decode_body(request, _CREATE_MANY)
    if len(bodies) > MAX_RUNS_AT_ONCE:
        raise HTTPException(
            status_code=400,
            detail=f"Cannot create more than {MAX_RUNS_AT_ONCE} flow runs at once.",
        )
    for body in bodies:
        check_parameter_size(body.parameters)
    results, told = await create_runs(
        services.pool,
        deployment_id,
        bodies,
        author=author_of(request),
        changed_by=client_of(request).changed_by,
        now=utc_now(),
    )
    services.events.announce(told)
    return CreatedFlowRuns(results=results)


ROUTES: list[ControllerRouterHandler] = [create, create_many]
