"""A server of the tests' own, to tell what the loads do."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import msgspec
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from bench.driver import Target


class TinyServer:
    """Answers like the API, keeps nothing; counts lines and remembers what it was asked."""

    def __init__(self) -> None:
        self.lines = 0
        self.states: list[str] = []
        self.page_lines = 200
        self.status = 201

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        status, answer = self.answer(scope["path"], body)
        # Without a length the answer goes out in chunks, which the driver must join.
        headers = (
            [] if scope["path"].endswith("/filter") else [(b"content-length", b"%d" % len(answer))]
        )
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": headers,
                "trailers": False,
            }
        )
        for part in (answer[: len(answer) // 2], answer[len(answer) // 2 :]):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/api/logs/":
            if self.status == 201:
                self.lines += len(msgspec.json.decode(body))
            return self.status, b"null"
        if path == "/api/logs/filter":
            return 200, msgspec.json.encode([{"flow_run_id": "x"}] * self.page_lines)
        if path.endswith("/set_state"):
            self.states.append(msgspec.json.decode(body)["state"]["type"])
            return 201, b'{"status":"ACCEPT"}'
        return 201, b'{"id":"7d1f9d0c-0a75-4b5a-8d46-7d4b1a7c1b1e"}'


@contextlib.asynccontextmanager
async def serving(app: TinyServer) -> AsyncIterator[Target]:
    """The server on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield Target(port=listening.getsockname()[1])
        finally:
            server.should_exit = True
            await task
