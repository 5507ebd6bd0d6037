"""Deferred task runs over a websocket: each to one task worker."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from app.services import ServicesConfig
from tests.api.test_events_in import open_socket
from tests.processes import ApiProcess

PATH = "/task_runs/subscriptions/scheduled"
Subscription = ClientConnection
Eventually = Callable[..., Awaitable[None]]


async def subscribed(server: ApiProcess, *keys: str, client_id: str = "w") -> Subscription:
    """A task worker of these tasks."""
    socket = await open_socket(server, PATH)
    await socket.send(json.dumps({"type": "subscribe", "keys": keys, "client_id": client_id}))
    return socket


async def delayed(server: ApiProcess, key: str, **fields: Any) -> str:
    """A task run that waits for a task worker."""
    state = {"type": "SCHEDULED", "state_details": {"deferred": True}}
    body = {"task_key": key, "dynamic_key": str(uuid.uuid4()), "state": state, **fields}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}/task_runs/", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def handed(socket: Subscription, *, within: float = 5.0) -> dict[str, Any]:
    """The next run, acknowledged."""
    async with asyncio.timeout(within):
        run: dict[str, Any] = json.loads(await socket.recv())
    await socket.send('{"type":"ack"}')
    return run


async def nothing(socket: Subscription) -> bool:
    """Whether no run comes for a moment."""
    try:
        async with asyncio.timeout(0.5):
            await socket.recv()
    except TimeoutError:
        return True
    return False


async def workers(server: ApiProcess, *keys: str) -> list[dict[str, Any]]:
    body = {"task_worker_filter": {"task_keys": keys}} if keys else {}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}/task_workers/filter", json=body)
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_a_waiting_run_and_a_new_one_come_in_order(server: ApiProcess) -> None:
    waiting = await delayed(server, "a", task_inputs={}, tags=["t"])
    await delayed(server, "other")
    socket = await subscribed(server, "b", "a")
    first = await handed(socket)
    assert (first["id"], first["state_type"], first["tags"]) == (waiting, "SCHEDULED", ["t"])
    assert first["state"]["state_details"]["deferred"] is True
    assert await nothing(socket)
    later = await delayed(server, "b")
    assert (await handed(socket))["id"] == later
    # What was acknowledged never comes again.
    await socket.close()
    assert await nothing(await subscribed(server, "a", "b"))


async def test_each_run_goes_to_one_worker_whatever_process_serves_it(
    server: ApiProcess, services_config: ServicesConfig, eventually: Eventually
) -> None:
    async with ApiProcess.run(services_config) as other:
        sockets = [await subscribed(each, "a") for each in (server, other) * 3]
        expected = {await delayed(server, "a") for _ in range(30)}
        seen: list[str] = []

        async def work(socket: Subscription) -> None:
            while True:
                seen.append((await handed(socket, within=60))["id"])

        async def all_seen() -> bool:
            return len(seen) >= 30

        tasks = [asyncio.create_task(work(socket)) for socket in sockets]
        await eventually(all_seen)
        assert all([await nothing(await subscribed(each, "a")) for each in (server, other)])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(seen) == sorted(expected)


async def test_a_run_that_was_not_acknowledged_goes_to_another_worker(server: ApiProcess) -> None:
    socket = await subscribed(server, "a")
    id = await delayed(server, "a")
    assert json.loads(await socket.recv())["id"] == id
    second = await subscribed(server, "a")
    assert await nothing(second)
    await socket.close()
    assert (await handed(second))["id"] == id


async def test_a_run_that_no_longer_waits_is_not_handed_out(server: ApiProcess) -> None:
    gone = await delayed(server, "a")
    deleted = await delayed(server, "a")
    body = {"state": {"type": "CANCELLED"}, "force": True}
    async with httpx.AsyncClient() as client:
        await client.post(f"{server.url}/task_runs/{gone}/set_state", json=body)
        await client.delete(f"{server.url}/task_runs/{deleted}")
    socket = await subscribed(server, "a")
    assert await nothing(socket)
    again = {"state": {"type": "SCHEDULED", "state_details": {"deferred": True}}, "force": True}
    async with httpx.AsyncClient() as client:
        await client.post(f"{server.url}/task_runs/{gone}/set_state", json=again)
    assert (await handed(socket))["id"] == gone


async def test_connected_workers_are_listed(server: ApiProcess, eventually: Eventually) -> None:
    one = await subscribed(server, "a", "b", client_id="one")
    two = await subscribed(server, "b", client_id="two")
    await (await one.ping())
    await (await two.ping())

    async def connected(count: int) -> bool:
        return len(await workers(server)) == count

    await eventually(lambda: connected(2))
    assert [(each["identifier"], each["task_keys"]) for each in await workers(server)] == [
        ("one", ["a", "b"]),
        ("two", ["b"]),
    ]
    assert [each["identifier"] for each in await workers(server, "a")] == ["one"]
    assert await workers(server, "c") == []
    await one.send('{"type":"quit"}')
    await one.wait_closed()
    await eventually(lambda: connected(1))
    assert [each["identifier"] for each in await workers(server)] == ["two"]


async def test_anything_but_a_subscription_closes_the_socket(server: ApiProcess) -> None:
    for frame in (
        "{",
        '{"type":"ack"}',
        '{"type":"subscribe","keys":[],"client_id":"w"}',
        '{"type":"subscribe","keys":["a"]}',
        '{"type":"subscribe","keys":"a","client_id":"w"}',
    ):
        socket = await open_socket(server, PATH)
        await socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


async def test_a_wrong_answer_closes_the_socket_and_frees_the_run(server: ApiProcess) -> None:
    socket = await subscribed(server, "a")
    id = await delayed(server, "a")
    await socket.recv()
    await socket.send('{"type":"nack"}')
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    assert (await handed(await subscribed(server, "a")))["id"] == id


async def test_a_filter_of_workers_that_is_none_is_refused(
    shared_client: httpx.AsyncClient,
) -> None:
    bodies: list[dict[str, Any]] = [
        {"task_worker_filter": {"task_keys": 1}},
        {"task_worker_filter": {}},
    ]
    for body in bodies:
        answer = await shared_client.post("/task_workers/filter", json=body)
        assert answer.status_code == 422, answer.text
