"""What lists of the web UI tell of runs: one question for a page, not one for each row."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.base import utc_now
from app.wire.run_lists import RecentRuns, RecentRunsQuery
from storage.postgres import run_lists
from storage.postgres.pool import connection

_RECENT = msgspec.json.Decoder(RecentRunsQuery)


@post("/tailrace/recent_runs", status_code=200, operation_class=takes(_RECENT))
async def read_recent_runs(
    request: Request[Any, Any, Any], services: Services
) -> dict[UUID, RecentRuns]:
    """The last runs and the next run of each of some flows or deployments."""
    query = await decode_body(request, _RECENT)
    async with connection(services.pool) as conn:
        return await run_lists.recent_runs(conn, query, now=utc_now())


@get("/tailrace/run_tags")
async def read_run_tags(
    services: Services,
    text: Annotated[str, QueryParameter(max_length=200)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> list[str]:
    """Tags of runs with a text in them: those of many runs, of deployments, and of the newest runs. A
    rare tag of old runs may be missing."""
    async with connection(services.pool) as conn:
        return await run_lists.run_tags(conn, text, limit)


ROUTES: list[ControllerRouterHandler] = [read_recent_runs, read_run_tags]
