"""Every acknowledged line is in every answer once, while lines arrive and move to S3."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import httpx

from app.services import ServicesConfig
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.eager_jobs import eager_jobs
from tests.processes import ApiProcess

SECONDS = float(os.environ.get("TAILRACE_TEST_STRESS_SECONDS", "12"))
WRITERS = 8
RUNS_PER_WRITER = 3


async def test_no_line_is_missing_or_twice_in_any_answer(
    services_config: ServicesConfig, pool: Pool, eventually: Callable[..., Awaitable[None]]
) -> None:
    runs = [[ledger.Run() for _ in range(RUNS_PER_WRITER)] for _ in range(WRITERS)]
    every_run = [run for group in runs for run in group]
    stop = asyncio.Event()
    async with (
        ApiProcess.run(services_config) as first,
        ApiProcess.run(services_config) as second,
        eager_jobs(services_config),
        httpx.AsyncClient(base_url=first.url, timeout=ledger.REQUEST_SECONDS) as one,
        httpx.AsyncClient(base_url=second.url, timeout=ledger.REQUEST_SECONDS) as two,
    ):
        async with asyncio.timeout(SECONDS + 60), asyncio.TaskGroup() as group:
            for number, mine in enumerate(runs):
                client = one if number % 2 else two
                group.create_task(ledger.write(client, mine, stop, lines_per_run=10, pause=0.03))
            readers = [
                group.create_task(ledger.read_forever(client, every_run[place:], stop))
                for client, place in ((one, 0), (two, len(every_run) // 2), (one, 7), (two, 3))
            ]
            await asyncio.sleep(SECONDS)
            stop.set()

        assert sum(reader.result() for reader in readers) > 10
        segments = await pool.fetchval("SELECT count(*) FROM log_segment WHERE state = 'published'")
        assert segments >= SECONDS / 2
        assert all(run.acknowledged > 0 for run in every_run)
        for run in every_run[::3]:
            await ledger.check_whole(one, run)

        async def drained() -> bool:
            return await pool.fetchval("SELECT count(*) FROM log_batch") == 0

        await eventually(drained)
        for run in every_run:
            await ledger.check_whole(two, run)
