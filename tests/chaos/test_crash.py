"""`kill -9` at random moments: what was answered 201 is there once, whoever died."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest

from app.services import ServicesConfig
from storage.logs.offload import sweep
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.eager_jobs import kill, start_eager_jobs
from tests.processes import ApiProcess, JobsProcess, free_port

Eventually = Callable[..., Awaitable[None]]
ROUNDS = int(os.environ.get("TAILRACE_TEST_CRASH_ROUNDS", "12"))
WRITERS = 4
RUNS_PER_WRITER = 2
# A client that gives up after its answer was lost: every so many lost answers.
GIVE_UP_EVERY = 5


@dataclass(kw_only=True)
class Abandoned:
    """Bodies whose answer was lost and that nobody sent again: all of each is there, or nothing."""

    runs: list[ledger.Run] = field(default_factory=list)


async def _post_and_give_up(
    client: httpx.AsyncClient, stop: asyncio.Event, abandoned: Abandoned
) -> None:
    """Post bodies once each; those that got no answer are remembered."""
    while not stop.is_set():
        run = ledger.Run()
        try:
            if await ledger.post_once(client, [run], 50) != 201:
                run.posted = 0
        except httpx.TransportError:
            abandoned.runs.append(run)
        await asyncio.sleep(0.02)


async def _check(
    client: httpx.AsyncClient, runs: Sequence[ledger.Run], abandoned: Abandoned
) -> None:
    for run in runs:
        await ledger.check_whole(client, run)
    for run in abandoned.runs:
        numbers = [line.number for line in await ledger.read_page(client, run, 0)]
        assert numbers in ([], list(range(run.posted)))


@pytest.mark.crash
@pytest.mark.timeout(60 + 15 * ROUNDS)
async def test_lines_survive_the_death_of_any_process(
    services_config: ServicesConfig, pool: Pool, objects: S3ObjectStore, eventually: Eventually
) -> None:
    chance = random.Random(time.time_ns())
    runs = [[ledger.Run() for _ in range(RUNS_PER_WRITER)] for _ in range(WRITERS)]
    every_run = [run for group in runs for run in group]
    abandoned = Abandoned()
    stop = asyncio.Event()
    port = free_port()
    api = await ApiProcess.start(services_config, port=port)
    jobs = await start_eager_jobs(services_config)
    killed_api = killed_jobs = 0
    try:
        async with httpx.AsyncClient(base_url=api.url, timeout=ledger.REQUEST_SECONDS) as client:
            async with asyncio.TaskGroup() as group:
                writers = [
                    group.create_task(
                        ledger.write(client, mine, stop, lines_per_run=10, pause=0.01)
                    )
                    for mine in runs
                ]
                group.create_task(_post_and_give_up(client, stop, abandoned))
                for _ in range(ROUNDS):
                    await asyncio.sleep(chance.uniform(0.0, 0.5))
                    victims = chance.choice(("api", "jobs", "both"))
                    if victims != "jobs":
                        await api.kill()
                        killed_api += 1
                        api = await ApiProcess.start(services_config, port=port)
                    if victims != "api":
                        await kill(jobs)
                        killed_jobs += 1
                        jobs = await start_eager_jobs(services_config)
                await asyncio.sleep(0.5)
                stop.set()

            await _check(client, every_run, abandoned)

            async def drained() -> bool:
                return await pool.fetchval("SELECT count(*) FROM log_batch") == 0

            await eventually(drained, within=30)
            await _check(client, every_run, abandoned)
    finally:
        await api.stop()
        await kill(jobs)

    # Otherwise nothing has been tried.
    assert sum(writer.result() for writer in writers) >= killed_api
    assert await pool.fetchval("SELECT count(*) FROM log_segment WHERE state = 'published'") > 0
    await sweep(pool, objects, grace_seconds=0)
    rows = await pool.fetch("SELECT key FROM log_segment")
    assert list(await objects.list_objects("")) == sorted(row["key"] for row in rows)


async def test_a_body_whose_answer_was_lost_is_not_stored_twice(
    services_config: ServicesConfig,
) -> None:
    """Whenever the process dies, before its commit or after, the same body sent again counts once."""
    port = free_port()
    api = await ApiProcess.start(services_config, port=port)
    runs: list[ledger.Run] = []
    for moment in (0.002, 0.006, 0.012, 0.03):
        run = ledger.Run()
        runs.append(run)
        body = msgspec.json.encode(run.next_lines(100))
        async with httpx.AsyncClient(base_url=api.url, timeout=5) as client:
            answer = asyncio.create_task(client.post("/logs/", content=body))
            await asyncio.sleep(moment)
            await api.kill()
            await asyncio.wait({answer})
            answer.exception()
        api = await ApiProcess.start(services_config, port=port)
        async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
            for _ in range(3):
                assert (await client.post("/logs/", content=body)).status_code == 201
            run.acknowledged = run.posted
            await ledger.check_whole(client, run)
    await api.stop()


@pytest.mark.timeout(90)
async def test_another_jobs_process_takes_over_within_30_seconds(
    services_config: ServicesConfig, pool: Pool, eventually: Eventually
) -> None:
    first = await JobsProcess.start(services_config)

    async def led_by(pid: int) -> bool:
        holder = await pool.fetchval("SELECT holder FROM job_lease WHERE name = 'log-offload'")
        return holder is not None and holder.split(":")[1] == str(pid)

    try:
        await eventually(lambda: led_by(first.pid))
        async with JobsProcess.run(services_config) as second:
            await first.kill()
            died = time.monotonic()
            await eventually(lambda: led_by(second.pid), within=30)
            assert time.monotonic() - died <= 30
    finally:
        await first.kill()
