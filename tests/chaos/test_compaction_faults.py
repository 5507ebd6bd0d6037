"""S3 fails in the middle of a merge: nothing is lost, doubled or left lying about, and the next merge
does what this one could not."""

import asyncio
import datetime as dt
import gc
import os
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import httpx
import pyarrow as pa
import pytest

from app.services import ServicesConfig
from storage.errors import Unavailable
from storage.logs.compaction import NOTHING_TO_DO, CompactionReport, compact_pass
from storage.logs.compaction_plan import FINAL_TIER
from storage.logs.offload import offload_pass, sweep
from storage.objects import s3
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.faulty_s3 import Fault, FaultyS3

Eventually = Callable[..., Awaitable[None]]
SEGMENTS = 4
LINES = 150
# The least that S3 allows.
PART_BYTES = 5 * 1024**2
# Of lines that make an output of three parts.
MUCH_NOISE = 7_000
LITTLE_NOISE = 200


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where merges have their files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
async def through_proxy(
    services_config: ServicesConfig, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[S3ObjectStore]:
    """The bucket behind the proxy; whoever waits for it does not wait long."""
    monkeypatch.setattr(s3, "TRANSFER_TIMEOUT_SECONDS", 3.0)
    monkeypatch.setattr(s3, "OPERATION_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(s3, "CHECK_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(s3, "PART_BYTES", PART_BYTES)
    config = replace(services_config.s3, endpoint_url=f"http://127.0.0.1:{faulty.port}")
    async with S3ObjectStore.open(config) as store:
        yield store


async def _offloaded(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore, *, noise: int
) -> list[ledger.Run]:
    """Three runs, each with lines in every one of some segments."""
    runs = [ledger.Run(noise=noise) for _ in range(3)]
    for _ in range(SEGMENTS):
        assert await ledger.post_once(client, runs, LINES) == 201
        await offload_pass(pool, objects, force=True)
    return runs


async def _merge(pool: Pool, objects: S3ObjectStore) -> CompactionReport:
    return await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)


async def _segments(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT state, count(*) AS n FROM log_segment GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


async def _input_bytes(pool: Pool) -> int:
    size: int = await pool.fetchval("SELECT sum(bytes) FROM log_segment")
    return size


async def _check_merged(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore, runs: list[ledger.Run]
) -> None:
    """All lines are there once, in merged segments, and the bucket has nothing else."""
    for run in runs:
        await ledger.check_whole(client, run)
    await sweep(pool, objects, grace_seconds=0)
    rows = await pool.fetch("SELECT key, state, tier FROM log_segment")
    assert {(row["state"], row["tier"]) for row in rows} == {("published", FINAL_TIER)}
    assert list(await objects.list_objects("")) == sorted(row["key"] for row in rows)
    for run in runs:
        await ledger.check_whole(client, run)


@pytest.mark.parametrize("where", ["inputs", "output"])
@pytest.mark.parametrize("fault", get_args(Fault))
async def test_a_fault_in_the_middle_of_a_merge_changes_nothing(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    faulty: FaultyS3,
    through_proxy: S3ObjectStore,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    where: str,
) -> None:
    noise = LITTLE_NOISE if where == "inputs" else MUCH_NOISE
    runs = await _offloaded(client, pool, objects, noise=noise)
    size = await _input_bytes(pool)
    assert where == "inputs" or size > 2 * PART_BYTES
    faulty.become_after(size // 2 if where == "inputs" else size + size // 2, fault)

    with pytest.raises(Unavailable) as failed:
        await _merge(pool, through_proxy)
    assert failed.value.store == "s3"

    assert faulty.has_fault
    assert (await _segments(pool))["published"] == SEGMENTS
    assert (await _segments(pool)).get("staged", 0) == (0 if where == "inputs" else 1)
    assert os.listdir(temporary) == []
    for run in runs:
        await ledger.check_whole(client, run)

    await faulty.become(None)
    monkeypatch.setattr(s3, "TRANSFER_TIMEOUT_SECONDS", 60.0)
    assert (await _merge(pool, through_proxy)).merged == SEGMENTS
    assert os.listdir(temporary) == []
    await _check_merged(client, pool, objects, runs)


async def test_a_slow_s3_makes_a_merge_slow_and_one_that_is_too_slow_ends_it(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    faulty: FaultyS3,
    through_proxy: S3ObjectStore,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = await _offloaded(client, pool, objects, noise=LITTLE_NOISE)
    monkeypatch.setattr(s3, "TRANSFER_TIMEOUT_SECONDS", 0.5)
    faulty.slow_down(1.0)
    with pytest.raises(Unavailable) as failed:
        await _merge(pool, through_proxy)
    assert failed.value.store == "s3"
    assert (await _segments(pool)) == {"published": SEGMENTS}
    assert os.listdir(temporary) == []

    monkeypatch.setattr(s3, "TRANSFER_TIMEOUT_SECONDS", 60.0)
    faulty.slow_down(0.2)
    other = ledger.Run()
    merging = asyncio.create_task(_merge(pool, through_proxy))
    read = 0
    while not merging.done():
        # Nobody waits for it.
        assert await ledger.post_once(client, [other], 20) == 201
        await ledger.check_newest(client, other)
        await ledger.check_newest(client, runs[read % len(runs)])
        read += 1
    assert (await merging).merged == SEGMENTS
    assert read > 1
    await ledger.check_whole(client, other)
    await _check_merged(client, pool, objects, runs)


async def test_merges_that_fail_again_and_again_leave_nothing_in_the_process(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    faulty: FaultyS3,
    through_proxy: S3ObjectStore,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "TRANSFER_TIMEOUT_SECONDS", 60.0)
    runs = await _offloaded(client, pool, objects, noise=MUCH_NOISE)
    size = await _input_bytes(pool)

    async def fail(times: int) -> None:
        for number in range(times):
            faulty.become_after(size // 2 if number % 2 else size + size // 2, "answers 500")
            with pytest.raises(Unavailable):
                await _merge(pool, through_proxy)
            assert os.listdir(temporary) == []
            await faulty.become(None)
        gc.collect()

    await fail(2)
    tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        await fail(1)
        python, _ = tracemalloc.get_traced_memory()
        await fail(2)
        assert tracemalloc.get_traced_memory()[0] - python < PART_BYTES
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() == arrow
    assert len(asyncio.all_tasks()) <= tasks
    assert len(os.listdir("/proc/self/fd")) <= files

    assert (await _merge(pool, through_proxy)).merged == SEGMENTS
    await _check_merged(client, pool, objects, runs)


async def test_merges_go_on_whenever_s3_is_back_while_lines_are_written_and_read(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    faulty: FaultyS3,
    through_proxy: S3ObjectStore,
    temporary: Path,
    eventually: Eventually,
) -> None:
    runs = [ledger.Run(noise=500) for _ in range(3)]
    stop = asyncio.Event()
    merged = 0
    failed: list[Unavailable] = []

    async def merge() -> None:
        nonlocal merged
        while not stop.is_set():
            try:
                await offload_pass(pool, through_proxy, force=True)
                merged += (await _merge(pool, through_proxy)).merged
            except Unavailable as error:
                failed.append(error)
            assert os.listdir(temporary) == []

    async with asyncio.TaskGroup() as group:
        group.create_task(merge())
        group.create_task(ledger.write(client, runs, stop, pause=0.02))
        reading = group.create_task(ledger.read_forever(client, runs, stop))
        for number, fault in enumerate(get_args(Fault)):
            merged_before, failed_before = merged, len(failed)

            async def has_failed(before: int = failed_before) -> bool:
                return faulty.has_fault and len(failed) > before

            async def has_merged(before: int = merged_before) -> bool:
                return merged > before

            faulty.become_after(100_000 * (1 + number), fault)
            await eventually(has_failed, within=60)
            # Some more merges fail meanwhile.
            await asyncio.sleep(1)
            await faulty.become(None)
            await eventually(has_merged, within=60)
        stop.set()

    assert reading.result() > 0
    assert {error.store for error in failed} == {"s3"}
    while (await offload_pass(pool, objects, force=True)).more:
        pass
    while await _merge(pool, objects) != NOTHING_TO_DO:
        pass
    await _check_merged(client, pool, objects, runs)
