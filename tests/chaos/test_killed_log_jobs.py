"""Offload and compaction may die at any step: no line is lost or doubled, and nothing is left lying
about."""

import asyncio
import datetime as dt
import sys

import httpx
import msgspec
import pytest
from typing_extensions import override

from app.services import ServicesConfig
from storage.errors import Conflict
from storage.logs.compaction import clean_pass, compact_pass
from storage.logs.offload import offload_pass, sweep
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.chaos import ledger
from tests.chaos.killed_log_job import KILLED, STEPS
from tests.processes import ROOT


async def _die_at(job: str, step: str, config: ServicesConfig) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.killed_log_job",
        job,
        step,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        await process.communicate(msgspec.json.encode(config))
    assert process.returncode == KILLED


async def _segments(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT state, count(*) AS n FROM log_segment GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_offload_neither_loses_nor_doubles_lines(
    step: str,
    client: httpx.AsyncClient,
    services_config: ServicesConfig,
    pool: Pool,
    objects: S3ObjectStore,
) -> None:
    runs = [ledger.Run() for _ in range(5)]
    for _ in range(4):
        assert await ledger.post_once(client, runs, 130) == 201

    await _die_at("offload", step, services_config)

    offloaded = step == "after commit"
    hot = await pool.fetchval("SELECT coalesce(sum(rows), 0) FROM log_batch")
    assert hot == (0 if offloaded else 5 * 4 * 130)
    for run in runs:
        await ledger.check_whole(client, run)

    # What it left behind does not hinder the next one.
    assert await ledger.post_once(client, runs, 70) == 201
    done = await offload_pass(pool, objects, force=True)
    assert done.rows == (0 if offloaded else 5 * 4 * 130) + 5 * 70
    for run in runs:
        await ledger.check_whole(client, run)

    # Nobody sweeps what may still be under way; after the grace period it goes.
    assert await sweep(pool, objects) == 0
    left = step in ("before put", "after put", "before commit")
    assert await sweep(pool, objects, grace_seconds=0) == (1 if left else 0)
    assert await _segments(pool) == {"published": 2 if offloaded else 1}
    rows = await pool.fetch("SELECT key FROM log_segment")
    assert list(await objects.list_objects("")) == sorted(row["key"] for row in rows)
    for run in runs:
        await ledger.check_whole(client, run)


async def test_two_offloads_of_the_same_batches_make_one(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    runs = [ledger.Run() for _ in range(5)]
    for _ in range(10):
        assert await ledger.post_once(client, runs, 50) == 201

    async def one_pass() -> int:
        try:
            return (await offload_pass(pool, objects, force=True)).rows
        except Conflict:
            return 0

    moved = await asyncio.gather(*(one_pass() for _ in range(4)))

    assert sum(moved) == 10 * 5 * 50
    for run in runs:
        await ledger.check_whole(client, run)
    await sweep(pool, objects, grace_seconds=0)
    assert len(list(await objects.list_objects(""))) == (await _segments(pool))["published"]


async def test_a_sweep_during_an_offload_loses_nothing(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    """A sweeper with no patience marks a segment that is being uploaded; the offload must then
    not publish it."""
    run = ledger.Run()
    assert await ledger.post_once(client, [run], 100) == 201

    class SweptStore(S3ObjectStore):
        """The bucket, with a sweeper at its heels."""

        @override
        async def put_new(self, key: str, body: bytes) -> None:
            """Upload, and be swept before the publishing transaction."""
            await objects.put_new(key, body)
            assert await sweep(pool, objects, grace_seconds=-1) == 1

    with pytest.raises(Conflict):
        await offload_pass(pool, SweptStore(objects._client, objects._bucket), force=True)
    await ledger.check_whole(client, run)

    assert (await offload_pass(pool, objects, force=True)).rows == 100
    await ledger.check_whole(client, run)


async def _offloaded(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> list[ledger.Run]:
    """Three runs, each with lines in three segments."""
    runs = [ledger.Run() for _ in range(3)]
    for _ in range(3):
        assert await ledger.post_once(client, runs, 90) == 201
        await offload_pass(pool, objects, force=True)
    return runs


async def _check_only_published_objects(pool: Pool, objects: S3ObjectStore) -> None:
    rows = await pool.fetch("SELECT key, state FROM log_segment")
    assert {row["state"] for row in rows} <= {"published"}
    assert list(await objects.list_objects("")) == sorted(row["key"] for row in rows)


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_compaction_neither_loses_nor_doubles_lines(
    step: str,
    client: httpx.AsyncClient,
    services_config: ServicesConfig,
    pool: Pool,
    objects: S3ObjectStore,
) -> None:
    runs = await _offloaded(client, pool, objects)

    await _die_at("compaction", step, services_config)

    merged = step == "after commit"
    assert (await _segments(pool))["published"] == (1 if merged else 3)
    for run in runs:
        await ledger.check_whole(client, run)

    # What it left behind does not hinder the next one, and goes with what was replaced.
    done = await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)
    assert done.merged == (0 if merged else 3)
    await sweep(pool, objects, grace_seconds=0)
    assert await _segments(pool) == {"published": 1}
    await _check_only_published_objects(pool, objects)
    for run in runs:
        await ledger.check_whole(client, run)


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_cleaning_leaves_other_runs_whole(
    step: str,
    client: httpx.AsyncClient,
    services_config: ServicesConfig,
    pool: Pool,
    objects: S3ObjectStore,
) -> None:
    runs = await _offloaded(client, pool, objects)
    await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)
    await pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", runs[0].id)

    await _die_at("cleaning", step, services_config)

    for run in runs[1:]:
        await ledger.check_whole(client, run)
    cleaned = await clean_pass(pool, objects, deleted_before_seconds=0)
    assert cleaned.dropped_rows == (0 if step == "after commit" else 270)
    await sweep(pool, objects, grace_seconds=0)
    await _check_only_published_objects(pool, objects)
    held = await pool.fetch("SELECT flow_run_id, rows FROM log_segment_run")
    assert {row["flow_run_id"]: row["rows"] for row in held} == {run.id: 270 for run in runs[1:]}
    for run in runs[1:]:
        await ledger.check_whole(client, run)


async def test_two_compactions_of_the_same_segments_make_one(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    runs = await _offloaded(client, pool, objects)

    async def one_pass() -> int:
        try:
            return (await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)).merged
        except Conflict:
            return 0

    merged = await asyncio.gather(*(one_pass() for _ in range(4)))

    assert sum(merged) == 3
    for run in runs:
        await ledger.check_whole(client, run)
    await sweep(pool, objects, grace_seconds=0)
    # Outputs of those that came too late are staged; nobody sweeps what may still be under way.
    assert (await _segments(pool))["published"] == 1


async def test_a_reader_with_an_older_plan_finds_what_was_replaced(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    await _offloaded(client, pool, objects)
    before = list(await objects.list_objects(""))

    await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)

    assert await sweep(pool, objects) == 0
    assert set(before) < set(await objects.list_objects(""))
