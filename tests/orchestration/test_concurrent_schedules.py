"""Schedules are changed by several people at once while two schedulers work and clients take runs.

Every change of a schedule gives it another version, which its runs carry as a parameter.
"""

import asyncio
import datetime as dt
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from app.orchestration.deployment_runs import create_run
from app.orchestration.deployment_schedules import (
    create_schedules,
    delete_schedule,
    update_schedule,
)
from app.orchestration.deployments import apply_deployment, set_paused
from app.orchestration.scheduling import refill_schedules
from app.orchestration.transition import set_flow_run_state
from app.rules.schedules import Horizon, Scheduling
from app.wire.base import Json, new_id, utc_now
from app.wire.deployments import (
    DeploymentCreate,
    DeploymentFlowRunCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from app.wire.facts import Client
from app.wire.flows import FlowCreate
from app.wire.states import StateCreate, StateDetails
from storage.errors import Busy, NotFound
from storage.postgres.flows import get_or_create_flow
from storage.postgres.pool import Pool, connection

SCHEDULES = 2
MIN_RUNS = 3
# Small transactions, so that much can come between them.
SCHEDULING = Scheduling(
    horizon=Horizon(min_runs=MIN_RUNS, max_runs=6, min_scheduled_time=dt.timedelta(minutes=30)),
    batch=2,
)
CLIENT = Client(version="3.8.8")
LATER = dt.timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Move:
    """What somebody does, to the schedule (or the waiting run) of that number."""

    what: str
    number: int


moves = st.builds(
    Move,
    st.sampled_from(
        [
            "change the schedule",
            "change the schedule",
            "switch the schedule off",
            "switch the schedule on",
            "delete the schedule",
            "add a schedule",
            "pause",
            "resume",
            "refill all",
            "refill all",
            "refill what changed",
            "refill what changed",
            "take a run",
            "ask for a run",
        ]
    ),
    st.integers(0, SCHEDULES - 1),
)


@dataclass(slots=True)
class World:
    """What one example works on. `asked_for` are runs that people made."""

    deployment_id: uuid.UUID
    schedules: list[uuid.UUID]
    since: dt.datetime
    versions: "itertools.count[int]" = field(default_factory=itertools.count)
    asked_for: list[uuid.UUID] = field(default_factory=list)

    def of_next_version(self) -> dict[str, Any]:
        """Other dates, at other minutes of the hour, and what tells them apart."""
        version = next(self.versions)
        return {
            "schedule": _cron(f"{version % 60} * * * *"),
            "parameters": {"version": version},
        }


def _cron(text: str) -> Json:
    return {"cron": text, "timezone": "UTC", "day_or": True}


async def _made(pool: Pool) -> World:
    now = utc_now()
    async with connection(pool) as conn:
        # The scheduler looks at all there are.
        await conn.execute("TRUNCATE flow CASCADE")
        create = FlowCreate(name=uuid.uuid4().hex)
        flow, _ = await get_or_create_flow(conn, create, id=new_id(), now=now)
    deployment, _, _ = await apply_deployment(
        pool, DeploymentCreate(name="d", flow_id=flow.id), author=None, now=now
    )
    world = World(deployment.id, [], now)
    for _ in range(SCHEDULES):
        await _make(pool, world, Move("add a schedule", 0))
    return world


async def _play(pool: Pool, world: World, script: Sequence[Move]) -> None:
    for move in script:
        try:
            await _make(pool, world, move)
        except (Busy, NotFound):
            # Somebody was quicker: the schedule or the run is gone.
            continue


async def _make(pool: Pool, world: World, move: Move) -> None:
    now = utc_now()
    schedule_id = world.schedules[move.number] if len(world.schedules) > move.number else new_id()
    match move.what:
        case "change the schedule":
            update = DeploymentScheduleUpdate(**world.of_next_version())
            await update_schedule(pool, world.deployment_id, schedule_id, update, now=now)
        case "switch the schedule off" | "switch the schedule on":
            update = DeploymentScheduleUpdate(active=move.what.endswith("on"))
            await update_schedule(pool, world.deployment_id, schedule_id, update, now=now)
        case "delete the schedule":
            await delete_schedule(pool, world.deployment_id, schedule_id)
        case "add a schedule":
            made = await create_schedules(
                pool,
                world.deployment_id,
                [DeploymentScheduleCreate(**world.of_next_version())],
                now=now,
            )
            world.schedules.insert(0, made[0].id)
        case "pause" | "resume":
            await set_paused(pool, world.deployment_id, paused=move.what == "pause", now=now)
        case "refill all":
            await refill_schedules(pool, SCHEDULING, now=now)
        case "refill what changed":
            await refill_schedules(pool, SCHEDULING, now=now, changed_since=world.since)
        case "take a run":
            await _take(pool, world, now)
        case _:
            state = StateCreate(
                type="SCHEDULED", state_details=StateDetails(scheduled_time=now + LATER)
            )
            asked = DeploymentFlowRunCreate(state=state)
            run, _ = await create_run(pool, world.deployment_id, asked, author=None, now=now)
            world.asked_for.append(run.id)


async def _take(pool: Pool, world: World, now: dt.datetime) -> None:
    """As somebody who looks ahead: the next one that waits, before it is due."""
    id = await pool.fetchval(
        "SELECT id FROM flow_run WHERE deployment_id = $1 AND state_type = 'SCHEDULED'"
        " AND auto_scheduled ORDER BY next_scheduled_start_time LIMIT 1",
        world.deployment_id,
    )
    if id is not None:
        await set_flow_run_state(pool, id, StateCreate(type="PENDING"), now=now, client=CLIENT)


async def _check(pool: Pool, world: World) -> None:
    paused = await pool.fetchval("SELECT paused FROM deployment WHERE id = $1", world.deployment_id)
    schedules = {
        str(row["id"]): row
        for row in await pool.fetch(
            "SELECT id, active, parameters FROM deployment_schedule WHERE deployment_id = $1",
            world.deployment_id,
        )
    }
    runs = await pool.fetch(
        "SELECT * FROM flow_run WHERE deployment_id = $1 ORDER BY id", world.deployment_id
    )
    # One that has become due meanwhile is not taken back when its schedule changes.
    waiting = [
        run
        for run in runs
        if run["auto_scheduled"]
        and run["state_type"] == "SCHEDULED"
        and run["next_scheduled_start_time"] > utc_now()
    ]
    assert not (paused and waiting), "nothing waits in a paused deployment"
    for run in waiting:
        schedule = schedules.get(run["created_by"]["id"])
        assert schedule is not None, "the schedule of a run that waits is there"
        assert schedule["active"]
        assert run["parameters"]["version"] == schedule["parameters"]["version"]
        assert run["expected_start_time"].minute == run["parameters"]["version"] % 60
    keys = [run["idempotency_key"] for run in runs if run["auto_scheduled"]]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    dates = [(run["created_by"]["id"], run["expected_start_time"]) for run in waiting]
    assert len(set(dates)) == len(dates), "one run for each date"
    kept = {run["id"] for run in runs if run["state_type"] == "SCHEDULED"}
    assert set(world.asked_for) <= kept, "what people asked for stays"


async def _check_nothing_is_missing(pool: Pool, world: World) -> None:
    # Dates whose runs were taken before their schedule was changed and changed back are passed over
    # by one look and replaced by the next.
    for _ in range(5):
        await refill_schedules(pool, SCHEDULING, now=utc_now())
    assert (await refill_schedules(pool, SCHEDULING, now=utc_now())).runs == 0
    for row in await pool.fetch(
        """
        SELECT s.id, count(r.id) AS runs
        FROM deployment d JOIN deployment_schedule s ON s.deployment_id = d.id
        LEFT JOIN flow_run r ON r.created_by ->> 'id' = s.id::text
            AND r.expected_start_time > now()
            AND extract(minute FROM r.expected_start_time)
                = (s.parameters ->> 'version')::int % 60
        WHERE d.id = $1 AND NOT d.paused AND s.active
        GROUP BY s.id
        """,
        world.deployment_id,
    ):
        # Where all of the next ones were taken ahead of time, each date has its run and none waits.
        assert row["runs"] >= MIN_RUNS


async def test_dates_whose_runs_were_all_taken_ahead_of_time_get_no_second_run(pool: Pool) -> None:
    world = await _made(pool)
    for schedule_id in world.schedules[1:]:
        await delete_schedule(pool, world.deployment_id, schedule_id)
    await refill_schedules(pool, SCHEDULING, now=utc_now())
    for _ in range(MIN_RUNS):
        await _take(pool, world, utc_now())
    assert (await refill_schedules(pool, SCHEDULING, now=utc_now())).runs == 0
    states = await pool.fetch("SELECT state_type FROM flow_run")
    assert [row["state_type"] for row in states] == ["PENDING"] * MIN_RUNS
    await _check_nothing_is_missing(pool, world)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(scripts=st.lists(st.lists(moves, min_size=1, max_size=8), min_size=2, max_size=4))
async def test_what_waits_is_what_the_schedules_say(pool: Pool, scripts: list[list[Move]]) -> None:
    world = await _made(pool)
    # The two jobs of the scheduler, whatever else happens.
    jobs = [[Move("refill all", 0)] * 3, [Move("refill what changed", 0)] * 3]
    async with asyncio.TaskGroup() as group:
        for script in [*scripts, *jobs]:
            group.create_task(_play(pool, world, script))
    await _check(pool, world)
    await _check_nothing_is_missing(pool, world)
    await _check(pool, world)
