"""Schedules make runs ahead of their time, each once, and take them back when they change."""

import asyncio
import datetime as dt
import itertools
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
from litestar import Litestar

from app.orchestration.scheduling import refill_schedules
from app.rules.schedules import Horizon, Scheduling
from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.registry import jobs_as_set
from jobs.scheduler import schedule_recent_changes, schedule_runs
from storage.postgres.pool import connection, transaction
from storage.postgres.scheduled_runs import ScheduledRun, active_schedules, insert_scheduled_runs
from tests.api.deployed import a_deployment, a_flow, a_pool

MINUTELY = {"cron": "* * * * *"}
DAILY = {"cron": "30 9 * * *", "timezone": "Europe/Berlin"}


def scheduled(*schedules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What a deployment with these schedules is made with."""
    return {"schedules": [{"schedule": one} for one in schedules], **more}


async def runs_of(client: httpx.AsyncClient, deployment: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of a deployment, the next due first."""
    answer = await client.post(
        "/flow_runs/filter",
        json={
            "flow_runs": {"deployment_id": {"any_": [deployment["id"]]}},
            "sort": "NEXT_SCHEDULED_START_TIME_ASC",
        },
    )
    runs: list[dict[str, Any]] = answer.json()
    return runs


async def test_a_minutely_schedule_is_an_hour_ahead(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    now = utc_now()
    await schedule_runs(services)
    runs = await runs_of(client, deployment)
    dues = [dt.datetime.fromisoformat(run["next_scheduled_start_time"]) for run in runs]
    assert len(runs) in (60, 61)
    assert all(due.second == due.microsecond == 0 for due in dues)
    assert [later - due for due, later in itertools.pairwise(dues)] == [dt.timedelta(minutes=1)] * (
        len(dues) - 1
    )
    assert now < dues[0] <= now + dt.timedelta(minutes=1)
    assert dues[-1] >= now + dt.timedelta(hours=1)


async def test_a_rare_schedule_has_three_runs_ahead(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(DAILY))
    await schedule_runs(services)
    dues = [run["expected_start_time"] for run in await runs_of(client, deployment)]
    local = [
        dt.datetime.fromisoformat(due).astimezone(ZoneInfo("Europe/Berlin")).time() for due in dues
    ]
    assert local == [dt.time(9, 30)] * 3


async def test_a_run_bears_what_its_deployment_and_schedule_say(
    client: httpx.AsyncClient, services: Services
) -> None:
    pool = await a_pool(client)
    deployment = await a_deployment(
        client,
        work_pool_name=pool,
        tags=["t"],
        labels={"team": "x"},
        version="7",
        parameters={"x": 1, "y": ["deployment"]},
        schedules=[{"schedule": DAILY, "slug": "nightly", "parameters": {"y": ["schedule"]}}],
        job_variables={"s": "text"},
    )
    await schedule_runs(services)
    run = (await runs_of(client, deployment))[0]
    schedule = deployment["schedules"][0]
    berlin = dt.datetime.fromisoformat(run["expected_start_time"]).astimezone(
        ZoneInfo("Europe/Berlin")
    )
    assert run["parameters"] == {"x": 1, "y": ["schedule"]}
    assert run["tags"] == ["auto-scheduled", "t"]
    assert run["labels"] == {
        "team": "x",
        "prefect.flow.id": deployment["flow_id"],
        "prefect.deployment.id": deployment["id"],
    }
    assert run["created_by"] == {
        "id": schedule["id"],
        "type": "SCHEDULE",
        "display_value": "nightly",
    }
    assert run["idempotency_key"] == f"scheduled {deployment['id']} {schedule['id']} {berlin}"
    assert run["deployment_version"] == "7"
    assert run["work_pool_name"] == pool
    assert run["auto_scheduled"] is True
    assert run["job_variables"] == {}
    state = run["state"]
    assert (state["type"], state["name"], state["message"]) == (
        "SCHEDULED",
        "Scheduled",
        "Flow run scheduled",
    )
    assert state["state_details"]["scheduled_time"] == run["expected_start_time"]
    assert state["state_details"]["flow_run_id"] == run["id"]


async def test_a_second_pass_makes_nothing_new(
    client: httpx.AsyncClient, services: Services
) -> None:
    await a_deployment(client, **scheduled(DAILY, MINUTELY))
    first = await schedule_runs(services)
    assert first["schedules"] == 2
    await asyncio.gather(*(schedule_recent_changes(services) for _ in range(3)))
    async with connection(services.pool) as conn:
        count = await conn.fetchval("SELECT count(*) FROM flow_run")
    assert first["flow_runs"] <= count <= int(first["flow_runs"] or 0) + 1


async def test_schedulers_at_once_make_each_run_once(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    now = utc_now()
    made = await asyncio.gather(
        *(refill_schedules(services.pool, Scheduling(), now=now) for _ in range(4))
    )
    runs = await runs_of(client, deployment)
    assert sum(one.runs for one in made) == len(runs)
    assert len({run["next_scheduled_start_time"] for run in runs}) == len(runs)


async def test_what_waits_goes_on_from_the_last_run(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    now = utc_now()
    await refill_schedules(services.pool, Scheduling(), now=now)
    before = await runs_of(client, deployment)
    later = await refill_schedules(services.pool, Scheduling(), now=now + dt.timedelta(minutes=10))
    after = await runs_of(client, deployment)
    assert later.runs == 10
    assert [run["id"] for run in after[: len(before)]] == [run["id"] for run in before]


@pytest.mark.parametrize(
    "change",
    [
        {"paused": True},
        {"schedules": []},
        {"schedules": [{"schedule": DAILY, "active": False}]},
    ],
)
async def test_a_paused_or_changed_deployment_loses_what_waits(
    client: httpx.AsyncClient, services: Services, change: dict[str, Any]
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    await schedule_runs(services)
    assert await runs_of(client, deployment)
    answer = await client.patch(f"/deployments/{deployment['id']}", json=change)
    assert answer.status_code == 204
    await schedule_runs(services)
    assert await runs_of(client, deployment) == []


async def test_a_changed_schedule_leaves_none_of_its_old_runs(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    schedule = deployment["schedules"][0]["id"]
    await schedule_runs(services)
    url = f"/deployments/{deployment['id']}/schedules/{schedule}"
    assert (await client.patch(url, json={"schedule": DAILY})).status_code == 204
    await schedule_recent_changes(services)
    runs = await runs_of(client, deployment)
    assert len(runs) == 3
    assert {dt.datetime.fromisoformat(run["expected_start_time"]).minute for run in runs} == {30}


HOUR = dt.timedelta(hours=1)
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("horizon", "daily", "minutely"),
    [
        (Horizon(min_runs=5), 5, 60),
        (Horizon(min_runs=1, min_scheduled_time=3 * DAY), 3, 100),
        (Horizon(max_runs=7), 3, 7),
        (Horizon(min_runs=1, min_scheduled_time=HOUR / 6), 1, 10),
        (Horizon(max_scheduled_time=HOUR / 2, min_scheduled_time=HOUR / 2), 0, 30),
    ],
)
async def test_how_far_ahead_runs_are_made_is_a_setting(
    client: httpx.AsyncClient,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    horizon: Horizon,
    daily: int,
    minutely: int,
) -> None:
    # Due in more than an hour, whenever this runs.
    hour = (utc_now() + 2 * HOUR).hour
    deployments = [
        await a_deployment(client, **scheduled({"cron": cron}))
        for cron in (f"0 {hour} * * *", "* * * * *")
    ]
    monkeypatch.setattr(services, "scheduling", Scheduling(horizon=horizon, batch=4))
    await schedule_runs(services)
    found = [await runs_of(client, deployment) for deployment in deployments]
    assert len(found[0]) in (daily, daily + 1)
    assert len(found[1]) in (minutely, minutely + 1)
    assert await schedule_runs(services) == {}


async def test_runs_that_are_asked_for_have_the_same_horizon(
    client: httpx.AsyncClient, app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await a_deployment(client, **scheduled(DAILY))
    horizon = Horizon(min_runs=2, min_scheduled_time=HOUR)
    monkeypatch.setattr(app.state.services, "scheduling", Scheduling(horizon=horizon))
    assert (await client.post(f"/deployments/{deployment['id']}/schedule", json={})).is_success
    assert len(await runs_of(client, deployment)) == 2


def test_how_often_all_schedules_are_looked_at_is_a_setting() -> None:
    jobs = {job.name: job.every for job in jobs_as_set(Scheduling(every_seconds=7))}
    assert jobs["scheduler"] == dt.timedelta(seconds=7)
    assert jobs["recent-scheduler"] == dt.timedelta(seconds=5)


async def test_a_change_during_a_pass_wins(client: httpx.AsyncClient, services: Services) -> None:
    deployments = [await a_deployment(client, **scheduled(MINUTELY)) for _ in range(5)]

    async def pause() -> None:
        for deployment in deployments:
            await client.post(f"/deployments/{deployment['id']}/pause_deployment")

    await asyncio.gather(schedule_runs(services), pause(), schedule_runs(services))
    for deployment in deployments:
        assert await runs_of(client, deployment) == []


@pytest.mark.parametrize(
    "change", [{"schedule": DAILY}, {"active": False}, {"parameters": {"x": 2}}]
)
async def test_a_schedule_that_was_changed_since_it_was_read_gets_no_run_of_before(
    client: httpx.AsyncClient, services: Services, change: dict[str, Any]
) -> None:
    deployment = await a_deployment(client, **scheduled(MINUTELY))
    async with connection(services.pool) as conn:
        [read] = await active_schedules(conn, UUID(deployment["id"]))
    url = f"/deployments/{deployment['id']}/schedules/{read.id}"
    assert (await client.patch(url, json=change)).status_code == 204
    run = ScheduledRun(
        id=new_id(),
        state_id=new_id(),
        name="too-late",
        schedule=read,
        due=utc_now() + dt.timedelta(minutes=5),
        idempotency_key="scheduled before the change",
    )
    async with transaction(services.pool) as conn:
        assert await insert_scheduled_runs(conn, [run], now=utc_now()) == 0
    assert await runs_of(client, deployment) == []


async def test_a_schedule_in_error_stops_no_other(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    bad = await a_deployment(client, flow, **scheduled(MINUTELY))
    good = await a_deployment(client, **scheduled(MINUTELY))
    async with connection(services.pool) as conn:
        await conn.execute(
            "UPDATE deployment_schedule SET schedule = $2 WHERE deployment_id = $1",
            UUID(bad["id"]),
            {"cron": "this is no cron", "timezone": None, "day_or": True},
        )
    report = await schedule_runs(services)
    assert report["failed"] == 1
    assert await runs_of(client, bad) == []
    assert len(await runs_of(client, good)) >= 60


async def test_runs_of_the_past_are_made_when_asked_for(
    client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(client, **scheduled(DAILY))
    body = {
        "start_time": "2026-03-27T00:00:00+01:00",
        "end_time": "2026-03-31T00:00:00+02:00",
        "min_runs": 100,
    }
    url = f"/deployments/{deployment['id']}/schedule"
    for _ in range(2):
        answer = await client.post(url, json=body)
        assert (answer.status_code, answer.json()) == (200, None)
    dues = [run["expected_start_time"] for run in await runs_of(client, deployment)]
    # The clocks change on the 29th: 9:30 stays 9:30.
    assert [dt.datetime.fromisoformat(due).astimezone(dt.UTC).hour for due in dues] == [8, 8, 7, 7]


async def test_runs_asked_for_far_ahead_leave_no_gap_before_them(
    client: httpx.AsyncClient, services: Services
) -> None:
    deployment = await a_deployment(client, **scheduled(DAILY))
    far = utc_now() + dt.timedelta(days=30)
    body = {"start_time": far.isoformat(), "min_runs": 3, "max_runs": 3}
    assert (await client.post(f"/deployments/{deployment['id']}/schedule", json=body)).is_success
    assert len(await runs_of(client, deployment)) == 3
    await schedule_runs(services)
    runs = await runs_of(client, deployment)
    assert len(runs) == 6
    assert dt.datetime.fromisoformat(runs[0]["expected_start_time"]) < utc_now() + dt.timedelta(1)
    # What was asked for goes with the schedule that it came from.
    schedule = deployment["schedules"][0]["id"]
    await client.delete(f"/deployments/{deployment['id']}/schedules/{schedule}")
    assert await runs_of(client, deployment) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"start_time": "yesterday"}, "start_time"),
        ({"min_runs": "many"}, "min_runs"),
        ({"max_runs": 10**9}, "max_runs"),
        ({"min_time": -1}, "min_time"),
    ],
)
async def test_a_bad_request_for_runs_names_the_field(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    deployment = await a_deployment(client, **scheduled(DAILY))
    answer = await client.post(f"/deployments/{deployment['id']}/schedule", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["exception_detail"][0]["loc"]
    assert await runs_of(client, deployment) == []
