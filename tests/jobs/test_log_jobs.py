"""The log tier's jobs: one pass does what is due, the next one finds nothing to do."""

import datetime as dt
import uuid

import msgspec
import pytest

from app.services import Services
from app.wire.logs import LogCreate
from jobs import log_offload
from jobs.log_compaction import clean_logs, compact_logs, prune_log_tombstones
from jobs.log_offload import offload_logs, prune_log_receipts, sweep_segments
from jobs.registry import ALL_JOBS
from storage.errors import Unavailable
from storage.logs import offload
from storage.objects.s3 import S3ObjectStore


async def _post(services: Services, lines: int = 10) -> None:
    moment = dt.datetime.now(dt.UTC).isoformat()
    run = str(uuid.uuid4())
    posted = [
        LogCreate(name="n", level=20, message=str(i), timestamp=moment, flow_run_id=run)
        for i in range(lines)
    ]
    await services.ingest.append(msgspec.json.encode(posted), posted)


async def test_young_and_few_batches_stay_hot(services: Services) -> None:
    await _post(services)
    assert await offload_logs(services) == {}
    assert await services.pool.fetchval("SELECT count(*) FROM log_batch") == 1


async def test_old_batches_move_in_one_pass(services: Services) -> None:
    await _post(services)
    await _post(services)
    await services.pool.execute("UPDATE log_batch SET created = now() - interval '11 seconds'")

    report = await offload_logs(services)

    assert (report["segments"], report["batches"], report["rows"]) == (1, 2, 20)
    assert await services.pool.fetchval("SELECT count(*) FROM log_batch") == 0
    assert await offload_logs(services) == {}


async def test_much_moves_before_it_is_old(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "DUE_BYTES", 100)
    await _post(services)
    assert (await offload_logs(services))["rows"] == 10


async def test_a_pass_is_bounded_and_the_next_one_goes_on(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "MAX_SEGMENT_ROWS", 10)
    monkeypatch.setattr(log_offload, "MAX_SEGMENTS", 2)
    for _ in range(3):
        await _post(services)
    await services.pool.execute("UPDATE log_batch SET created = now() - interval '11 seconds'")

    assert (await offload_logs(services))["segments"] == 2
    assert (await offload_logs(services))["segments"] == 1
    assert await offload_logs(services) == {}


async def test_without_s3_a_pass_fails_and_nothing_is_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object, key: str, __: bytes) -> None:
        raise Unavailable("s3", f"{key}: nobody there")

    monkeypatch.setattr(S3ObjectStore, "put_new", away)
    await _post(services)
    await services.pool.execute("UPDATE log_batch SET created = now() - interval '11 seconds'")
    with pytest.raises(Unavailable):
        await offload_logs(services)
    assert await services.pool.fetchval("SELECT sum(rows) FROM log_batch") == 10

    monkeypatch.undo()
    assert (await offload_logs(services))["rows"] == 10
    # What the failed pass announced is swept when it is old enough.
    assert await sweep_segments(services) == {}
    await services.pool.execute("UPDATE log_segment SET created = now() - interval '2 hours'")
    assert await sweep_segments(services) == {"segments": 1}
    assert await sweep_segments(services) == {}


async def test_receipts_are_kept_for_ten_minutes(services: Services) -> None:
    await _post(services)
    await _post(services)
    assert await prune_log_receipts(services) == {}
    await services.pool.execute("UPDATE log_receipt SET received = now() - interval '11 minutes'")
    assert await prune_log_receipts(services) == {"receipts": 2}
    assert await prune_log_receipts(services) == {}


def test_jobs_have_names_of_their_own() -> None:
    names = [job.name for job in ALL_JOBS]
    assert len(set(names)) == len(names)
    assert all(job.every <= job.time_limit for job in ALL_JOBS)


async def test_sixteen_fresh_segments_become_one(services: Services) -> None:
    for number in range(16):
        assert await compact_logs(services) == {}, number
        await _post(services)
        await offload.offload_pass(services.pool, services.objects, force=True)

    report = await compact_logs(services)

    assert (report["merged"], report["made"], report["rows"]) == (16, 1, 160)
    assert await compact_logs(services) == {}


async def test_lines_of_deleted_runs_leave_s3_and_the_deletion_is_forgotten_at_last(
    services: Services,
) -> None:
    for _ in range(3):
        await _post(services, lines=50)
    await offload.offload_pass(services.pool, services.objects, force=True)
    run = await services.pool.fetchval("SELECT flow_run_id FROM log_segment_run LIMIT 1")
    await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", run)

    # A third of the object: more than a tenth does not wait for a day.
    assert (await clean_logs(services))["dropped_rows"] == 50
    assert await clean_logs(services) == {}

    # It is remembered as long as the run may still post, and as long as anything holds its lines.
    assert await prune_log_tombstones(services) == {}
    await services.pool.execute("UPDATE log_tombstone SET created = now() - interval '8 days'")
    assert await prune_log_tombstones(services) == {}
    await offload.sweep(services.pool, services.objects, grace_seconds=0)
    assert await prune_log_tombstones(services) == {"tombstones": 1}


async def test_lines_of_a_deleted_task_run_leave_s3_once(services: Services) -> None:
    run, task = uuid.uuid4(), uuid.uuid4()
    moment = dt.datetime.now(dt.UTC).isoformat()
    posted = [
        LogCreate(
            name="n",
            level=20,
            message=str(number),
            timestamp=moment,
            flow_run_id=str(run),
            task_run_id=str(task) if number < 4 else None,
        )
        for number in range(10)
    ]
    await services.ingest.append(msgspec.json.encode(posted), posted)
    await offload.offload_pass(services.pool, services.objects, force=True)
    await services.pool.execute(
        "INSERT INTO log_task_tombstone (task_run_id, flow_run_id, created)"
        " VALUES ($1, $2, now() - interval '2 days')",
        task,
        run,
    )

    assert (await clean_logs(services))["dropped_rows"] == 4
    assert await clean_logs(services) == {}
