"""The graph of a flow run."""

import datetime as dt
from uuid import UUID

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.base import Json, in_utc, utc_now
from app.wire.run_graph import Dependencies, Graph
from storage.errors import NotFound
from storage.postgres import run_graph
from storage.postgres.pool import connection

BEGINNING = dt.datetime.min.replace(tzinfo=dt.UTC)


@get("/flow_runs/{flow_run_id:uuid}/graph-v2")
async def read_graph(
    flow_run_id: UUID, services: Services, since: dt.datetime = BEGINNING
) -> Graph | Response[Json]:
    """Task runs and subflow runs that had not ended before `since`, and who took whose results."""
    try:
        since = in_utc(since)
    except ValueError as error:
        raise InvalidRequest(["query", "since"], str(error)) from error
    async with connection(services.pool) as conn:
        try:
            return await run_graph.read_graph(conn, flow_run_id, since=since)
        except NotFound as error:
            return _missing(error)


@get("/flow_runs/{flow_run_id:uuid}/graph")
async def read_dependencies(
    flow_run_id: UUID, services: Services
) -> list[Dependencies] | Response[Json]:
    """Task runs, and whose results each took."""
    async with connection(services.pool) as conn:
        try:
            return await run_graph.read_dependencies(conn, flow_run_id, now=utc_now())
        except NotFound as error:
            return _missing(error)


def _missing(error: NotFound) -> Response[Json]:
    return Response({"exception_message": str(error)}, status_code=404)


ROUTES: list[ControllerRouterHandler] = [read_graph, read_dependencies]
