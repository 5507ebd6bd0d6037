"""Events read back: what was, then what comes, each once."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from app.wire.base import Json, utc_now
from storage.postgres.event_buffer import CHANNEL
from storage.postgres.listen import Listener
from tests.api.test_events_in import event, open_socket
from tests.processes import ApiProcess

if TYPE_CHECKING:
    from app.services import ServicesConfig

UNTIL = "2100-01-01T00:00:00Z"


def happening(name: str) -> Json:
    """An event that occurs now."""
    return event(event=name, occurred=utc_now().isoformat())


async def follow(server: ApiProcess, **fields: Any) -> ClientConnection:
    """A socket that follows events of the given filter."""
    socket = await open_socket(server, "/events/out")
    on = {"occurred": {"since": "2000-01-01T00:00:00Z", "until": UNTIL}, **fields}
    await socket.send(json.dumps({"type": "filter", "filter": on}))
    return socket


async def received(socket: ClientConnection, count: int) -> list[Json]:
    """The next events."""
    async with asyncio.timeout(10):
        messages = [json.loads(await socket.recv()) for _ in range(count)]
    assert {message["type"] for message in messages} == {"event"}
    return [message["event"] for message in messages]


async def test_a_follower_sees_the_past_and_what_comes_in_every_process(
    server: ApiProcess, services_config: ServicesConfig
) -> None:
    past = [happening("door.opened") for _ in range(3)]
    old = event(event="door.opened")
    async with ApiProcess.run(services_config) as other, httpx.AsyncClient() as client:
        await client.post(f"{server.url}/events", json=[old, *past, happening("window.opened")])
        socket = await follow(other, event={"prefix": ["door."]})
        assert [each["id"] for each in await received(socket, 3)] == [each["id"] for each in past]

        coming = [happening("door.closed") for _ in range(20)]
        source = await open_socket(server)
        for each in [*coming, happening("window.closed"), *coming[:5]]:
            await source.send(json.dumps(each))
        seen = await received(socket, 20)
        assert sorted(each["id"] for each in seen) == sorted(each["id"] for each in coming)
        assert seen[0]["payload"] == {"door": "front"}
        assert "received" in seen[0]
        last = happening("door.broken")
        await source.send(json.dumps(last))
        assert [each["id"] for each in await received(socket, 1)] == [last["id"]]
        await socket.close()
        await source.close()


async def test_what_nobody_announces_comes_all_the_same(
    server: ApiProcess, services_config: ServicesConfig
) -> None:
    from app.wire.events import decode_event
    from storage.postgres.event_buffer import received as received_now
    from storage.postgres.events import insert_events
    from storage.postgres.pool import connect

    socket = await follow(server)
    await (await socket.ping())
    quiet = happening("mouse.moved")
    conn = await connect(services_config.database_url)
    try:
        await insert_events(conn, [received_now(decode_event(json.dumps(quiet)))])
    finally:
        await conn.close()
    assert [each["id"] for each in await received(socket, 1)] == [quiet["id"]]
    await socket.close()


async def test_anything_but_a_filter_closes_the_socket(server: ApiProcess) -> None:
    for frame in ("{", '{"type":"event"}', '{"type":"filter","filter":{"nonsense":1}}'):
        socket = await open_socket(server, "/events/out")
        await socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1002


async def test_pages_hold_every_event_once(client: httpx.AsyncClient) -> None:
    sent = [event(event=f"e.{number % 2}") for number in range(7)]
    await client.post("/events", json=sent)
    body: Json = {"filter": {"event": {"prefix": ["e."]}}, "limit": 3}
    page = (await client.post("/events/filter", json=body)).json()
    assert page["total"] == 7
    # One more comes while somebody turns the pages.
    await client.post("/events", json=[happening("e.2")])
    found = page["events"]
    while page["next_page"] is not None:
        answer = await client.get(page["next_page"])
        assert answer.status_code == 200
        page = answer.json()
        found += page["events"]
    ids = [each["id"] for each in found]
    assert len(ids) == len(set(ids)) == 7
    assert (await client.get("/events/filter/next?page-token=bad")).status_code == 403
    assert (await client.post("/events/filter", json={"limit": 51})).status_code == 422
    wrong: Json = {"filter": {"nonsense": 1}}
    answer = await client.post("/events/filter", json=wrong)
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "filter", "nonsense"]
    one: Json = {"filter": {"id": {"id": [sent[0]["id"]]}}}
    page = (await client.post("/events/filter", json=one)).json()
    assert [each["id"] for each in page["events"]] == [sent[0]["id"]]


async def test_the_states_of_a_flow_run_are_announced(
    client: httpx.AsyncClient, database_url: str
) -> None:
    async with Listener.open(database_url) as listener, listener.subscribe(CHANNEL) as announced:
        flow = (await client.post("/flows/", json={"name": "f"})).json()
        body: Json = {"flow_id": flow["id"], "state": {"type": "PENDING"}}
        run = (await client.post("/flow_runs/", json=body)).json()
        expected = {run["state"]["id"]}
        for step in ("RUNNING", "CANCELLING"):
            answer = await client.post(
                f"/flow_runs/{run['id']}/set_state", json={"state": {"type": step}}
            )
            assert answer.status_code == 201
            expected.add(answer.json()["state"]["id"])
        told: set[str] = set()
        async with asyncio.timeout(10):
            # That the flow was made is announced too.
            while not expected <= told:
                told |= {str(uuid.UUID(id)) for id in (await announced.get() or "").split(",")}
        page = (await client.post("/events/filter", json={})).json()
        assert expected <= {each["id"] for each in page["events"]}


async def test_events_are_counted_by_what_they_have_in_common(client: httpx.AsyncClient) -> None:
    sent = [
        event(
            event=f"e.{number % 2}",
            occurred=f"2026-11-24T06:{number:02}:00Z",
            resource={"prefect.resource.id": f"r.{number // 4}", "prefect.resource.name": "R"},
        )
        for number in range(5)
    ]
    await client.post("/events", json=sent)
    hour = {"since": "2026-11-24T06:00:00Z", "until": "2026-11-24T06:08:00Z"}

    async def counted(what: str, **fields: Any) -> list[tuple[str, str, int]]:
        body = {"filter": {"occurred": hour}, **fields}
        answer = await client.post(f"/events/count-by/{what}", json=body)
        assert answer.status_code == 200
        return [(each["value"], each["label"], each["count"]) for each in answer.json()]

    assert await counted("event") == [("e.0", "e.0", 3), ("e.1", "e.1", 2)]
    assert await counted("resource") == [("r.0", "R", 4), ("r.1", "R", 1)]
    assert await counted("day") == [("0", "2026-11-24T00:00:00+00:00", 5)]
    assert await counted("time", time_unit="minute", time_interval=2) == [
        ("0", "2026-11-24T06:00:00+00:00", 2),
        ("1", "2026-11-24T06:02:00+00:00", 2),
        ("2", "2026-11-24T06:04:00+00:00", 1),
        ("3", "2026-11-24T06:06:00+00:00", 0),
    ]
    wrong: tuple[tuple[str, Json], ...] = (
        ("color", {}),
        ("time", {"time_interval": 0.001}),
        ("time", {"time_unit": "second", "time_interval": 0.01}),
        ("time", {"time_unit": "year"}),
        ("day", {"filter": {"occurred": {"since": "9999-12-31T00:00:00Z"}}}),
    )
    for what, more in wrong:
        body = {"filter": {"occurred": hour}, **more}
        assert (await client.post(f"/events/count-by/{what}", json=body)).status_code == 422
