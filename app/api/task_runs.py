"""Task runs: make, read, change, delete, and propose states."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.orchestration.submission import create_task_run
from app.orchestration.transition import set_task_run_state
from app.services import Services
from app.wire.base import Json, utc_now
from app.wire.filters import Selection, TaskRunPageQuery, TaskRunQuery
from app.wire.results import OrchestrationResult
from app.wire.runs import SetState, TaskRun, TaskRunCreate, TaskRunPage, TaskRunUpdate
from storage.errors import NotFound
from storage.postgres import task_runs
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(TaskRunCreate)
_UPDATE = msgspec.json.Decoder(TaskRunUpdate)
_QUERY = msgspec.json.Decoder(TaskRunQuery)
_PAGE_QUERY = msgspec.json.Decoder(TaskRunPageQuery)
_SELECTION = msgspec.json.Decoder(Selection)
_SET_STATE = msgspec.json.Decoder(SetState)


@post("/task_runs/", status_code=201, operation_class=takes(_CREATE, also=200))
async def create(request: Request[Any, Any, Any], services: Services) -> Response[TaskRun]:
    """A new run: 201, or 200 with the run that has this key in the flow run already."""
    body = await decode_body(request, _CREATE)
    run, created = await create_task_run(services.pool, body, now=utc_now())
    return Response(run, status_code=201 if created else 200)


@get("/task_runs/{task_run_id:uuid}")
async def read(task_run_id: UUID, services: Services) -> TaskRun:
    """One run with its current state."""
    async with connection(services.pool) as conn:
        return await task_runs.read_task_run(conn, task_run_id, now=utc_now())


@patch("/task_runs/{task_run_id:uuid}", status_code=204, operation_class=takes(_UPDATE))
async def update(task_run_id: UUID, request: Request[Any, Any, Any], services: Services) -> None:
    """Rename a run."""
    body = await decode_body(request, _UPDATE)
    async with connection(services.pool) as conn:
        await task_runs.update_task_run(conn, task_run_id, body, now=utc_now())


@delete("/task_runs/{task_run_id:uuid}", status_code=204)
async def delete_run(task_run_id: UUID, services: Services) -> None:
    """Delete a run."""
    async with connection(services.pool) as conn:
        await task_runs.delete_task_run(conn, task_run_id)


@post("/task_runs/filter", status_code=200, operation_class=takes(_QUERY))
async def filter_runs(request: Request[Any, Any, Any], services: Services) -> list[TaskRun]:
    """Runs that match."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await task_runs.select_task_runs(conn, query, now=utc_now())


@post("/task_runs/paginate", status_code=200, operation_class=takes(_PAGE_QUERY))
async def paginate(request: Request[Any, Any, Any], services: Services) -> TaskRunPage:
    """A page of the runs that match, and how many there are."""
    query = await decode_body(request, _PAGE_QUERY)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await task_runs.page_of_task_runs(conn, query, now=utc_now())


@post("/task_runs/count", status_code=200, operation_class=takes(_SELECTION))
async def count(request: Request[Any, Any, Any], services: Services) -> int:
    """How many runs match."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await task_runs.count_task_runs(conn, selection)


@post(
    "/task_runs/{task_run_id:uuid}/set_state",
    status_code=201,
    operation_class=takes(_SET_STATE, also=200),
)
async def set_state(
    task_run_id: UUID, request: Request[Any, Any, Any], services: Services
) -> Response[OrchestrationResult | Json]:
    """Propose a state: 201 when a state was written, else 200."""
    now = utc_now()
    body = await decode_body(request, _SET_STATE)
    try:
        result = await set_task_run_state(
            services.pool, task_run_id, body.state, now=now, force=body.force
        )
    except NotFound as error:
        return Response({"exception_message": str(error)}, status_code=404)
    written = result.state is not None and result.state.timestamp >= now
    return Response(result, status_code=201 if written else 200)


ROUTES: list[ControllerRouterHandler] = [
    create,
    read,
    update,
    delete_run,
    filter_runs,
    paginate,
    count,
    set_state,
]
