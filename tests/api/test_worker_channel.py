"""The worker channel: a worker says hello, is heard, and hears of its pool."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from app.wire.base import Json
from storage.postgres.pool import Pool, open_pool
from tests.api.channel import (
    CONSUMER,
    REQUIRED,
    closed,
    connected,
    frame,
    heard,
    heartbeat,
    hello,
    path_of,
    silent,
)
from tests.api.test_events_in import open_socket
from tests.api.test_handshake import PREFECT, serving
from tests.conftest import EmbeddedServers, installation, own_bucket, own_database
from tests.processes import ApiProcess

if TYPE_CHECKING:
    from app.services import ServicesConfig

TEMPLATE: Json = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}
UNUSABLE: Json = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object"},
}

AUTHORIZATION_FAILED = (1008, "authorization_failed")
PROTOCOL_ERROR = (1002, "protocol_error")


async def changes_told(database: Pool, id: str) -> int:
    """How many events tell of a change of the work pool."""
    sql = (
        "SELECT count(*) FROM event WHERE event = 'prefect.work-pool.updated'"
        " AND resource ->> 'prefect.resource.id' = $1"
    )
    return int(await database.fetchval(sql, f"prefect.work-pool.{id}"))


async def refused(server: ApiProcess, pool: str, first: object) -> tuple[int, str]:
    """How a socket is closed on which this was the first frame; text is sent as it is."""
    socket = await open_socket(server, path_of(pool))
    await socket.send(first if isinstance(first, str | bytes) else json.dumps(first))
    return await closed(socket)


class Rest:
    """Requests about one work pool, beside the channel."""

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self._client = client
        self._path = f"/work_pools/{name}"
        self._name = name

    async def make_pool(self, **fields: object) -> Json:
        body = {"name": self._name, "type": "process", **fields}
        made: Json = (await self._client.post("/work_pools/", json=body)).raise_for_status().json()
        return made

    async def make_queue(self, name: str) -> None:
        body = {"name": name}
        (await self._client.post(f"{self._path}/queues", json=body)).raise_for_status()

    async def change_queue(self, name: str, **fields: object) -> None:
        (await self._client.patch(f"{self._path}/queues/{name}", json=fields)).raise_for_status()

    async def is_there(self) -> bool:
        return (await self._client.get(self._path)).status_code == 200

    async def pool(self) -> Json:
        read: Json = (await self._client.get(self._path)).raise_for_status().json()
        return read

    async def change(self, **fields: object) -> None:
        (await self._client.patch(self._path, json=fields)).raise_for_status()

    async def delete(self) -> None:
        (await self._client.delete(self._path)).raise_for_status()

    async def workers(self) -> list[Json]:
        answer = await self._client.post(f"{self._path}/workers/filter", json={})
        found: list[Json] = answer.raise_for_status().json()
        return found


@pytest.fixture(scope="module")
async def config(embedded_servers: EmbeddedServers) -> AsyncIterator[ServicesConfig]:
    """One installation for all of these tests: each has a work pool of its own."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
    ):
        yield installation(database_url, s3)


@pytest.fixture(scope="module")
async def server(config: ServicesConfig) -> AsyncIterator[ApiProcess]:
    """Its API."""
    async with ApiProcess.run(config) as process:
        yield process


@pytest.fixture
async def database(config: ServicesConfig) -> AsyncIterator[Pool]:
    """Connections to its database."""
    pool = await open_pool(config.database_url, max_size=2)
    yield pool
    await pool.close()


@pytest.fixture
def name() -> str:
    """The name of this test's work pool."""
    return f"p-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def rest(server: ApiProcess, name: str) -> AsyncIterator[Rest]:
    """Requests about this test's work pool."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        yield Rest(client, name)


# Hello and ready -----------------------------------------------------------------------------------


async def test_a_hello_is_answered_with_the_pool_and_its_queues(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool(concurrency_limit=3)
    for queue in ("low", "high"):
        await rest.make_queue(queue)
    socket, ready = await connected(server, name, requested_capabilities=[*REQUIRED, "new.v1"])
    snapshot = ready.pop("initial_snapshot")
    queues = ready.pop("resolved_work_queues")
    assert ready == {
        "consumer_id": CONSUMER,
        "worker_id": None,
        "selected_channel_version": "work_pool_worker_channel.v1",
        "effective_heartbeat_interval_seconds": 30,
        "accepted_capabilities": REQUIRED,
        "rejected_capabilities": ["new.v1"],
        "effective_max_cleanup_concurrency": 0,
    }
    assert [queue["name"] for queue in queues] == ["default", "low", "high"]
    assert (snapshot["snapshot_sequence"], snapshot["reason"]) == (1, "initial")
    # The hello itself made the pool ready.
    assert snapshot["work_pool"] == await rest.pool()
    assert (snapshot["work_pool"]["status"], snapshot["work_pool"]["active_slots"]) == ("READY", 0)
    [worker] = await rest.workers()
    assert (worker["name"], worker["status"], worker["heartbeat_interval_seconds"]) == (
        "w",
        "ONLINE",
        30,
    )
    assert await silent(socket)


async def test_the_queues_that_are_named_are_resolved_once_each(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool()
    await rest.make_queue("b")
    _, ready = await connected(server, name, work_queue_names=["b", "default", "b"])
    assert [queue["name"] for queue in ready["resolved_work_queues"]] == ["b", "default"]


async def test_a_pool_that_is_not_there_is_made_for_who_asks(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    _, ready = await connected(
        server, name, create_pool_if_not_found=True, default_base_job_template=TEMPLATE
    )
    made = ready["initial_snapshot"]["work_pool"]
    assert made == await rest.pool()
    assert (made["type"], made["base_job_template"], made["status"]) == (
        "process",
        TEMPLATE,
        "READY",
    )
    assert [queue["id"] for queue in ready["resolved_work_queues"]] == [made["default_queue_id"]]
    # A second worker finds it, whatever template it brings.
    other: Json = {**TEMPLATE, "job_configuration": {}}
    _, again = await connected(
        server, name, create_pool_if_not_found=True, default_base_job_template=other
    )
    assert again["initial_snapshot"]["work_pool"] == made


async def test_many_workers_that_make_one_pool_at_once_share_it(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    greetings = [
        connected(server, name, create_pool_if_not_found=True, worker_name=f"w{number}")
        for number in range(10)
    ]
    ids = {
        ready["initial_snapshot"]["work_pool"]["id"]
        for _, ready in await asyncio.gather(*greetings)
    }
    assert len(ids) == 1
    assert len(await rest.workers()) == 10


async def test_a_pool_without_a_template_gets_that_of_the_worker(
    server: ApiProcess, rest: Rest, name: str, database: Pool
) -> None:
    await rest.make_pool()
    before, _ = await connected(server, name, worker_name="earlier")
    socket, ready = await connected(server, name, default_base_job_template=TEMPLATE)
    assert ready["initial_snapshot"]["work_pool"]["base_job_template"] == TEMPLATE
    # Everybody on a channel hears of it, who brought it too.
    for each in (before, socket):
        told = await heard(each)
        assert told["payload"]["reason"] == "work_pool_updated"
        assert told["payload"]["work_pool"]["base_job_template"] == TEMPLATE
    assert await changes_told(database, ready["initial_snapshot"]["work_pool"]["id"]) == 1


async def test_the_first_of_many_templates_stays(
    server: ApiProcess, rest: Rest, name: str, database: Pool
) -> None:
    id = (await rest.make_pool())["id"]
    greetings = [
        connected(
            server,
            name,
            worker_name=f"w{number}",
            default_base_job_template={**TEMPLATE, "number": number},
        )
        for number in range(10)
    ]
    snapshots = [
        ready["initial_snapshot"]["work_pool"] for _, ready in await asyncio.gather(*greetings)
    ]
    kept = (await rest.pool())["base_job_template"]
    assert [snapshot["base_job_template"] for snapshot in snapshots] == [kept] * 10
    assert await changes_told(database, id) == 1


# Refusals ------------------------------------------------------------------------------------------


async def test_the_subprotocol_is_required(server: ApiProcess, rest: Rest, name: str) -> None:
    await rest.make_pool()
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(server.url.replace("http://", "ws://") + path_of(name))
    assert caught.value.response.status_code == 403


async def test_who_does_not_authenticate_is_told_so_in_one_word(
    config: ServicesConfig, name: str
) -> None:
    async with serving(config, auth_string="admin:pass") as port:
        url = f"ws://127.0.0.1:{port}/api{path_of('p')}"
        for first in (
            hello(),
            {"type": "auth", "token": None},
            {"type": "auth", "token": "admin:wrong"},
        ):
            socket = await connect(url, subprotocols=[PREFECT])
            await socket.send(json.dumps(first))
            assert await closed(socket) == (1008, "authentication_failed")
        socket = await connect(url, subprotocols=[PREFECT])
        await socket.send(json.dumps({"type": "auth", "token": "admin:pass"}))
        assert json.loads(await socket.recv()) == {"type": "auth_success"}
        await socket.send(json.dumps(hello(create_pool_if_not_found=True)))
        assert (await heard(socket))["type"] == "worker.ready.v1"
        await socket.close()


async def test_a_version_that_is_not_spoken_is_refused_before_anything_is_made(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    first = hello(supported_channel_versions=["v9"], create_pool_if_not_found=True)
    assert await refused(server, name, first) == (1008, "unsupported_version")
    assert not await rest.is_there()


async def test_what_a_worker_may_not_have_is_refused(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    unknown_queue = hello(create_pool_if_not_found=True, work_queue_names=["none"])
    assert await refused(server, name, hello()) == AUTHORIZATION_FAILED
    assert await refused(server, name, unknown_queue) == AUTHORIZATION_FAILED
    assert not await rest.is_there()
    reserved = hello(create_pool_if_not_found=True)
    assert await refused(server, "Prefect-own", reserved) == AUTHORIZATION_FAILED
    await rest.make_pool()
    assert await refused(server, name, unknown_queue) == AUTHORIZATION_FAILED
    assert await rest.workers() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"consumer_id": "x"},
        {"worker_name": ""},
        {"worker_name": "a\0b"},
        {"worker_type": None},
        {"heartbeat_interval_seconds": 0},
        {"heartbeat_interval_seconds": 2**31},
        {"heartbeat_interval_seconds": "30"},
        {"supported_channel_versions": []},
        {"requested_capabilities": ["worker_heartbeat.v1"]},
        {"work_queue_names": [""]},
        {"handled_cleanup_kinds": ["cancelling_timeout_teardown.v1"]},
        {"max_cleanup_concurrency": 1},
        {"max_cleanup_concurrency": None},
        {
            "requested_capabilities": [*REQUIRED, "cleanup_delivery.v1"],
            "handled_cleanup_kinds": ["other.v1"],
        },
        {"default_base_job_template": UNUSABLE},
        {"more": 1},
    ],
    ids=str,
)
async def test_a_hello_that_does_not_fit_changes_nothing(
    server: ApiProcess, rest: Rest, name: str, changes: Json
) -> None:
    before = await rest.make_pool()
    assert await refused(server, name, hello(**changes)) == PROTOCOL_ERROR
    assert await rest.pool() == before
    assert await rest.workers() == []


async def test_a_first_frame_that_is_no_hello_is_refused(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool()
    without_id = hello()
    del without_id["id"]
    firsts: list[object] = [
        "{",
        "[]",
        json.dumps(hello()).encode(),
        "[" * 100_000,
        heartbeat(),
        frame("worker.bye.v1", {}),
        {**hello(), "more": 1},
        {**hello(), "sent_at": "soon"},
        without_id,
    ]
    for first in firsts:
        assert await refused(server, name, first) == PROTOCOL_ERROR, first


async def test_a_pool_of_an_impossible_name_or_template_is_not_made(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    create = hello(create_pool_if_not_found=True)
    assert await refused(server, "a%26b", create) == PROTOCOL_ERROR
    template = hello(create_pool_if_not_found=True, default_base_job_template=UNUSABLE)
    assert await refused(server, name, template) == PROTOCOL_ERROR
    assert not await rest.is_there()


# Heartbeats ----------------------------------------------------------------------------------------


async def test_a_heartbeat_brings_the_worker_and_its_pool_back(
    server: ApiProcess, rest: Rest, name: str, database: Pool
) -> None:
    id = (await rest.make_pool())["id"]
    socket, _ = await connected(server, name)
    await database.execute(
        "UPDATE worker SET status = 'OFFLINE', last_heartbeat_time = '2026-01-01'"
        " WHERE work_pool_id = $1",
        id,
    )
    await database.execute("UPDATE work_pool SET status = 'NOT_READY' WHERE id = $1", id)
    await socket.send(json.dumps(heartbeat(heartbeat_interval_seconds=7)))
    told = (await heard(socket))["payload"]
    assert (told["reason"], told["snapshot_sequence"]) == ("heartbeat_reconciliation", 2)
    assert told["work_pool"]["status"] == "READY"
    [worker] = await rest.workers()
    assert (worker["status"], worker["heartbeat_interval_seconds"]) == ("ONLINE", 7)
    assert worker["last_heartbeat_time"] > "2026-02"
    await socket.send(json.dumps(heartbeat()))
    assert await silent(socket)


@pytest.mark.parametrize(
    "second",
    [
        heartbeat(consumer_id=str(uuid.UUID(int=7))),
        heartbeat(worker_name="other"),
        heartbeat(heartbeat_interval_seconds=-1),
        heartbeat(more=1),
        {**heartbeat(), "more": 1},
        hello(),
        frame("worker.ready.v1", {}),
    ],
    ids=lambda sent: json.dumps(sent["payload"])[:60],
)
async def test_a_frame_that_is_not_expected_ends_the_channel(
    server: ApiProcess, name: str, second: Json
) -> None:
    socket, _ = await connected(server, name, create_pool_if_not_found=True)
    await socket.send(json.dumps(second))
    assert await closed(socket) == PROTOCOL_ERROR


async def test_a_heartbeat_that_cannot_be_kept_asks_the_worker_to_come_again(
    server: ApiProcess, rest: Rest, name: str, database: Pool
) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    await database.execute("ALTER TABLE worker ADD CONSTRAINT none CHECK (false) NOT VALID")
    try:
        await socket.send(json.dumps(heartbeat()))
        assert await closed(socket) == (1011, "heartbeat_persistence_failed")
        assert await refused(server, name, hello()) == (1011, "transient_server_error")
    finally:
        await database.execute("ALTER TABLE worker DROP CONSTRAINT none")
    await connected(server, name)


async def test_a_worker_that_leaves_stays_known_until_it_misses_heartbeats(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    await socket.close()
    vanished, _ = await connected(server, name)
    vanished.transport.abort()
    await rest.change(is_paused=True)
    [worker] = await rest.workers()
    assert worker["status"] == "ONLINE"
    again, _ = await connected(server, name)
    await rest.change(is_paused=False)
    assert (await heard(again))["payload"]["snapshot_sequence"] == 2


# Snapshots -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"is_paused": True},
        {"concurrency_limit": 5},
        {"base_job_template": TEMPLATE},
        {"storage_configuration": {"bundle_upload_step": {"a": 1}}},
    ],
    ids=str,
)
async def test_a_change_of_the_pool_is_told(
    server: ApiProcess, rest: Rest, name: str, change: Json
) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    await rest.change(**change)
    told = await heard(socket)
    assert told["type"] == "work_pool.snapshot.v1"
    assert told["payload"] == {
        "snapshot_sequence": 2,
        "reason": "work_pool_updated",
        "work_pool": await rest.pool(),
    }


async def test_what_workers_need_not_know_waits_for_their_heartbeat(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    await rest.change(description="d")
    # A queue is no part of a snapshot.
    await rest.make_queue("q")
    await rest.change_queue("q", is_paused=True)
    assert await silent(socket)
    await socket.send(json.dumps(heartbeat()))
    told = (await heard(socket))["payload"]
    assert (told["reason"], told["work_pool"]["description"]) == ("heartbeat_reconciliation", "d")


async def test_the_last_of_many_changes_is_seen_and_no_snapshot_is_missed(
    server: ApiProcess, rest: Rest, name: str
) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    for limit in range(1, 21):
        await rest.change(concurrency_limit=limit)
    sequences = []
    while True:
        told = (await heard(socket))["payload"]
        sequences.append(told["snapshot_sequence"])
        if told["work_pool"]["concurrency_limit"] == 20:
            break
    assert sequences == list(range(2, 2 + len(sequences)))


async def test_a_deleted_pool_ends_its_channels(server: ApiProcess, rest: Rest, name: str) -> None:
    await rest.make_pool()
    socket, _ = await connected(server, name)
    untouched, _ = await connected(server, f"{name}-other", create_pool_if_not_found=True)
    await rest.delete()
    assert await closed(socket) == AUTHORIZATION_FAILED
    assert await silent(untouched)


async def test_a_change_through_another_process_is_told_and_a_lost_listener_makes_up_for_it(
    server: ApiProcess, config: ServicesConfig, rest: Rest, name: str, database: Pool
) -> None:
    await rest.make_pool()
    async with ApiProcess.run(config) as other:
        here, _ = await connected(server, name, worker_name="here")
        there, _ = await connected(other, name, worker_name="there")
        await rest.change(is_paused=True)
        for socket in (here, there):
            assert (await heard(socket))["payload"]["work_pool"]["is_paused"] is True
        # What is told while nobody listens is looked for afterwards.
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
        )
        await database.execute("UPDATE work_pool SET concurrency_limit = 9 WHERE name = $1", name)
        for socket in (here, there):
            told = (await heard(socket, within=10))["payload"]
            assert told["work_pool"]["concurrency_limit"] == 9
