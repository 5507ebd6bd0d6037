"""What the web UI asks about runs beside the API that all clients use."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.base import as_utc, utc_now
from app.wire.filters import Selection, StateTypeFilter, TaskRunStateFilter
from app.wire.run_summaries import (
    FlowRunIds,
    FlowRunSummary,
    FlowRunSummaryQuery,
    NamedTaskRun,
    TaskRunOutcomes,
    TaskRunOutcomesQuery,
)
from app.wire.states import TERMINAL
from storage.postgres import run_summaries
from storage.postgres.pool import connection

OUTCOME_BUCKETS = 20

_SUMMARIES = msgspec.json.Decoder(FlowRunSummaryQuery)
_IDS = msgspec.json.Decoder(FlowRunIds)
_OUTCOMES = msgspec.json.Decoder(TaskRunOutcomesQuery)
_SELECTION = msgspec.json.Decoder(Selection)


@post("/ui/flow_runs/history", status_code=200, operation_class=takes(_SUMMARIES))
async def read_flow_run_summaries(
    request: Request[Any, Any, Any], services: Services
) -> list[FlowRunSummary]:
    """Runs as bars: when, how long, how late."""
    query = await decode_body(request, _SUMMARIES)
    async with connection(services.pool) as conn:
        return await run_summaries.select_flow_run_summaries(conn, query, now=utc_now())


@post("/ui/flow_runs/count-task-runs", status_code=200, operation_class=takes(_IDS))
async def count_task_runs(request: Request[Any, Any, Any], services: Services) -> dict[UUID, int]:
    """How many task runs each of some flow runs has."""
    body = await decode_body(request, _IDS)
    async with connection(services.pool) as conn:
        return await run_summaries.count_task_runs_of_flow_runs(conn, body.flow_run_ids)


@post("/ui/task_runs/dashboard/counts", status_code=200, operation_class=takes(_OUTCOMES))
async def read_task_run_outcomes(
    request: Request[Any, Any, Any], services: Services
) -> list[TaskRunOutcomes]:
    """Task runs that are over, in 20 stretches of the time asked for, by when they started."""
    query = await decode_body(request, _OUTCOMES)
    span = query.task_runs.start_time
    if span is None or span.after_ is None:
        raise HTTPException(status_code=422, detail="task_runs.start_time.after_ is required")
    over = TaskRunStateFilter(type=StateTypeFilter(any_=sorted(TERMINAL)))
    selection = msgspec.structs.replace(
        query,
        task_runs=msgspec.structs.replace(query.task_runs, state=over),
        work_pool_queues=query.work_pool_queues or query.work_queues,
    )
    start = as_utc(span.after_).replace(second=0, microsecond=0)
    end = as_utc(span.before_) if span.before_ is not None else utc_now()
    async with connection(services.pool) as conn:
        return await run_summaries.task_run_outcomes(
            conn, selection, start=start, end=_end_of_minute(end), buckets=OUTCOME_BUCKETS
        )


def _end_of_minute(time: dt.datetime) -> dt.datetime:
    return time.replace(second=59, microsecond=999_999)


@post("/ui/task_runs/count", status_code=200, operation_class=takes(_SELECTION))
async def count_by_state(request: Request[Any, Any, Any], services: Services) -> dict[str, int]:
    """How many task runs match, by type of state."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await run_summaries.count_task_runs_by_state(conn, selection)


@get("/ui/task_runs/{task_run_id:uuid}")
async def read_task_run(task_run_id: UUID, services: Services) -> NamedTaskRun:
    """A task run with the name of its flow run."""
    async with connection(services.pool) as conn:
        return await run_summaries.read_named_task_run(conn, task_run_id, now=utc_now())


ROUTES: list[ControllerRouterHandler] = [
    read_flow_run_summaries,
    count_task_runs,
    read_task_run_outcomes,
    count_by_state,
    read_task_run,
]
