"""The log tier's jobs: one pass does what is due, the next one finds nothing to do."""

import datetime as dt
import uuid

import msgspec
import pytest

from app.services import Services
from app.wire.logs import LogCreate
from jobs import log_offload
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
