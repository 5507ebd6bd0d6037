"""Tailrace's own route of the dates of a schedule, before anybody keeps it."""

import asyncio
import datetime as dt
import itertools
from typing import Any

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.rules.schedules import dates_between
from app.wire.base import utc_now
from app.wire.schedules import (
    Schedule,
    ScheduleDates,
    ScheduleDatesQuery,
    completed,
    schedule_from,
)

_QUERY = msgspec.json.Decoder(ScheduleDatesQuery)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


@post("/tailrace/schedules/preview", status_code=200, operation_class=takes(_QUERY))
async def preview(request: Request[Any, Any, Any]) -> ScheduleDates:
    """The next dates of a schedule: interval, cron or rrule, as deployments have them."""
    query = await decode_body(request, _QUERY)
    try:
        schedule = schedule_from(completed(query.schedule))
    except ValueError as error:
        raise InvalidRequest.from_msgspec(error) from error
    try:
        # A rule may be looked through for seconds.
        times = await asyncio.to_thread(_dates, schedule, query.after or utc_now(), query.n)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(["body", "schedule"], str(error)) from error
    return ScheduleDates(times=times)


def _dates(schedule: Schedule, start: dt.datetime, n: int) -> list[dt.datetime]:
    return list(itertools.islice(dates_between(schedule, start, _LAST), n))


ROUTES: list[ControllerRouterHandler] = [preview]
