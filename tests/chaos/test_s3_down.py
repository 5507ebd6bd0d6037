"""S3 goes away under load: ingest and hot reads go on, reads of segments say what is missing, and
everything drains when it is back. The hot tier has a limit, and says so."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from app.services import ServicesConfig
from storage.embedded.seaweedfs import EmbeddedSeaweedFS
from storage.logs.offload import offload_pass
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.eager_jobs import eager_jobs
from tests.conftest import EmbeddedServers
from tests.processes import ApiProcess

Eventually = Callable[..., Awaitable[None]]
SECONDS_DOWN = float(os.environ.get("TAILRACE_TEST_S3_DOWN_SECONDS", "12"))


@pytest.fixture
async def seaweedfs(embedded_servers: EmbeddedServers) -> AsyncIterator[EmbeddedSeaweedFS]:
    """The session's S3 server, to be stopped and started; running again afterwards in any case."""
    server = embedded_servers.seaweedfs
    yield server
    try:
        running = server.process.returncode is None
    except RuntimeError:
        running = False
    if not running:
        await server.start()


async def _refused(client: httpx.AsyncClient, run: ledger.Run, offset: int = 0) -> None:
    """Reading gives 503 with a body that names S3; never a page, however short."""
    with pytest.raises(ledger.Answered) as caught:
        await ledger.read_page(client, run, offset)
    assert caught.value.status_code == 503
    assert "s3" in caught.value.body.lower()


async def _read_hot(client: httpx.AsyncClient, run: ledger.Run, until: asyncio.Event) -> int:
    reads = 0
    while not until.is_set():
        await ledger.check_page(client, run, 0)
        await ledger.check_newest(client, run)
        reads += 1
        await asyncio.sleep(0.05)
    return reads


@pytest.mark.timeout(120 + 3 * SECONDS_DOWN)
async def test_s3_goes_away_under_load_and_comes_back(
    services_config: ServicesConfig,
    pool: Pool,
    objects: S3ObjectStore,
    seaweedfs: EmbeddedSeaweedFS,
    eventually: Eventually,
) -> None:
    archived, mixed, hot = ledger.Run(), ledger.Run(), ledger.Run()
    loaded = [ledger.Run() for _ in range(6)]
    stop = asyncio.Event()
    async with (
        ApiProcess.run(services_config) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as client,
    ):
        assert await ledger.post_once(client, [archived, mixed], 300) == 201
        assert (await offload_pass(pool, objects, force=True)).rows == 600
        async with eager_jobs(services_config):
            was = seaweedfs.s3
            await seaweedfs.stop()
            async with asyncio.TaskGroup() as group:
                writers = [
                    group.create_task(ledger.write(client, loaded[place::3], stop, pause=0.05))
                    for place in range(3)
                ]
                assert await ledger.post_once(client, [mixed, hot], 250) == 201
                reader = group.create_task(_read_hot(client, hot, stop))

                deadline = asyncio.get_running_loop().time() + SECONDS_DOWN
                while asyncio.get_running_loop().time() < deadline:
                    await _refused(client, archived)
                    await _refused(client, mixed)
                    # Its newest lines are hot, yet the page before them is not.
                    await _refused(client, mixed, 200)
                    health = await client.get("/health")
                    assert health.status_code == 200
                    ready = await client.get("/ready")
                    assert ready.status_code == 503
                    assert "s3" in ready.text.lower()
                    await asyncio.sleep(0.5)
                acknowledged = sum(run.acknowledged for run in loaded)
                await seaweedfs.start()
                assert seaweedfs.s3.endpoint_url == was.endpoint_url
                await asyncio.sleep(2)
                stop.set()

            # Nothing was turned away, although nothing could be offloaded.
            assert [writer.result() for writer in writers] == [0, 0, 0]
            assert acknowledged > 0
            assert reader.result() > 0

            async def drained() -> bool:
                return await pool.fetchval("SELECT count(*) FROM log_batch") == 0

            await eventually(drained, within=60)
            for run in (archived, mixed, hot, *loaded):
                await ledger.check_whole(client, run)


async def test_a_scan_over_a_missing_object_is_refused_too(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    """An object that somebody deleted by hand: the answer must not pass for a whole one."""
    run, other = ledger.Run(), ledger.Run()
    assert await ledger.post_once(client, [run], 50) == 201
    assert (await offload_pass(pool, objects, force=True)).rows == 50
    assert await ledger.post_once(client, [run, other], 20) == 201
    await objects.delete_many(list(await objects.list_objects("")))

    await _refused(client, run)
    queries: tuple[dict[str, object], ...] = (
        {},
        {"text": {"query": "loaded"}},
        {"level": {"ge_": 10}},
    )
    for query in queries:
        response = await client.post("/logs/filter", json={"logs": query})
        assert response.status_code == 503, response.text
        assert "s3" in response.text.lower()
    await ledger.check_whole(client, other)


async def test_a_full_hot_tier_turns_lines_away_and_loses_none(
    services_config: ServicesConfig, pool: Pool, objects: S3ObjectStore, eventually: Eventually
) -> None:
    run = ledger.Run()
    config = replace(services_config, hot_limit_bytes=200_000)
    async with (
        ApiProcess.run(config) as api,
        httpx.AsyncClient(base_url=api.url, timeout=20) as client,
    ):
        refused: httpx.Response | None = None
        for _ in range(500):
            lines = [run.line(number) for number in range(run.posted, run.posted + 500)]
            response = await client.post("/logs/", json=lines)
            if response.status_code != 201:
                refused = response
                break
            run.posted += 500
            run.acknowledged = run.posted

        assert refused is not None
        assert refused.status_code == 503
        assert float(refused.headers["Retry-After"]) > 0
        assert "hot" in refused.text
        # The limit is one on bytes stored: what arrived since it was last measured comes on top.
        assert await pool.fetchval("SELECT sum(bytes) FROM log_batch") < 2_000_000
        await ledger.check_whole(client, run)

        while (await offload_pass(pool, objects, force=True)).more:
            pass

        async def takes_lines_again() -> bool:
            return await ledger.post_once(client, [run], 1) == 201 or _take_back(run)

        await eventually(takes_lines_again, within=15)
        await ledger.check_whole(client, run)


def _take_back(run: ledger.Run) -> bool:
    """Nothing of a refused body was stored: number its lines anew."""
    run.posted = run.acknowledged
    return False
