"""Request bodies before the router: how long one may take, and those that come compressed.

A body that is not whole after BODY_SECONDS is refused with 408 and the connection is closed, so a
client that sends a byte a minute holds nothing for ever. `Content-Encoding: gzip` is understood; its
decompressed size has the limit of any other body. Any other encoding is refused with 415.
"""

import asyncio
import zlib
from typing import cast

import msgspec
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from app.api.errors import InvalidRequest, error_response

# As long as the client itself waits for an answer.
BODY_SECONDS = 60.0
# A compressed body beyond this is decompressed in a thread: 64 KiB may take milliseconds.
INLINE_BYTES = 16 * 1024
GZIP = 16 + zlib.MAX_WBITS


class RequestBodies:
    """Hands requests on with a deadline on their bodies, and with gzip undone."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timed = _with_deadline(receive)
        encoding = b""
        for name, value in scope["headers"]:
            if name == b"content-encoding":
                encoding = value.strip().lower()
        if encoding in (b"", b"identity"):
            await self._app(scope, timed, send)
            return
        try:
            body = await self._decompressed(encoding, timed)
        except (HTTPException, InvalidRequest) as error:
            await send_error(send, error)
            return
        if body is not None:
            await self._app(_plain(scope, len(body)), _replay(body, receive), send)

    async def _decompressed(self, encoding: bytes, receive: Receive) -> bytes | None:
        """The whole body; None when the client went away."""
        if encoding != b"gzip":
            raise HTTPException(
                status_code=415,
                detail=f"Content-Encoding {encoding.decode('latin-1')!r} is not understood;"
                " send the body as it is, or with gzip",
                headers={"Accept-Encoding": "gzip"},
            )
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message["body"])
            size += len(message["body"])
            if size > self._max_body_bytes:
                raise _too_large(self._max_body_bytes)
            more = message["more_body"]
        if size <= INLINE_BYTES:
            return _gunzip(b"".join(parts), self._max_body_bytes)
        return await asyncio.to_thread(_gunzip, b"".join(parts), self._max_body_bytes)


def too_slow() -> HTTPException:
    """The refusal of a body that is not whole in time."""
    return HTTPException(
        status_code=408,
        detail=f"the request's body was not whole after {BODY_SECONDS:g} s",
        headers={"Connection": "close"},
    )


async def send_error(send: Send, error: Exception) -> None:
    """Answer with an error outside Litestar, as Litestar would."""
    if isinstance(error, HTTPException):
        status, content, extra = error.status_code, {"detail": error.detail}, error.headers or {}
    else:
        response = error_response(error)
        status, content = response.status_code or 500, response.content
        extra = response.headers
    body = msgspec.json.encode(content)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"access-control-allow-origin", b"*"),
        *((name.lower().encode(), str(value).encode()) for name, value in extra.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _gunzip(data: bytes, most: int) -> bytes:
    """The decompressed bytes, never more than `most` of them in memory."""
    parts: list[bytes] = []
    size = 0
    while data:
        stream = zlib.decompressobj(GZIP)
        try:
            part = stream.decompress(data, most - size + 1)
        except zlib.error as error:
            raise InvalidRequest(["body"], f"the body is not gzip: {error}") from error
        size += len(part)
        if size > most:
            raise _too_large(most)
        if not stream.eof:
            raise InvalidRequest(["body"], "the body is not gzip: it ends too early")
        parts.append(part)
        # A gzip file may have several members.
        data = stream.unused_data
    return b"".join(parts)


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        status_code=413,
        detail=f"the body is larger than {most} bytes when decompressed",
        headers={"Connection": "close"},
    )


def _with_deadline(receive: Receive) -> Receive:
    deadline: float | None = None
    whole = False

    async def timed() -> Message:
        nonlocal deadline, whole
        if whole:
            # What is waited for now is the client's leaving.
            return cast("Message", await receive())
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        whole = message["type"] != "http.request" or not message["more_body"]
        return cast("Message", message)

    return cast("Receive", timed)


def _plain(scope: HTTPScope, length: int) -> HTTPScope:
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"content-encoding", b"content-length", b"transfer-encoding")
    ]
    headers.append((b"content-length", str(length).encode()))
    return cast("HTTPScope", {**scope, "headers": headers})


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return cast("Message", await receive())
        given = True
        return cast("Message", {"type": "http.request", "body": body, "more_body": False})

    return cast("Receive", replayed)
