"""Events read back: live over a websocket, and by page."""

import asyncio
import base64
import binascii
import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, get, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.api.websockets import (
    AUTH_TIMEOUT_SECONDS,
    PROTOCOL_ERROR,
    Socket,
    receive_text,
    send_until_gone,
    shake_hands,
)
from app.rules.time_buckets import TooManyBuckets, buckets
from app.services import Services
from app.wire.base import utc_now
from app.wire.event_filters import (
    EventCount,
    EventCountQuery,
    EventFilter,
    EventPage,
    EventQuery,
)
from app.wire.events import ReceivedEvent
from storage.postgres.event_predicate import Predicate, predicate
from storage.postgres.events import (
    count_events,
    count_events_by_name,
    count_events_by_resource,
    count_events_by_time,
    select_events,
)
from storage.postgres.pool import connection

# How far back a follower may ask.
MAX_BACKFILL = dt.timedelta(minutes=15)
BACKFILL_PAGE = 250


class _FilterMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="filter"):
    filter: EventFilter
    backfill: bool = True


class _EventMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="event"):
    event: ReceivedEvent


class _PageToken(msgspec.Struct, frozen=True, kw_only=True):
    """Where the next page begins. The filter's bounds in time are fixed, so pages do not shift."""

    filter: EventFilter
    total: int
    limit: int
    offset: int


_filter_decoder = msgspec.json.Decoder(_FilterMessage)
_query_decoder = msgspec.json.Decoder(EventQuery)
_count_decoder = msgspec.json.Decoder(EventCountQuery)
_token_decoder = msgspec.json.Decoder(_PageToken)
_encoder = msgspec.json.Encoder()


@websocket("/events/out")
async def send_events(
    socket: Socket, services: NamedDependency[Services], access: NamedDependency[Access]
) -> None:
    """Events that match the client's filter: those of the last minutes that it asks for, then
    those that come, each once."""
    if not await shake_hands(socket, access):
        return
    try:
        async with asyncio.timeout(AUTH_TIMEOUT_SECONDS):
            text = await receive_text(socket)
        if text is None:
            return
        message = _filter_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, TimeoutError):
        await socket.close(PROTOCOL_ERROR, "Expected 'filter' message")
        return
    now = utc_now()
    occurred = msgspec.structs.replace(
        message.filter.occurred, since=max(message.filter.occurred.since, now - MAX_BACKFILL)
    )
    wanted = msgspec.structs.replace(message.filter, occurred=occurred, order="ASC")
    # Follow first: what comes while the past is read waits in the queue.
    async with services.event_tail.follow() as live:
        sent: set[uuid.UUID] = set()

        async def send() -> None:
            if message.backfill:
                await _send_past(socket, services, wanted, sent)
            not_before = None if message.backfill else now
            await _send_live(socket, live, predicate(wanted), sent, not_before)

        await send_until_gone(socket, send())


async def _send_past(
    socket: Socket, services: Services, wanted: EventFilter, sent: set[uuid.UUID]
) -> None:
    last: ReceivedEvent | None = None
    while True:
        async with connection(services.pool) as conn:
            page = await select_events(conn, wanted, limit=BACKFILL_PAGE, after=last)
        for event in page:
            sent.add(event.id)
            await _send(socket, event)
        if len(page) < BACKFILL_PAGE:
            return
        last = page[-1]


async def _send_live(
    socket: Socket,
    live: "asyncio.Queue[Sequence[ReceivedEvent]]",
    matches: Predicate,
    sent: set[uuid.UUID],
    not_before: dt.datetime | None,
) -> None:
    while True:
        for event in await live.get():
            if event.id in sent or (not_before is not None and event.received < not_before):
                continue
            if matches(event):
                await _send(socket, event)


async def _send(socket: Socket, event: ReceivedEvent) -> None:
    await socket.send_data(_encoder.encode(_EventMessage(event=event)).decode())


@post("/events/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_events(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> EventPage:
    """The first page of the events that match, and how many there are."""
    query = await decode_body(request, _query_decoder)
    wanted = query.filter or EventFilter()
    async with connection(services.pool) as conn:
        total = await count_events(conn, wanted)
    token = _PageToken(filter=wanted, total=total, limit=query.limit, offset=0)
    return await _page(request, services, token)


@get("/events/filter/next")
async def read_next_events(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    page_token: Annotated[str, QueryParameter(name="page-token")],
) -> EventPage:
    """The page that a token from the page before asks for."""
    try:
        token = _token_decoder.decode(base64.urlsafe_b64decode(page_token))
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise HTTPException(status_code=403, detail="The page token is not valid.") from error
    return await _page(request, services, token)


async def _page(
    request: Request[Any, Any, Any], services: Services, token: _PageToken
) -> EventPage:
    async with connection(services.pool) as conn:
        events = await select_events(conn, token.filter, limit=token.limit, offset=token.offset)
    seen = token.offset + len(events)
    following = None
    if events and seen < token.total:
        next_token = msgspec.structs.replace(token, offset=seen)
        text = base64.urlsafe_b64encode(_encoder.encode(next_token)).decode()
        base = str(request.base_url).rstrip("/")
        following = f"{base}/api/events/filter/next?{urlencode({'page-token': text})}"
    return EventPage(events=events, total=token.total, next_page=following)


@post("/events/count-by/{countable:str}", status_code=200, operation_class=takes(_count_decoder))
async def count_by(
    countable: FromPath[str],
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
) -> list[EventCount]:
    """How many events match, by name, by resource, or in each stretch of time, empty ones too."""
    query = await decode_body(request, _count_decoder)
    match countable:
        case "event":
            async with connection(services.pool) as conn:
                return await count_events_by_name(conn, query.filter)
        case "resource":
            async with connection(services.pool) as conn:
                return await count_events_by_resource(conn, query.filter)
        case "time":
            return await _count_by_time(services, query)
        case "day":
            by_day = msgspec.structs.replace(query, time_unit="day", time_interval=1.0)
            return await _count_by_time(services, by_day)
        case _:
            raise InvalidRequest(
                ["path", "countable"], "Expected 'day', 'time', 'event' or 'resource'", kind="enum"
            )


async def _count_by_time(services: Services, query: EventCountQuery) -> list[EventCount]:
    occurred = query.filter.occurred
    try:
        step, starts = buckets(occurred.since, occurred.until, query.time_unit, query.time_interval)
        # No bucket may end after the end of time.
        starts[-1] + step
    except (TooManyBuckets, OverflowError) as error:
        raise HTTPException(status_code=422, detail=str(error)) from error
    async with connection(services.pool) as conn:
        counts = await count_events_by_time(conn, query.filter, starts[0], step)
    return [
        EventCount(
            value=str(number),
            label=start.isoformat(),
            count=counts.get(start, 0),
            start_time=start,
            end_time=start + step - dt.timedelta(microseconds=1),
        )
        for number, start in enumerate(starts)
    ]


ROUTES: list[ControllerRouterHandler] = [
    send_events,
    read_events,
    read_next_events,
    count_by,
]
