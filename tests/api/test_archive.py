"""What the tiers hold, by state, by hour and day, and whether the bucket has what the manifest says."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest

from app.services import Services
from app.wire.base import new_id
from jobs.driver import run_jobs
from jobs.job import Job
from jobs.registry import ALL_JOBS
from storage.logs.compaction import compact_pass
from storage.logs.offload import offload_pass
from storage.postgres.pool import connection

(VERIFY,) = [job for job in ALL_JOBS if job.name == "log-verify"]


@pytest.fixture
def its_services(app: Any) -> Services:
    """What `client` talks to."""
    services: Services = app.state.services
    return services


async def _post(client: httpx.AsyncClient, count: int, hour: int = 6) -> None:
    run = str(new_id())
    lines = [
        {
            "name": "n",
            "level": 20,
            "message": f"line {number}",
            "timestamp": f"2026-11-24T{hour:02d}:00:{number:02d}Z",
            "flow_run_id": run,
        }
        for number in range(count)
    ]
    assert (await client.post("/logs/", json=lines)).status_code == 201


async def _segment(client: httpx.AsyncClient, services: Services, count: int) -> None:
    await _post(client, count)
    await offload_pass(services.pool, services.objects, force=True)


async def test_tiers_tell_what_they_hold(client: httpx.AsyncClient, its_services: Services) -> None:
    empty = (await client.get("/tailrace/tiers")).json()
    assert (empty["rows"], empty["oldest"], empty["segments"]) == (0, None, [])
    await _segment(client, its_services, 3)
    await _segment(client, its_services, 4)
    now = dt.datetime.now(dt.UTC)
    await compact_pass(its_services.pool, its_services.objects, now, force=True)
    await _post(client, 5, hour=7)

    told = (await client.get("/tailrace/tiers")).json()
    assert (told["rows"], told["database_bytes"]) == (12, 12 * 382)
    assert (told["oldest"], told["newest"]) == ("2026-11-24T06:00:00Z", "2026-11-24T07:00:04Z")
    hot, segments = told["tiers"]
    assert (hot["tier"], hot["parts"], hot["rows"]) == ("hot", 1, 5)
    assert (segments["tier"], segments["parts"], segments["rows"]) == ("segments", 1, 7)
    assert told["bytes"] == hot["bytes"] + segments["bytes"] > 0
    groups = [
        (each["state"], each["level"], each["final"], each["parts"], each["rows"])
        for each in told["segments"]
    ]
    assert groups == [("published", 2, True, 1, 7), ("marked", 0, False, 2, 7)]


async def test_final_segments_wait_for_the_tables(
    client: httpx.AsyncClient, its_services: Services
) -> None:
    path = "/tailrace/archive/iceberg"
    empty = (await client.get(path)).json()
    assert (empty["published"], empty["every_minutes"], empty["final"]) == (False, None, 0)
    await _segment(client, its_services, 3)
    now = dt.datetime.now(dt.UTC)
    await compact_pass(its_services.pool, its_services.objects, now, force=True)
    told = (await client.get(path)).json()
    assert (told["final"], told["waiting"], told["held"], told["begun"]) == (1, 1, 0, False)


async def test_partitions_are_those_of_the_offload(
    client: httpx.AsyncClient, its_services: Services
) -> None:
    path = "/tailrace/archive/partitions"
    assert (await client.get(path)).json() == {"by": "day", "partitions": [], "truncated": False}
    for count in (1, 2, 3):
        await _segment(client, its_services, count)
    async with connection(its_services.pool) as conn:
        await conn.execute(
            "UPDATE log_segment SET hour = timestamptz '2026-11-20 05:00Z' + rows * interval '9 hours'"
        )
    days = (await client.get(path)).json()["partitions"]
    assert [
        (day["start"], day["rows"], day["segments"], day["final_segments"]) for day in days
    ] == [
        ("2026-11-20T00:00:00Z", 3, 2, 0),
        ("2026-11-21T00:00:00Z", 3, 1, 0),
    ]
    hours = await client.get(
        path, params={"by": "hour", "from": "2026-11-20T14:00:00Z", "to": "2026-11-21T08:00:00Z"}
    )
    assert [hour["start"] for hour in hours.json()["partitions"]] == [
        "2026-11-20T14:00:00Z",
        "2026-11-20T23:00:00Z",
    ]
    for wrong, field in (
        ({"by": "week"}, "by"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-21T00:00:00Z", "to": "2026-11-20T00:00:00Z"}, "to"),
    ):
        answer = await client.get(path, params=wrong)
        assert answer.status_code == 422, answer.text
        assert field in str(answer.json()["exception_detail"][0]["loc"])


async def test_a_verification_names_the_object_that_is_missing(
    client: httpx.AsyncClient, its_services: Services, eventually: Any
) -> None:
    path = "/tailrace/archive/verification"
    assert (await client.get(path)).json() == {"last": None, "running": None}
    await _segment(client, its_services, 3)
    await _segment(client, its_services, 4)
    stop = asyncio.Event()
    jobs: list[Job] = [VERIFY]
    driving = asyncio.create_task(run_jobs(its_services, stop, jobs=jobs))

    async def verified() -> bool:
        return (await client.get(path)).json()["last"] is not None

    await eventually(verified)
    first = (await client.get(path)).json()["last"]
    assert (first["segments"], first["rows"], first["problems"]) == (2, 7, [])
    lost = min(await its_services.objects.list_objects("logs/"))
    await its_services.objects.delete_many([lost])
    # Although it was looked at just now.
    wish = await client.post(path)
    assert wish.status_code == 200, wish.text
    assert (wish.json()["name"], wish.json()["report"]["problems"]) == ("log-verify", 1)
    told = (await client.get(path)).json()
    assert told["running"] is None
    assert told["last"]["problem_count"] == 1
    (problem,) = told["last"]["problems"]
    assert (problem["key"], problem["fault"], problem["runs"]) == (lost, "missing", 1)
    stop.set()
    async with asyncio.timeout(20):
        await driving
