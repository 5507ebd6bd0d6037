"""SQL over the logs and the runs: one SELECT, answered as JSON, CSV, Arrow or Parquet."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.sql import SqlQuery
from storage.errors import InvalidValue
from storage.sql.messages import Format
from storage.sql.queries import SqlResult

_QUERY = msgspec.json.Decoder(SqlQuery)
_MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


@post("/tailrace/sql", status_code=200, operation_class=takes(_QUERY))
async def run_sql(request: Request[Any, Any, Any], services: Services) -> Stream:
    """The first `limit` rows of one SELECT over the views logs, runs, task_runs, flows and deployments.

    An answer is whole: what goes wrong has a status of its own. The header `Tailrace-Truncated` says
    whether there were more rows. Closing the connection ends the work."""
    query = await decode_body(request, _QUERY)
    result = await _unless_gone(request, services, query)
    return Stream(
        result.body,
        media_type=_MEDIA_TYPES[query.format],
        headers={
            "Tailrace-Rows": str(result.rows),
            "Tailrace-Truncated": "true" if result.truncated else "false",
        },
    )


async def _unless_gone(
    request: Request[Any, Any, Any], services: Services, query: SqlQuery
) -> SqlResult:
    """The result; the work ends when nobody waits for it any more."""
    answer = asyncio.create_task(
        services.sql.answer(query.sql, form=query.format, limit=query.limit)
    )
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
        return await answer
    except InvalidValue as error:
        raise InvalidRequest(["body", "sql"], str(error)) from error
    finally:
        gone.cancel()
        answer.cancel()
        await asyncio.gather(gone, answer, return_exceptions=True)


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


ROUTES: list[ControllerRouterHandler] = [run_sql]
