"""How many lines there are, by time or by run, and of which levels."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.services import Services
from app.wire.log_counts import LogCounts, LogCountsQuery, LogHistogram, LogHistogramQuery

_HISTOGRAM = msgspec.json.Decoder(LogHistogramQuery)
_COUNTS = msgspec.json.Decoder(LogCountsQuery)


@post("/tailrace/logs/histogram", status_code=200, operation_class=takes(_HISTOGRAM))
async def histogram(request: Request[Any, Any, Any], services: Services) -> LogHistogram:
    """Lines of all runs that match, by time and level."""
    return await services.logs.histogram(await decode_body(request, _HISTOGRAM))


@post("/tailrace/logs/counts", status_code=200, operation_class=takes(_COUNTS))
async def count_by_run(request: Request[Any, Any, Any], services: Services) -> LogCounts:
    """Lines that match, by run and level."""
    return await services.logs.run_counts(await decode_body(request, _COUNTS))


ROUTES: list[ControllerRouterHandler] = [histogram, count_by_run]
