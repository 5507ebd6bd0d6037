"""Flow runs: make, read, change, delete, and propose states."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, check_parameter_size, decode_body
from app.api.documentation import takes
from app.api.provenance import author_of, client_of
from app.orchestration.deletion import delete_flow_runs
from app.orchestration.resuming import resume_flow_run
from app.orchestration.submission import create_flow_run
from app.orchestration.transition import set_flow_run_state
from app.rules import flow_policy
from app.services import Services
from app.wire.base import Json, Labels, utc_now
from app.wire.filters import FlowRunPageQuery, FlowRunQuery, Selection
from app.wire.flow_run_pages import FlowRunsPage, FlowRunsQuery
from app.wire.results import OrchestrationResult
from app.wire.runs import FlowRun, FlowRunCreate, FlowRunPage, FlowRunUpdate, Resume, SetState
from storage.errors import NotFound
from storage.postgres import flow_runs
from storage.postgres.flow_run_pages import read_page
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(FlowRunCreate)
_UPDATE = msgspec.json.Decoder(FlowRunUpdate)
_QUERY = msgspec.json.Decoder(FlowRunQuery)
_PAGE_QUERY = msgspec.json.Decoder(FlowRunPageQuery)
_RUNS_QUERY = msgspec.json.Decoder(FlowRunsQuery)
_SELECTION = msgspec.json.Decoder(Selection)
_SET_STATE = msgspec.json.Decoder(SetState)
_RESUME = msgspec.json.Decoder(Resume)
_LABELS = msgspec.json.Decoder(Labels)


@post("/flow_runs/", status_code=201, operation_class=takes(_CREATE, also=200))
async def create(request: Request[Any, Any, Any], services: Services) -> Response[FlowRun]:
    """A new run: 201, or 200 with the run that has the idempotency key already."""
    body = await decode_body(request, _CREATE)
    check_parameter_size(body.parameters)
    run, created = await create_flow_run(
        services.pool,
        body,
        author=author_of(request),
        changed_by=client_of(request).changed_by,
        now=utc_now(),
    )
    if created and run.state_id is not None:
        services.events.announce([run.state_id])
    return Response(run, status_code=201 if created else 200)


@get("/flow_runs/{flow_run_id:uuid}")
async def read(flow_run_id: UUID, services: Services) -> FlowRun:
    """One run with its current state."""
    async with connection(services.pool) as conn:
        return await flow_runs.read_flow_run(conn, flow_run_id, now=utc_now())


@patch("/flow_runs/{flow_run_id:uuid}", status_code=204, operation_class=takes(_UPDATE))
async def update(flow_run_id: UUID, request: Request[Any, Any, Any], services: Services) -> None:
    """Change a run, but for its state. Job variables change only while it waits to be started."""
    body = await decode_body(request, _UPDATE)
    check_parameter_size(body.parameters)
    now = utc_now()
    async with connection(services.pool) as conn:
        if body.job_variables is not msgspec.UNSET:
            run = await flow_runs.read_flow_run(conn, flow_run_id, now=now)
            if run.state_type != "SCHEDULED":
                raise HTTPException(
                    status_code=400,
                    detail=f"Job variables for a flow run in state {run.state_type}"
                    " cannot be updated",
                )
            if run.deployment_id is None:
                raise HTTPException(
                    status_code=400,
                    detail="Job variables for a flow run without a deployment cannot be updated",
                )
        await flow_runs.update_flow_run(conn, flow_run_id, body, now=now)


@patch("/flow_runs/{flow_run_id:uuid}/labels", status_code=204, operation_class=takes(_LABELS))
async def update_labels(
    flow_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> None:
    """Merge labels into those of the run."""
    labels = await decode_body(request, _LABELS)
    async with connection(services.pool) as conn:
        await flow_runs.merge_flow_run_labels(conn, flow_run_id, labels, now=utc_now())


@delete("/flow_runs/{flow_run_id:uuid}", status_code=204)
async def delete_run(flow_run_id: UUID, services: Services) -> None:
    """Delete a run with its task runs and its logs."""
    if not await delete_flow_runs(services.pool, [flow_run_id], now=utc_now()):
        raise NotFound("Flow run not found")


@post("/flow_runs/filter", status_code=200, operation_class=takes(_QUERY))
async def filter_runs(request: Request[Any, Any, Any], services: Services) -> list[FlowRun]:
    """Runs that match."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await flow_runs.select_flow_runs(conn, query, now=utc_now())


@post("/flow_runs/paginate", status_code=200, operation_class=takes(_PAGE_QUERY))
async def paginate(request: Request[Any, Any, Any], services: Services) -> FlowRunPage:
    """A page of the runs that match, and how many there are."""
    query = await decode_body(request, _PAGE_QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await flow_runs.page_of_flow_runs(conn, query, now=utc_now())


@post("/flow_runs/count", status_code=200, operation_class=takes(_SELECTION))
async def count(request: Request[Any, Any, Any], services: Services) -> int:
    """How many runs match."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await flow_runs.count_flow_runs(conn, selection)


@post("/tailrace/flow_runs", status_code=200, operation_class=takes(_RUNS_QUERY))
async def page_through(request: Request[Any, Any, Any], services: Services) -> FlowRunsPage:
    """A page of the runs that match, by cursor: however far down, it costs what the first one does."""
    query = await decode_body(request, _RUNS_QUERY)
    async with connection(services.pool) as conn:
        return await read_page(conn, query, now=utc_now())


@post(
    "/flow_runs/{flow_run_id:uuid}/set_state",
    status_code=201,
    operation_class=takes(_SET_STATE, also=200),
)
async def set_state(
    flow_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> Response[OrchestrationResult | Json]:
    """Propose a state: 201 when a state was written, 200 when the answer is one that held before
    or none."""
    now = utc_now()
    body = await decode_body(request, _SET_STATE)
    policy = flow_policy.MINIMAL if body.force else flow_policy.CORE
    try:
        result = await set_flow_run_state(
            services.pool,
            flow_run_id,
            body.state,
            now=now,
            policy=policy,
            client=client_of(request),
        )
    except NotFound as error:
        return Response({"exception_message": str(error)}, status_code=404)
    return _answer(result, services, now)


def _answer(
    result: OrchestrationResult, services: Services, now: dt.datetime
) -> Response[OrchestrationResult | Json]:
    """201 for a state that was written since `now`, whose event bears its id, else 200."""
    if result.state is None or result.state.timestamp < now:
        return Response(result, status_code=200)
    services.events.announce([result.state.id])
    return Response(result, status_code=201)


@post(
    "/flow_runs/{flow_run_id:uuid}/resume",
    status_code=201,
    operation_class=takes(_RESUME, also=200),
)
async def resume(
    flow_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> Response[OrchestrationResult | Json]:
    """Let a paused run go on, with the input it asked for: 201 when it does, else 200."""
    now = utc_now()
    body = await decode_body(request, _RESUME)
    result = await resume_flow_run(
        services.pool, flow_run_id, body.run_input, now=now, client=client_of(request)
    )
    return _answer(result, services, now)


ROUTES: list[ControllerRouterHandler] = [
    create,
    read,
    update,
    update_labels,
    delete_run,
    filter_runs,
    paginate,
    count,
    page_through,
    set_state,
    resume,
]
