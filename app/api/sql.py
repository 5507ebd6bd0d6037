"""SQL over the logs and the runs: one SELECT, answered as JSON, CSV, Arrow or Parquet."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.disconnection import unless_gone
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.sql import SqlQuery
from storage.errors import InvalidValue
from storage.sql.messages import Format

_QUERY = msgspec.json.Decoder(SqlQuery)
_MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


@post(
    "/tailrace/sql",
    status_code=200,
    operation_class=takes(_QUERY, files=tuple(_MEDIA_TYPES.values())),
)
async def run_sql(request: Request[Any, Any, Any], services: Services) -> Stream:
    """The first `limit` rows of one SELECT over the views logs, runs, task_runs, flows and deployments.

    An answer is whole: what goes wrong has a status of its own. The header `Tailrace-Truncated` says
    whether there were more rows. Closing the connection ends the work."""
    query = await decode_body(request, _QUERY)
    answer = services.sql.answer(query.sql, form=query.format, limit=query.limit)
    try:
        result = await unless_gone(request, answer)
    except InvalidValue as error:
        raise InvalidRequest(["body", "sql"], str(error)) from error
    return Stream(
        result.body,
        media_type=_MEDIA_TYPES[query.format],
        headers={
            "Tailrace-Rows": str(result.rows),
            "Tailrace-Truncated": "true" if result.truncated else "false",
        },
    )


ROUTES: list[ControllerRouterHandler] = [run_sql]
