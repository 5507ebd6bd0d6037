"""How many lines there are, by time or by run, and of which levels."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.disconnection import unless_gone
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.line_filters import LineFilter
from app.wire.log_counts import LogCounts, LogCountsQuery, LogHistogram, LogHistogramQuery
from storage.errors import InvalidValue
from storage.logs.predicate import besides

_HISTOGRAM = msgspec.json.Decoder(LogHistogramQuery)
_COUNTS = msgspec.json.Decoder(LogCountsQuery)


@post("/tailrace/logs/histogram", status_code=200, operation_class=takes(_HISTOGRAM))
async def histogram(request: Request[Any, Any, Any], services: Services) -> LogHistogram:
    """Lines of all runs that match, by time and level. Counting ends when nobody waits for it any more."""
    query = await decode_body(request, _HISTOGRAM)
    await _check(services, query)
    return await unless_gone(request, services.logs.histogram(query))


@post("/tailrace/logs/counts", status_code=200, operation_class=takes(_COUNTS))
async def count_by_run(request: Request[Any, Any, Any], services: Services) -> LogCounts:
    """Lines that match, by run and level. Counting ends when nobody waits for it any more."""
    query = await decode_body(request, _COUNTS)
    await _check(services, query)
    return await unless_gone(request, services.logs.run_counts(query))


async def _check(services: Services, query: LineFilter) -> None:
    try:
        await services.logs.check(besides(regex=query.regex))
    except InvalidValue as error:
        raise InvalidRequest(["body", "regex"], str(error)) from error


ROUTES: list[ControllerRouterHandler] = [histogram, count_by_run]
