"""What is wrong between manifest and bucket is found and named, and repaired where that can be done."""

import datetime as dt
import uuid

import msgspec
import pytest

from app.services import Services
from app.wire.logs import LogCreate
from storage.errors import ObjectDamaged, ObjectMissing
from storage.logs.compaction import clean_pass, compact_pass
from storage.logs.offload import offload_pass
from storage.logs.segment import footer_length
from storage.logs.verify import Verification, verify
from storage.objects.s3 import S3ObjectStore

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


async def offload(services: Services, count: int = 100) -> str:
    """A segment of two runs; gives its key."""
    runs = [str(uuid.uuid4()) for _ in range(2)]
    lines = [
        LogCreate(
            name="n",
            level=20,
            message=f"line {number}",
            timestamp=(START + dt.timedelta(seconds=number)).isoformat(),
            flow_run_id=runs[number % 2],
        )
        for number in range(count)
    ]
    await services.ingest.append(msgspec.json.encode(lines), lines)
    await offload_pass(services.pool, services.objects, force=True)
    key: str = await services.pool.fetchval("SELECT key FROM log_segment ORDER BY id DESC LIMIT 1")
    return key


async def look(services: Services, **options: bool) -> Verification:
    return await verify(services.pool, services.objects, **options)


async def replace(services: Services, key: str, body: bytes) -> None:
    """Put other bytes in an object's place, as a broken disk would."""
    assert isinstance(services.objects, S3ObjectStore)
    await services.objects.delete_many([key])
    await services.objects.put_new(key, body)


async def body_of(services: Services, key: str) -> bytes:
    size = (await services.objects.list_objects(""))[key]
    return await services.objects.read_range(key, 0, size)


async def test_a_whole_tier_has_no_problems(services: Services) -> None:
    for _ in range(3):
        await offload(services)
    found = await look(services, contents=True)
    assert (found.segments, found.rows, found.problems) == (3, 300, [])
    await compact_pass(services.pool, services.objects, dt.datetime.now(dt.UTC), force=True)
    # What was replaced waits for the sweep and is no orphan.
    found = await look(services, contents=True)
    assert (found.segments, found.rows, found.problems) == (1, 300, [])


async def test_a_missing_object_is_named_with_what_it_held(services: Services) -> None:
    key = await offload(services)
    await services.objects.delete_many([key])

    (problem,) = (await look(services)).problems

    assert (problem.key, problem.fault, problem.repaired) == (key, "missing", None)
    assert problem.segment is not None
    assert (problem.segment.rows, problem.segment.runs) == (100, 2)
    assert problem.segment.min_timestamp == START


@pytest.mark.parametrize(
    ("fault", "contents"),
    [("wrong size", False), ("unreadable", False), ("wrong bytes", True)],
)
async def test_a_damaged_object_is_found(services: Services, fault: str, contents: bool) -> None:
    key = await offload(services)
    body = bytearray(await body_of(services, key))
    if fault == "wrong size":
        body = body[: len(body) // 2]
    elif fault == "unreadable":
        body[-8:] = b"\xff" * 8
    else:
        body[100] ^= 0xFF
    await replace(services, key, bytes(body))

    (problem,) = (await look(services, contents=contents)).problems
    assert (problem.key, problem.fault) == (key, fault)


async def test_an_orphan_is_named_and_deleted_only_when_that_is_asked_for(
    services: Services,
) -> None:
    await services.objects.put_new("logs/date=2026-11-24/hour=12/lost.parquet", b"PAR1")
    (problem,) = (await look(services, repair=True)).problems
    assert (problem.fault, problem.repaired) == ("orphaned", None)

    (problem,) = (await look(services, delete_orphans=True)).problems
    assert problem.repaired == "deleted"
    assert (await look(services)).problems == []


async def test_runs_are_counted_anew_from_a_whole_object(services: Services) -> None:
    await offload(services)
    before = await services.pool.fetch("SELECT * FROM log_segment_run ORDER BY flow_run_id")
    await services.pool.execute("DELETE FROM log_segment_run WHERE flow_run_id = $1", before[0][0])

    (problem,) = (await look(services)).problems
    assert (problem.fault, problem.repaired) == ("wrong runs", None)
    (problem,) = (await look(services, repair=True)).problems
    assert problem.repaired is not None

    assert (await look(services)).problems == []
    assert await services.pool.fetch("SELECT * FROM log_segment_run ORDER BY flow_run_id") == before


async def test_compaction_names_what_it_cannot_read_and_goes_on_with_the_rest(
    services: Services,
) -> None:
    now = dt.datetime.now(dt.UTC)
    gone = await offload(services)
    damaged = await offload(services)
    body = bytearray(await body_of(services, damaged))
    body[len(body) // 3] ^= 0xFF
    await services.objects.delete_many([gone])
    await replace(services, damaged, bytes(body))
    for _ in range(2):
        await offload(services)

    with pytest.raises(ObjectMissing, match=gone):
        await compact_pass(services.pool, services.objects, now, force=True)
    with pytest.raises(ObjectDamaged, match=damaged):
        await compact_pass(services.pool, services.objects, now, force=True)
    done = await compact_pass(services.pool, services.objects, now, force=True)
    assert (done.merged, done.rows) == (2, 200)
    assert (await clean_pass(services.pool, services.objects)).merged == 0

    # A mended object is taken up again when it was looked at.
    body[len(body) // 3] ^= 0xFF
    await replace(services, damaged, bytes(body))
    await look(services, contents=True, repair=True)
    done = await compact_pass(services.pool, services.objects, now, force=True)
    assert done.merged == 1


async def test_a_footer_is_not_parsed_when_it_is_not_what_was_written(services: Services) -> None:
    key = await offload(services)
    body = bytearray(await body_of(services, key))
    body[len(body) - footer_length(bytes(body)) + 5] ^= 0x01
    await replace(services, key, bytes(body))

    (problem,) = (await look(services)).problems

    assert (problem.fault, problem.key) == ("unreadable", key)
    assert "its footer is not what was written" in problem.detail
