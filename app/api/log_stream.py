"""Live log lines as server-sent events, with what came before and without a gap after a break."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.logs import FlowRunIdFilter, LevelFilter, Log, LogFilter, TaskRunIdFilter, TextFilter
from storage.logs.predicate import of_loggers
from storage.logs.seen import Position, parse_position
from storage.logs.streams import Wanted
from storage.logs.tail import Delivery, Idle, Lagged, UnknownPosition

MAX_BACKFILL = 1000
MAX_RUNS = 50
# A browser comes back so soon after its connection broke.
RETRY_MILLISECONDS = 1000

_encoder = msgspec.json.Encoder()


class LinesMissed(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an event `lagged`: so many lines were left out; who asks again with this id is given
    them, and all that came after them."""

    lines: int
    last_event_id: str


@get("/tailrace/logs/stream", skip_from_compression=True)
async def stream_logs(
    request: Request[Any, Any, Any],
    services: Services,
    flow_run_id: Annotated[
        list[UUID] | None,
        QueryParameter(max_items=MAX_RUNS, description="lines of these runs"),
    ] = None,
    task_run_id: Annotated[
        UUID | None, QueryParameter(description="lines of this task run")
    ] = None,
    level: Annotated[int | None, QueryParameter(description="lines from this level up")] = None,
    logger: Annotated[
        list[str] | None,
        QueryParameter(max_items=50, description="lines of these loggers"),
    ] = None,
    text: Annotated[
        str | None,
        QueryParameter(max_length=200, description="a text query, as /logs/filter has it"),
    ] = None,
    backfill: Annotated[
        int,
        QueryParameter(
            ge=0, le=MAX_BACKFILL, description="begin with that many of the newest lines"
        ),
    ] = 0,
    last_event_id: Annotated[
        str | None,
        QueryParameter(
            description="go on after this event; the header Last-Event-ID says the same",
        ),
    ] = None,
) -> Stream:
    """Lines as they are committed, as server-sent events: `lines` with a JSON array of them, `lagged`
    (`LinesMissed`) for a client that reads too slowly. Each id says where to go on."""
    wanted = Wanted(
        log_filter=LogFilter(
            flow_run_id=FlowRunIdFilter(any_=flow_run_id) if flow_run_id else None,
            task_run_id=TaskRunIdFilter(any_=[task_run_id]) if task_run_id else None,
            level=LevelFilter(ge_=level) if level is not None else None,
            text=TextFilter(query=text) if text else None,
        ),
        also=of_loggers(logger),
    )
    since = _since(request.headers.get("last-event-id") or last_event_id)
    events = _events(services.tail.follow(wanted, _lines_event, since=since, backfill=backfill))
    try:
        # Before the answer begins, so that what is wrong has a status of its own.
        first = await anext(events)
    except UnknownPosition as error:
        raise InvalidRequest(["query", "last_event_id"], str(error)) from error
    return Stream(
        _following(first, events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _following(
    first: bytes, events: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(events):
        yield first
        async for event in events:
            yield event


async def _events(
    following: AbstractAsyncContextManager[AsyncIterator[Delivery[bytes] | Lagged | Idle]],
) -> AsyncGenerator[bytes, None]:
    async with following as deliveries:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        async for each in deliveries:
            match each:
                case Delivery():
                    yield each.formed
                case Lagged():
                    missed = LinesMissed(lines=each.rows, last_event_id=str(each.before))
                    yield _event("lagged", _encoder.encode(missed), each.after)
                case Idle():
                    # Without data it is no event, and the id is taken note of all the same.
                    yield f": nothing new\nid: {each.after}\n\n".encode()


def _lines_event(logs: list[Log], after: Position) -> bytes:
    return _event("lines", _encoder.encode(logs), after)


def _event(kind: str, data: bytes, after: Position) -> bytes:
    # JSON has no line break outside of texts, and escapes those within.
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), str(after).encode(), data)


def _since(text: str | None) -> Position | None:
    if not text:
        return None
    try:
        return parse_position(text)
    except ValueError as error:
        raise InvalidRequest(["query", "last_event_id"], str(error)) from error


ROUTES: list[ControllerRouterHandler] = [stream_logs]
