"""What workers are asked to clean up over their channel, and their answers."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from app.services import Services, open_services
from app.wire.base import Json, new_id
from jobs.cancellation_cleanup import clean_up_after_cancellation
from jobs.worker_cleanup import redeliver_cleanups
from storage.postgres.pool import connection
from storage.postgres.worker_cleanup import insert_cleanup
from tests.api.channel import REQUIRED, connected, frame, heard, silent
from tests.conftest import EmbeddedServers, installation, own_bucket, own_database
from tests.processes import ApiProcess

if TYPE_CHECKING:
    from app.services import ServicesConfig

KIND = "cancelling_timeout_teardown.v1"


@pytest.fixture(scope="module")
async def config(embedded_servers: EmbeddedServers) -> AsyncIterator[ServicesConfig]:
    """One installation for all of these tests; a cancellation is late at once."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
    ):
        yield replace(installation(database_url, s3), cancelling_timeout_seconds=0)


@pytest.fixture(scope="module")
async def server(config: ServicesConfig) -> AsyncIterator[ApiProcess]:
    """Its API."""
    async with ApiProcess.run(config) as process:
        yield process


@pytest.fixture(scope="module")
async def services(config: ServicesConfig) -> AsyncIterator[Services]:
    """What its jobs work with."""
    async with open_services(replace(config, serves_clients=False)) as opened:
        yield opened


@pytest.fixture
async def client(server: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to it."""
    async with httpx.AsyncClient(base_url=server.url) as opened:
        yield opened


@pytest.fixture
async def work_pool(client: httpx.AsyncClient) -> Json:
    """A work pool of this test's own."""
    body = {"name": f"p-{uuid.uuid4().hex[:8]}", "type": "process"}
    made: Json = (await client.post("/work_pools/", json=body)).raise_for_status().json()
    return made


async def cleaner(
    server: ApiProcess, pool: Json, *, consumer_id: str | None = None, **changes: object
) -> ClientConnection:
    """A worker that takes clean-ups, one at a time unless told otherwise."""
    socket, ready = await connected(
        server,
        pool["name"],
        consumer_id=consumer_id or str(uuid.uuid4()),
        requested_capabilities=[*REQUIRED, "cleanup_delivery.v1"],
        handled_cleanup_kinds=[KIND],
        **changes,
    )
    assert "cleanup_delivery.v1" in ready["accepted_capabilities"]
    assert ready["effective_max_cleanup_concurrency"] == changes.get("max_cleanup_concurrency", 1)
    return socket


async def asked(
    services: Services, pool: Json, *, queue_id: str | None = None, age: float = 0
) -> str:
    """Ask the workers of the pool for a clean-up; gives the message's id."""
    id = new_id()
    async with connection(services.pool) as conn:
        await insert_cleanup(
            conn,
            id=id,
            work_pool_id=uuid.UUID(pool["id"]),
            work_queue_id=uuid.UUID(queue_id or pool["default_queue_id"]),
            kind=KIND,
            target={"flow_run_id": str(uuid.uuid4()), "infrastructure_pid": "host:1"},
            now=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age),
        )
    return str(id)


async def message(socket: ClientConnection) -> Json:
    """The clean-up that the worker is asked for next."""
    received = await heard(socket)
    assert received["type"] == "cleanup.message.v1"
    payload: Json = received["payload"]
    return payload


async def answered(
    socket: ClientConnection, operation: str, message: Json, **changes: object
) -> Json:
    """What the server says to the worker's answer."""
    payload: Json = {key: message[key] for key in ("message_id", "reservation_token")}
    sent = frame(f"cleanup.{operation}.v1", {**payload, **changes})
    await socket.send(json.dumps(sent))
    received = await heard(socket)
    assert received["type"] == "cleanup.operation_result.v1"
    result: Json = received["payload"]
    assert result.pop("request_frame_id") == sent["id"]
    assert result.pop("message_id") == payload["message_id"]
    assert (result.pop("operation"), result.pop("detail")) == (operation, None)
    return result


def outcome(status: str, reason: str | None = None, lease_expires_at: str | None = None) -> Json:
    """What is left of a result."""
    return {"status": status, "reason": reason, "lease_expires_at": lease_expires_at}


async def cancelling_run(client: httpx.AsyncClient, pool: Json) -> Json:
    """A run of a deployment of the pool that is to end, and of which a process may be left."""
    flow = (await client.post("/flows/", json={"name": pool["name"]})).json()
    body = {"name": "d", "flow_id": flow["id"], "work_pool_name": pool["name"]}
    deployment = (await client.post("/deployments/", json=body)).json()
    path = f"/deployments/{deployment['id']}/create_flow_run"
    run: Json = (await client.post(path, json={})).json()
    await client.patch(f"/flow_runs/{run['id']}", json={"infrastructure_pid": "host:42"})
    for type in ("PENDING", "RUNNING", "CANCELLING"):
        answer = await client.post(
            f"/flow_runs/{run['id']}/set_state", json={"state": {"type": type}}
        )
        assert answer.json()["status"] == "ACCEPT", answer.text
    return run


async def test_a_worker_is_asked_to_end_a_run_whose_cancellation_timed_out(
    server: ApiProcess, services: Services, client: httpx.AsyncClient, work_pool: Json
) -> None:
    run = await cancelling_run(client, work_pool)
    waiting = await cleaner(server, work_pool)
    await clean_up_after_cancellation(services)
    sent = await message(waiting)
    assert sent["target"] == {"flow_run_id": run["id"], "infrastructure_pid": "host:42"}
    assert (sent["kind"], sent["work_queue_id"], sent["data"], sent["delivery_count"]) == (
        KIND,
        work_pool["default_queue_id"],
        {},
        1,
    )
    assert (await client.get(f"/flow_runs/{run['id']}")).json()["state_type"] == "CANCELLED"
    assert await answered(waiting, "ack", sent) == outcome("accepted")
    assert await answered(waiting, "ack", sent) == outcome("not_found", "message_not_found")
    # It is asked for once.
    await clean_up_after_cancellation(services)
    assert await silent(await cleaner(server, work_pool))


async def test_pools_without_workers_are_asked_for_nothing(
    services: Services, client: httpx.AsyncClient
) -> None:
    body = {"name": f"p-{uuid.uuid4().hex[:8]}", "type": "ecs:push"}
    pool = (await client.post("/work_pools/", json=body)).raise_for_status().json()
    run = await cancelling_run(client, pool)
    await clean_up_after_cancellation(services)
    assert (await client.get(f"/flow_runs/{run['id']}")).json()["state_type"] == "CANCELLED"
    kept = "SELECT count(*) FROM worker_cleanup WHERE work_pool_id = $1"
    assert await services.pool.fetchval(kept, pool["id"]) == 0


async def test_what_waits_goes_to_one_worker_as_far_as_it_has_room(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    ids = [await asked(services, work_pool) for _ in range(3)]
    first = await cleaner(server, work_pool, max_cleanup_concurrency=2)
    taken = [await message(first), await message(first)]
    assert [each["message_id"] for each in taken] == ids[:2]
    assert await silent(first)
    second = await cleaner(server, work_pool)
    assert (await message(second))["message_id"] == ids[2]
    # Room again: the next that comes.
    await answered(first, "ack", taken[0])
    later = await asked(services, work_pool)
    assert (await message(first))["message_id"] == later
    assert await silent(second)


async def test_a_worker_that_connects_again_still_has_what_it_took(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    await asked(services, work_pool)
    await asked(services, work_pool)
    consumer = str(uuid.uuid4())
    socket = await cleaner(server, work_pool, consumer_id=consumer)
    taken = await message(socket)
    await socket.close()
    again = await cleaner(server, work_pool, consumer_id=consumer)
    assert await silent(again)
    assert await answered(again, "ack", taken) == outcome("accepted")
    assert (await message(again))["message_id"] != taken["message_id"]


async def test_what_is_released_comes_again_and_not_for_ever(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    id = await asked(services, work_pool)
    socket = await cleaner(server, work_pool)
    tokens = set()
    for count in (1, 2, 3):
        sent = await message(socket)
        assert (sent["message_id"], sent["delivery_count"]) == (id, count)
        tokens.add(sent["reservation_token"])
        result = await answered(socket, "release", sent, reason="busy")
        if count < 3:
            assert result == outcome("accepted")
    assert result == outcome("dead_lettered", "max_delivery_attempts_reached")
    assert len(tokens) == 3
    assert await silent(socket)
    died = "SELECT release_reason FROM worker_cleanup WHERE id = $1 AND died IS NOT NULL"
    assert await services.pool.fetchval(died, id) == "busy"


async def test_only_who_has_a_message_may_speak_of_it(
    server: ApiProcess, services: Services, client: httpx.AsyncClient, work_pool: Json
) -> None:
    await asked(services, work_pool)
    socket = await cleaner(server, work_pool)
    sent = await message(socket)
    guessed = await answered(socket, "ack", sent, reservation_token="guessed")
    assert guessed == outcome("invalid_token", "reservation_token_mismatch")
    body = {"name": f"p-{uuid.uuid4().hex[:8]}", "type": "process"}
    other_pool = (await client.post("/work_pools/", json=body)).json()
    stranger = await cleaner(server, other_pool)
    refused = await answered(stranger, "ack", sent)
    assert refused == outcome("unauthorized", "work_pool_mismatch")
    plain, _ = await connected(server, work_pool["name"])
    refused = await answered(plain, "ack", sent)
    assert refused == outcome("unauthorized", "cleanup_delivery_not_accepted")
    assert await answered(socket, "ack", sent) == outcome("accepted")


async def test_a_lease_is_renewed_from_now_on(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    id = await asked(services, work_pool)
    socket = await cleaner(server, work_pool)
    sent = await message(socket)
    result = await answered(socket, "renew", sent)
    assert result["status"] == "accepted"
    assert result["lease_expires_at"] > sent["lease_expires_at"]
    kept = await services.pool.fetchval(
        "SELECT lease_expires_at FROM worker_cleanup WHERE id = $1", id
    )
    assert kept == dt.datetime.fromisoformat(result["lease_expires_at"])


async def test_what_a_worker_did_not_finish_goes_to_another_and_dies_at_last(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    id = await asked(services, work_pool)
    vanished = await cleaner(server, work_pool)
    sent = await message(vanished)
    run_out = "UPDATE worker_cleanup SET lease_expires_at = now() - interval '1 s' WHERE id = $1"
    await services.pool.execute(run_out, id)
    late = await answered(vanished, "ack", sent)
    assert late == outcome("expired", "lease_expired")
    assert (await message(vanished))["delivery_count"] == 2
    vanished.transport.abort()
    other = await cleaner(server, work_pool)
    assert await silent(other)
    await services.pool.execute(run_out, id)
    assert await redeliver_cleanups(services) == {"redelivered": 1, "dead": 0, "forgotten": 0}
    assert (await message(other))["delivery_count"] == 3
    await services.pool.execute(run_out, id)
    assert await redeliver_cleanups(services) == {"redelivered": 0, "dead": 1, "forgotten": 0}
    assert await silent(other)
    old = "UPDATE worker_cleanup SET created = now() - interval '8 days' WHERE id = $1"
    await services.pool.execute(old, id)
    assert (await redeliver_cleanups(services))["forgotten"] == 1


async def test_a_message_is_left_to_the_workers_of_its_queue_for_a_while(
    server: ApiProcess, services: Services, client: httpx.AsyncClient, work_pool: Json
) -> None:
    path = f"/work_pools/{work_pool['name']}/queues"
    queue = (await client.post(path, json={"name": "own"})).raise_for_status().json()
    elsewhere = await cleaner(server, work_pool, work_queue_names=["default"])
    young = await asked(services, work_pool, queue_id=queue["id"])
    assert await silent(elsewhere)
    serving = await cleaner(server, work_pool, work_queue_names=["own"])
    assert (await message(serving))["message_id"] == young
    old = await asked(services, work_pool, queue_id=queue["id"], age=6)
    assert (await message(elsewhere))["message_id"] == old


async def test_an_answer_that_cannot_be_kept_may_be_given_again(
    server: ApiProcess, services: Services, work_pool: Json
) -> None:
    await asked(services, work_pool)
    socket = await cleaner(server, work_pool)
    sent = await message(socket)
    await services.pool.execute(
        "ALTER TABLE worker_cleanup ADD CONSTRAINT none CHECK (false) NOT VALID"
    )
    try:
        result = await answered(socket, "renew", sent)
    finally:
        await services.pool.execute("ALTER TABLE worker_cleanup DROP CONSTRAINT none")
    assert result == outcome("error", "cleanup_queue_operation_failed")
    assert await answered(socket, "ack", sent) == outcome("accepted")


@pytest.mark.parametrize(
    "answer",
    [
        frame("cleanup.ack.v1", {"message_id": str(uuid.UUID(int=1))}),
        frame("cleanup.ack.v1", {"message_id": str(uuid.UUID(int=1)), "reservation_token": ""}),
        frame("cleanup.release.v1", {"message_id": "x", "reservation_token": "t", "reason": "r"}),
        frame(
            "cleanup.renew.v1",
            {"message_id": str(uuid.UUID(int=1)), "reservation_token": "t", "reason": "r"},
        ),
    ],
    ids=lambda sent: sent["type"],
)
async def test_an_answer_that_does_not_fit_ends_the_channel(
    server: ApiProcess, work_pool: Json, answer: Json
) -> None:
    socket = await cleaner(server, work_pool)
    await socket.send(json.dumps(answer))
    async with asyncio.timeout(5):
        await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (1002, "protocol_error")


async def test_each_message_goes_to_one_worker_whatever_process_serves_it(
    server: ApiProcess,
    config: ServicesConfig,
    services: Services,
    work_pool: Json,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    seen: list[str] = []

    async def work(socket: ClientConnection) -> None:
        while True:
            received = json.loads(await socket.recv())
            if received["type"] == "cleanup.message.v1":
                seen.append(received["payload"]["message_id"])
                claim = {
                    key: received["payload"][key] for key in ("message_id", "reservation_token")
                }
                await socket.send(json.dumps(frame("cleanup.ack.v1", claim)))

    async with ApiProcess.run(config) as other:
        sockets = [await cleaner(each, work_pool) for each in (server, other) * 3]
        tasks = [asyncio.create_task(work(socket)) for socket in sockets]
        expected = [await asked(services, work_pool) for _ in range(40)]

        async def all_done() -> bool:
            return len(seen) >= 40

        await eventually(all_done, within=20)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(seen) == sorted(expected)
