"""Events: sent one per frame over a websocket, or many in a request."""

from typing import Any

import msgspec
import structlog
from litestar import Request, post, websocket
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.api.websockets import PROTOCOL_ERROR, Socket, receive_text, shake_hands
from app.services import Services
from app.wire.events import MAX_EVENT_BYTES, Event, decode_event, decode_events

# Clients give up after a minute; tell them before that to come back.
WRITE_SECONDS = 30.0

_log = structlog.get_logger("tailrace.events")


@websocket("/events/in")
async def receive_events(
    socket: Socket, services: NamedDependency[Services], access: NamedDependency[Access]
) -> None:
    """One event per frame, no answers. Reading stops while the buffer is full. A frame that is no
    event closes the socket; one that is too large is left out, for its sender would repeat it."""
    if not await shake_hands(socket, access):
        return
    while (text := await receive_text(socket)) is not None:
        if len(text) > MAX_EVENT_BYTES:
            _log.warning("event too large", characters=len(text), limit=MAX_EVENT_BYTES)
            continue
        try:
            event = decode_event(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            _log.warning("frame is no event", error=str(error))
            await socket.close(PROTOCOL_ERROR, "Not an event")
            return
        await services.events.put(event, len(text))


@post("/events", status_code=204, operation_class=takes(msgspec.json.Decoder(list[Event])))
async def create_events(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Many events at once; answered when they are durable."""
    body = await request.body()
    try:
        events = decode_events(body.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest.from_msgspec(error) from error
    if events:
        await services.events.write(events, len(body), within=WRITE_SECONDS)


ROUTES: list[ControllerRouterHandler] = [receive_events, create_events]
