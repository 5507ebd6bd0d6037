"""The handshake that all websockets share.

A client offers the subprotocol `prefect`; its first frame is `{"type":"auth","token":…}`, and the
answer `{"type":"auth_success"}`. Refusals close the socket with 1008 and a reason that the client
shows. A client that offers no subprotocol is an old one: it is let in without a handshake when no
secret is set, and refused the upgrade otherwise.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeAlias

import msgspec
from litestar import WebSocket

from app.api.access import Access

Socket: TypeAlias = WebSocket[Any, Any, Any]

SUBPROTOCOL = "prefect"
# A client sends its auth frame at once; one that does not is not a client.
AUTH_TIMEOUT_SECONDS = 10.0

POLICY_VIOLATION = 1008
PROTOCOL_ERROR = 1002
SERVICE_RESTART = 1012


class _Auth(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    token: str | None = None


_auth_decoder = msgspec.json.Decoder(_Auth)


async def shake_hands(
    socket: Socket,
    access: Access,
    *,
    old_clients: bool = True,
    reason: str | None = None,
) -> bool:
    """Accept the socket if the client may use it; False when it is closed or gone instead. Without
    `old_clients` those too must offer the subprotocol; `reason` stands for that of every refusal."""
    if SUBPROTOCOL not in socket.scope["subprotocols"]:
        if access.required or not old_clients:
            await socket.close(POLICY_VIOLATION)
            return False
        await socket.accept()
        return True
    await socket.accept(subprotocols=SUBPROTOCOL)
    try:
        async with asyncio.timeout(AUTH_TIMEOUT_SECONDS):
            text = await receive_text(socket)
    except TimeoutError:
        text = ""
    if text is None:
        return False
    refusal = _refusal(text, access)
    if refusal is not None:
        await socket.close(POLICY_VIOLATION, reason or refusal)
        return False
    await socket.send_data('{"type":"auth_success"}')
    return True


def _refusal(text: str, access: Access) -> str | None:
    try:
        auth = _auth_decoder.decode(text)
    except msgspec.MsgspecError:
        auth = _Auth()
    if auth.type != "auth":
        return "Expected 'auth' message"
    if access.required and auth.token is None:
        return "Auth required but no token provided"
    if not access.admits_token(auth.token):
        return "Invalid token"
    return None


async def receive_text(socket: Socket) -> str | None:
    """The next text frame; None when the client has gone. A binary frame counts as an empty text,
    which no reader takes for a message."""
    message = await socket.receive()
    if message["type"] == "websocket.receive":
        return message.get("text") or ""
    return None


async def send_until_gone(socket: Socket, send: Coroutine[None, None, None]) -> None:
    """Run `send` until it ends or the client closes; raises what `send` raises before that."""
    sending = asyncio.create_task(send, name="websocket send")
    leaving = asyncio.create_task(_wait_until_gone(socket), name="websocket wait")
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone = leaving.done()
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not gone and not sending.cancelled():
        sending.result()


async def _wait_until_gone(socket: Socket) -> None:
    # What the client still sends means nothing here.
    while await receive_text(socket) is not None:
        pass
