"""Compressed bodies, slow bodies, and what would grow too large."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api import log_posts, request_bodies
from app.server import MAX_BODY_BYTES
from app.wire.base import new_id
from tests.api.test_logs_out import line


def body_of(run: str, message: str = "compressed") -> bytes:
    """A body of one line."""
    return json.dumps([line(message, run=run)]).encode()


async def messages(client: httpx.AsyncClient, run: str) -> list[str]:
    """What a run has said."""
    answer = await client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}})
    return [log["message"] for log in answer.json()]


async def post(client: httpx.AsyncClient, body: bytes, encoding: str) -> httpx.Response:
    """Post log lines, encoded already."""
    return await client.post("/logs/", content=body, headers={"Content-Encoding": encoding})


async def test_log_lines_may_come_as_gzip(shared_client: httpx.AsyncClient) -> None:
    run = str(new_id())
    assert (await post(shared_client, gzip.compress(body_of(run)), "gzip")).status_code == 201
    assert await messages(shared_client, run) == ["compressed"]


async def test_a_large_body_and_one_of_two_members_may_come_as_gzip(
    shared_client: httpx.AsyncClient,
) -> None:
    run = str(new_id())
    noise = "".join(str(new_id()) for _ in range(6_000))
    body = body_of(run, noise)
    packed = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    assert len(packed) > request_bodies.INLINE_BYTES
    assert (await post(shared_client, packed, "gzip")).status_code == 201
    assert await messages(shared_client, run) == [noise]


async def test_other_routes_take_gzip_too(shared_client: httpx.AsyncClient) -> None:
    name = f"flow-{new_id()}"
    body = gzip.compress(json.dumps({"name": name}).encode())
    answer = await shared_client.post("/flows/", content=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["name"]) == (201, name)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip"])
async def test_another_encoding_is_refused(shared_client: httpx.AsyncClient, encoding: str) -> None:
    answer = await post(shared_client, b"whatever", encoding)
    assert answer.status_code == 415
    assert repr(encoding) in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"[]", gzip.compress(b"[]" * 99, mtime=0)[:-9], b"\x1f\x8b\x08nonsense"]
)
async def test_what_is_not_gzip_is_told(shared_client: httpx.AsyncClient, body: bytes) -> None:
    answer = await post(shared_client, body, "gzip")
    assert answer.status_code == 422
    assert "not gzip" in answer.json()["exception_detail"][0]["msg"]


async def test_a_bomb_is_refused(shared_client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    assert (await post(shared_client, bomb, "gzip")).status_code == 413


async def _halting(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.sleep(30)
    yield b"]"


@pytest.mark.parametrize("path", ["/logs/", "/flows/"])
@pytest.mark.parametrize("headers", [{"Content-Length": "20"}, {}, {"Content-Encoding": "gzip"}])
async def test_a_body_that_does_not_come_is_given_up(
    shared_client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(request_bodies, "BODY_SECONDS", 0.1)
    answer = await shared_client.post(path, content=_halting(b"["), headers=headers)
    assert answer.status_code == 408
    assert "not whole" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"


async def test_bodies_that_are_half_here_are_bounded(
    shared_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_posts, "MAX_ARRIVING_BYTES", 1000)
    length = {"Content-Length": "2000"}
    answer = await shared_client.post("/logs/", content=_halting(b"[" * 1001), headers=length)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    # Those that went away count no more.
    for _ in range(9):
        answer = await shared_client.post("/logs/", content=body_of(str(new_id())))
        assert answer.status_code == 201
