"""Events over the websocket: what a client sent is there, once, whatever happens to the socket."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from app.wire.base import Json, new_id
from storage.postgres.pool import Pool

if TYPE_CHECKING:
    from tests.processes import ApiProcess

Eventually = Callable[..., Awaitable[None]]


def event(**changes: Any) -> Json:
    """An event as a client sends it."""
    sent: Json = {
        "id": str(new_id()),
        "occurred": "2026-11-24T06:41:34.223263Z",
        "event": "house.opened",
        "resource": {"prefect.resource.id": "house.1"},
        "related": [],
        "payload": {"door": "front"},
        "follows": None,
    }
    return sent | changes


async def open_socket(server: ApiProcess, path: str = "/events/in") -> ClientConnection:
    """A socket on which the handshake is done."""
    url = server.url.replace("http://", "ws://") + path
    socket = await connect(url, subprotocols=[websockets.Subprotocol("prefect")])
    await socket.send(json.dumps({"type": "auth", "token": None}))
    assert json.loads(await socket.recv()) == {"type": "auth_success"}
    return socket


async def count(pool: Pool) -> int:
    """How many events are kept."""
    return int(await pool.fetchval("SELECT count(*) FROM event"))


async def test_an_event_sent_is_kept_once_however_often_it_comes(
    server: ApiProcess, pool: Pool, eventually: Eventually
) -> None:
    sent = [event() for _ in range(500)]
    socket = await open_socket(server)
    for item in sent + sent[:200]:
        await socket.send(json.dumps(item))
    await socket.close()

    async def all_there() -> bool:
        return await count(pool) == 500

    await eventually(all_there)


async def test_a_client_that_vanishes_loses_nothing_it_sent(
    server: ApiProcess, pool: Pool, eventually: Eventually
) -> None:
    socket = await open_socket(server)
    for _ in range(300):
        await socket.send(json.dumps(event()))
    # The pong says that the server has read what came before it.
    await (await socket.ping())
    socket.transport.abort()

    async def all_there() -> bool:
        return await count(pool) == 300

    await eventually(all_there)


async def test_events_read_before_a_stop_are_written(server: ApiProcess, pool: Pool) -> None:
    socket = await open_socket(server)
    for _ in range(300):
        await socket.send(json.dumps(event()))
    await (await socket.ping())
    assert await server.stop() == 0
    assert await count(pool) == 300
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    # "Going away" or "service restart": clients connect again after both.
    assert closed.value.rcvd.code in (1001, 1012)


NOT_EVENTS = [
    "{",
    "[]",
    "null",
    json.dumps(event(id="no uuid")),
    json.dumps(event(resource={"name": "no id"})),
    json.dumps(event(related=[{"prefect.resource.id": "no role"}])),
    json.dumps(event(payload=[1])),
    json.dumps(event(event="e" * 1025)),
    json.dumps(event(occurred="yesterday")),
]


async def test_a_frame_that_is_no_event_closes_the_socket(
    server: ApiProcess, pool: Pool, eventually: Eventually
) -> None:
    for frame in NOT_EVENTS:
        socket = await open_socket(server)
        await socket.send(json.dumps(event()))
        await socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1002, frame

    async def those_before_are_there() -> bool:
        return await count(pool) == len(NOT_EVENTS)

    await eventually(those_before_are_there)


async def test_what_postgres_cannot_keep_is_mended_or_left_out(
    server: ApiProcess, pool: Pool, eventually: Eventually
) -> None:
    nul, surrogate, number, good = (event() for _ in range(4))
    socket = await open_socket(server)
    await socket.send(json.dumps(nul | {"payload": {"a": "x\0y", "b\0": "\\u0000"}}))
    await socket.send(json.dumps(surrogate | {"payload": {"a": "\ud800"}}))
    await socket.send(json.dumps(number).replace('"front"', "1e200000"))
    await socket.send(json.dumps(good | {"occurred": "0001-01-01T00:00:00Z"}))
    await socket.close()

    async def three_are_there() -> bool:
        return await count(pool) == 3

    await eventually(three_are_there)
    payload = await pool.fetchval("SELECT payload FROM event WHERE id = $1", uuid.UUID(nul["id"]))
    assert payload == {"a": "xy", "b": "\\u0000"}
    payload = await pool.fetchval(
        "SELECT payload FROM event WHERE id = $1", uuid.UUID(surrogate["id"])
    )
    assert payload == {"a": "\ufffd"}


async def test_a_request_of_events_is_answered_when_they_are_kept(client: Any, app: Any) -> None:
    sent = [event() for _ in range(3)]
    answer = await client.post("/events", json=[*sent, sent[0]])
    assert answer.status_code == 204
    assert await count(app.state.services.pool) == 3
    assert (await client.post("/events", json=[])).status_code == 204

    answer = await client.post("/events", json=[event(), event(id="x")])
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", 1, "id"]
    assert await count(app.state.services.pool) == 3
