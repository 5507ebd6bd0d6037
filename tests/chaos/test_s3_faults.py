"""Whatever S3 does, lines are taken, what is hot is read, and the rest says what is wrong; objects that
were damaged are named with the lines that they held."""

import asyncio
import random
import uuid
from dataclasses import replace
from typing import get_args

import httpx
import pytest

from app.services import Services, ServicesConfig
from storage.errors import LinesUnreadable, Unavailable
from storage.logs.engine import Engine
from storage.logs.offload import offload_pass
from storage.logs.reader import LogReader
from storage.logs.segment import footer_length
from storage.objects import s3
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.faulty_s3 import Fault, FaultyS3
from tests.conftest import client_of, started_app
from tests.storage.test_log_tier import line, of_run, offload_everything, post, read

FLIPS = 100


@pytest.mark.parametrize("fault", get_args(Fault))
async def test_lines_are_taken_and_hot_ones_read_whatever_s3_does(
    services_config: ServicesConfig,
    faulty: FaultyS3,
    fault: Fault,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "READ_RANGE_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(s3, "OPERATION_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(s3, "CHECK_TIMEOUT_SECONDS", 1.0)
    archived, hot = ledger.Run(), ledger.Run()
    through_proxy = replace(services_config.s3, endpoint_url=f"http://127.0.0.1:{faulty.port}")
    config = replace(services_config, s3=through_proxy)
    async with (
        started_app(config) as app,
        client_of(app) as client,
        S3ObjectStore.open(through_proxy) as objects,
    ):
        assert await ledger.post_once(client, [archived], 300) == 201
        assert (await offload_pass(pool, objects, force=True)).rows == 300

        await faulty.become(fault)
        # More than may be asked for at once: those that wait for S3 are in nobody's way.
        waiting = [
            asyncio.create_task(ledger.read_page(client, archived, offset)) for offset in range(12)
        ]
        for _ in range(3):
            assert await ledger.post_once(client, [hot], 100) == 201
            async with asyncio.timeout(5):
                await ledger.check_newest(client, hot)
        for refused in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(refused, ledger.Answered)
            assert refused.status_code == 503
        for response in (
            await client.post("/logs/filter", json={"logs": {"text": {"query": "loaded"}}}),
            await client.post(
                "/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(archived.id)]}}}
            ),
        ):
            assert response.status_code == 503, response.text
            assert "s3" in response.text
        # To see that the bucket is there takes no body.
        ready = await client.get("/ready")
        assert ready.status_code == (200 if fault == "cuts bodies short" else 503)
        assert float((await _page(client, archived.id)).headers["Retry-After"]) > 0
        with pytest.raises(Unavailable):
            await offload_pass(pool, objects, force=True)

        await faulty.become(None)
        await ledger.check_whole(client, archived)
        assert (await offload_pass(pool, objects, force=True)).rows == 300
        await ledger.check_whole(client, hot)


async def _page(client: httpx.AsyncClient, run: uuid.UUID, offset: int = 0) -> httpx.Response:
    return await client.post(
        "/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(run)]}}, "offset": offset}
    )


async def _damage(pool: Pool, objects: S3ObjectStore, key: str, kind: str) -> None:
    """Leave an object as a bad disk, or a person, may leave it."""
    size: int = await pool.fetchval("SELECT bytes FROM log_segment WHERE key = $1", key)
    body = bytearray(await objects.read_range(key, 0, size))
    await objects.delete_many([key])
    match kind:
        case "missing":
            return
        case "truncated":
            del body[size // 2 :]
        case "without its end":
            del body[-3:]
        case "empty":
            body.clear()
        case "of another kind":
            body[:] = b"<html>" * (size // 6) + b"!" * (size % 6)
        case "flipped":
            body[1000] ^= 0xFF
        case _:
            raise ValueError(kind)
    await objects.put_new(key, bytes(body))


@pytest.mark.parametrize(
    "kind", ["missing", "truncated", "without its end", "empty", "of another kind", "flipped"]
)
async def test_a_damaged_object_is_named_with_its_lines_and_others_are_read(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore, kind: str
) -> None:
    run, other = ledger.Run(), ledger.Run()
    assert await ledger.post_once(client, [run], 300) == 201
    await offload_pass(pool, objects, force=True)
    key: str = await pool.fetchval("SELECT key FROM log_segment WHERE state = 'published'")
    assert await ledger.post_once(client, [run, other], 300) == 201
    await offload_pass(pool, objects, force=True)
    await _damage(pool, objects, key, kind)

    response = await _page(client, run.id)
    assert response.status_code == 503
    assert "Retry-After" not in response.headers
    unreadable = response.json()["unreadable"]
    assert unreadable["object"] == key
    assert unreadable["flow_run_id"] == str(run.id)
    assert unreadable["lines"] == 300
    assert unreadable["first_timestamp"][:19] == str(run.line(0)["timestamp"])[:19]
    assert unreadable["last_timestamp"][:19] == str(run.line(299)["timestamp"])[:19]
    assert key in response.json()["exception_detail"]

    # The next page of the same run lies in another object, and so do other runs.
    assert (await ledger.read_page(client, run, 300))[0].number == 300
    await ledger.check_newest(client, run)
    await ledger.check_whole(client, other)
    everything = await client.post("/logs/filter", json={})
    assert everything.status_code == 503
    assert everything.json()["unreadable"]["object"] == key


async def test_no_flipped_bit_gives_a_wrong_line(
    services: Services, services_config: ServicesConfig
) -> None:
    run = uuid.uuid4()
    await post(services, *[line(i, run=run, message=f"{i} of {run}") for i in range(500)])
    await offload_everything(services)
    before = await read(services, of_run(run), limit=500)
    pool, objects = services.pool, services.objects
    row = await pool.fetchrow("SELECT key, bytes FROM log_segment")
    assert row is not None
    body = await objects.read_range(row["key"], 0, row["bytes"])
    footer = len(body) - footer_length(body)
    seed = random.randrange(2**32)
    places = random.Random(seed)
    refused = 0
    async with Engine.open() as engine:
        for flip in range(FLIPS):
            changed = bytearray(body)
            # The footer is short, and some damage to it makes Arrow end the process.
            place = places.randrange(footer if flip % 2 else 4, len(body))
            changed[place] ^= 1 << places.randrange(8)
            await objects.delete_many([row["key"]])
            await objects.put_new(row["key"], bytes(changed))
            # A reader that has nothing of before in its caches.
            logs = LogReader(pool, objects, engine)
            try:
                page = await logs.read(of_run(run), sort="TIMESTAMP_ASC", limit=500, offset=0)
            except LinesUnreadable:
                refused += 1
            else:
                assert page == before, f"seed {seed}"
    assert refused > FLIPS // 3
