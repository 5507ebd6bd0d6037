"""The driver counts what a server acknowledged, against a tiny server of the test's own."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from bench.corpus import CorpusSpec, batches
from bench.driver import IngestLoad, LifecycleLoad, LoadFailed, PageLoad, Target, run_load

SPEC = CorpusSpec(lines=6_000, seed=5)


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


@pytest_asyncio.fixture
async def tiny() -> AsyncIterator[tuple[TinyServer, Target]]:
    """A tiny server on a free port."""
    app = TinyServer()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield app, Target(port=listening.getsockname()[1])
        finally:
            server.should_exit = True
            await serving


async def test_ingest_counts_every_acknowledged_line(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    started: list[bool] = []
    load = IngestLoad(corpus=SPEC, batch_lines=20, connections=4, seconds=30)
    result = await asyncio.to_thread(run_load, load, target, lambda: started.append(True))
    assert started == [True]
    assert result.units == app.lines == SPEC.lines
    assert result.requests == sum(1 for _ in batches(SPEC, 20))
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms
    assert result.failures == 0


async def test_a_part_of_the_corpus_can_be_posted(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    load = IngestLoad(
        corpus=SPEC, batch_lines=100, connections=2, seconds=30, first_batch=3, count=5
    )
    result = await asyncio.to_thread(run_load, load, target)
    assert result.requests == 5
    assert result.units == app.lines


async def test_refused_batches_fail_the_load(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    app.status = 503
    load = IngestLoad(corpus=SPEC, batch_lines=20, connections=2, seconds=30)
    with pytest.raises(LoadFailed, match="503"):
        await asyncio.to_thread(run_load, load, target)


async def test_a_short_page_fails_the_load(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    app.page_lines = 3
    with pytest.raises(LoadFailed, match="3 lines instead of"):
        await asyncio.to_thread(run_load, PageLoad(corpus=SPEC, pages=5), target)


async def test_a_lifecycle_is_three_requests_in_order(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    load = LifecycleLoad(connections=2, seconds=0.3)
    result = await asyncio.to_thread(run_load, load, target)
    assert result.units > 0
    assert app.states.count("RUNNING") == app.states.count("COMPLETED") == result.units
