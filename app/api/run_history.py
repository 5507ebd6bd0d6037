"""How runs are spread over time."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.base import utc_now
from app.wire.filters import HistoryQuery, Selection
from app.wire.results import HistoryInterval
from storage.postgres import run_history
from storage.postgres.pool import connection

_QUERY = msgspec.json.Decoder(HistoryQuery)
_SELECTION = msgspec.json.Decoder(Selection)


async def _history_query(request: Request[Any, Any, Any]) -> HistoryQuery:
    query = await decode_body(request, _QUERY)
    if query.history_interval_seconds < 1:
        raise HTTPException(
            status_code=422, detail="History interval must not be less than 1 second."
        )
    # Flow run histories call the filter on queues by another name than lists do.
    return msgspec.structs.replace(
        query, work_pool_queues=query.work_pool_queues or query.work_queues
    )


def _out_of_range() -> InvalidRequest:
    return InvalidRequest(["body", "history_start"], "The intervals leave the calendar.")


@post("/flow_runs/history", status_code=200, operation_class=takes(_QUERY))
async def flow_run_history(
    request: Request[Any, Any, Any], services: Services
) -> list[HistoryInterval]:
    """Flow runs by the time they were expected to start, at most 500 intervals."""
    query = await _history_query(request)
    async with connection(services.pool) as conn:
        try:
            return await run_history.flow_run_history(conn, query, now=utc_now())
        except OverflowError as error:
            raise _out_of_range() from error


@post("/task_runs/history", status_code=200, operation_class=takes(_QUERY))
async def task_run_history(
    request: Request[Any, Any, Any], services: Services
) -> list[HistoryInterval]:
    """Task runs by the time they were expected to start, at most 500 intervals."""
    query = await _history_query(request)
    async with connection(services.pool) as conn:
        try:
            return await run_history.task_run_history(conn, query, now=utc_now())
        except OverflowError as error:
            raise _out_of_range() from error


@post("/flow_runs/lateness", status_code=200, operation_class=takes(_SELECTION))
async def flow_run_lateness(request: Request[Any, Any, Any], services: Services) -> float | None:
    """Seconds by which the runs start late, on average; null if there are none."""
    selection = await decode_body(request, _SELECTION)
    async with connection(services.pool) as conn:
        return await run_history.flow_run_lateness(conn, selection, now=utc_now())


ROUTES: list[ControllerRouterHandler] = [flow_run_history, task_run_history, flow_run_lateness]
