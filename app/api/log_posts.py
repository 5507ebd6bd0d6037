"""`POST /api/logs/` before Litestar's stack.

Half of all requests post a handful of log lines, so a request's own cost counts as much as a
line's. Routing, injection, compression and response objects take 0.12 ms, this takes 0.03 ms (see
docs/decisions/003). What is stored and how errors read is the same: `app.api.logs` has the route
that the OpenAPI document shows, and both call `store_posted_logs`.
"""

import asyncio

from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api import request_bodies
from app.api.logs import store_posted_logs
from app.api.request_bodies import send_error
from storage.errors import Busy

PATHS = frozenset({"/api/logs/", "/api/logs"})
# Bytes of bodies that are half here: many clients on slow lines must not fill the memory.
MAX_ARRIVING_BYTES = 32 * 1024**2

_CREATED = (
    {
        "type": "http.response.start",
        "status": 201,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"4"),
            (b"access-control-allow-origin", b"*"),
        ],
    },
    {"type": "http.response.body", "body": b"null", "more_body": False},
)


class LogPosts:
    """Answers plain posts of log lines with a known length itself, hands everything else on."""

    def __init__(self, app: ASGIApp, state: State, *, max_body_bytes: int) -> None:
        self._app = app
        self._state = state
        self._max_body_bytes = max_body_bytes
        self._arriving_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or scope["path"] not in PATHS
            or not 0 < _plain_length(scope) <= self._max_body_bytes
        ):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(receive)
            if body is None:
                return
            await store_posted_logs(self._state.services, body)
        except Exception as error:
            await send_error(send, error)
            return
        for message in _CREATED:
            await send(message)  # pyrefly: ignore[bad-argument-type]

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None when the client went away before it was here."""
        parts: list[bytes] = []
        size = 0
        more = True
        try:
            async with asyncio.timeout(request_bodies.BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    parts.append(message["body"])
                    more = message["more_body"]
                    if more or size:
                        size += len(message["body"])
                        self._arriving_bytes += len(message["body"])
                        if self._arriving_bytes > MAX_ARRIVING_BYTES:
                            raise Busy("too many log lines arrive at once", retry_after=1)
        except TimeoutError:
            raise request_bodies.too_slow() from None
        finally:
            self._arriving_bytes -= size
        return b"".join(parts)


def _plain_length(scope: Scope) -> int:
    """The length of a body that is told beforehand and not compressed; 0 otherwise."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value)
        elif name == b"content-encoding":
            return 0
    return length
