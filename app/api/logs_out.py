"""Live log lines over a websocket."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar import websocket
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.websockets import (
    AUTH_TIMEOUT_SECONDS,
    PROTOCOL_ERROR,
    SERVICE_RESTART,
    Socket,
    receive_text,
    send_until_gone,
    shake_hands,
)
from app.services import Services
from app.wire.logs import Log, LogFilter
from storage.logs.seen import Position
from storage.logs.streams import Wanted
from storage.logs.tail import Delivery, Idle, Lagged


class _FilterMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="filter"):
    filter: LogFilter


class _LogMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="log"):
    log: Log


_filter_decoder = msgspec.json.Decoder(_FilterMessage)
_encoder = msgspec.json.Encoder()


@websocket("/logs/out")
async def send_logs(
    socket: Socket, services: NamedDependency[Services], access: NamedDependency[Access]
) -> None:
    """Lines that match the client's filter, from the moment it is taken; nothing older."""
    if not await shake_hands(socket, access):
        return
    try:
        async with asyncio.timeout(AUTH_TIMEOUT_SECONDS):
            text = await receive_text(socket)
        if text is None:
            return
        log_filter = _filter_decoder.decode(text).filter
    except (msgspec.MsgspecError, RecursionError, TimeoutError):
        await socket.close(PROTOCOL_ERROR, "Expected 'filter' message")
        return
    wanted = Wanted(log_filter=log_filter)
    async with services.tail.follow(wanted, _frames) as deliveries:
        await send_until_gone(socket, _send(socket, deliveries))


def _frames(logs: list[Log], _: Position) -> list[str]:
    return [_encoder.encode(_LogMessage(log=log)).decode() for log in logs]


async def _send(
    socket: Socket, deliveries: AsyncIterator[Delivery[list[str]] | Lagged | Idle]
) -> None:
    async for delivery in deliveries:
        # The protocol has no word for lines that were missed; the pages have them.
        if isinstance(delivery, Delivery):
            for frame in delivery.formed:
                await socket.send_data(frame)
    await socket.close(SERVICE_RESTART)


ROUTES: list[ControllerRouterHandler] = [send_logs]
