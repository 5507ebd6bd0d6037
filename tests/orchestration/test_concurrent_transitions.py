"""Several clients at once propose whatever they like; what must always hold does.

Runs of one deployment, whose limit is smaller than their number, and task runs that share a tag
with a limit. Leases run out in between, as if their holders had died.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from app.orchestration.concurrency import free_expired_leases
from app.orchestration.deployments import apply_deployment
from app.orchestration.submission import create_flow_run, create_task_run
from app.orchestration.transition import set_flow_run_state, set_task_run_state
from app.rules import flow_policy
from app.wire.base import new_id, utc_now
from app.wire.concurrency import ConcurrencyLimit
from app.wire.deployments import ConcurrencyOptions, DeploymentCreate
from app.wire.facts import Client
from app.wire.flows import FlowCreate
from app.wire.runs import FlowRunCreate, FlowRunPolicy, TaskRunCreate
from app.wire.states import TERMINAL, StateCreate, StateDetails
from storage.errors import Busy
from storage.postgres.concurrency import insert_limit
from storage.postgres.flows import get_or_create_flow
from storage.postgres.pool import Pool, connection, transaction

RUNS = 3
TASKS = 2
SOON = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)
KEPT_RESULT = {"type": "reference", "storage_key": "k"}
NEW, OLD = Client(version="3.8.8"), Client(version="3.4.0")


@dataclass(frozen=True, slots=True)
class Move:
    """What a client does to the run (or task run) of that number."""

    what: str
    number: int
    state: StateCreate | None = None
    client: Client = NEW


def _states() -> st.SearchStrategy[StateCreate]:
    return st.sampled_from(
        [
            StateCreate(type="PENDING"),
            StateCreate(type="PENDING"),
            StateCreate(type="PENDING", name="Submitting"),
            StateCreate(type="RUNNING"),
            StateCreate(type="RUNNING"),
            StateCreate(type="COMPLETED"),
            StateCreate(type="COMPLETED", data=KEPT_RESULT),
            StateCreate(type="FAILED"),
            StateCreate(type="CRASHED"),
            StateCreate(type="CANCELLING"),
            StateCreate(type="CANCELLED"),
            StateCreate(type="PAUSED", state_details=StateDetails(pause_timeout=SOON)),
            StateCreate(type="SCHEDULED", name="AwaitingRetry"),
        ]
    )


proposals = st.builds(
    Move,
    st.sampled_from(["propose", "propose", "propose", "force"]),
    st.integers(0, RUNS - 1),
    _states(),
    st.sampled_from([NEW, NEW, OLD]),
)
task_proposals = st.builds(
    Move,
    st.just("task"),
    st.integers(0, TASKS - 1),
    st.sampled_from(
        [StateCreate(type="RUNNING"), StateCreate(type="COMPLETED"), StateCreate(type="FAILED")]
    ),
)
deaths = st.builds(Move, st.just("leases run out"), st.just(0))
moves = st.one_of(proposals, proposals, proposals, task_proposals, deaths)


@dataclass(frozen=True, slots=True)
class World:
    """What one example works on."""

    runs: Sequence[uuid.UUID]
    tasks: Sequence[uuid.UUID]
    limits: Sequence[uuid.UUID]


async def _made(pool: Pool, limit: int, retries: int, *, cancel_new: bool) -> World:
    now = utc_now()
    tag = uuid.uuid4().hex
    tag_limit = ConcurrencyLimit(
        id=new_id(),
        created=now,
        updated=now,
        active=True,
        name=f"tag:{tag}",
        limit=1,
        active_slots=0,
        denied_slots=0,
        slot_decay_per_second=0.0,
        avg_slot_occupancy_seconds=2.0,
    )
    async with connection(pool) as conn:
        create = FlowCreate(name=uuid.uuid4().hex)
        flow, _ = await get_or_create_flow(conn, create, id=new_id(), now=now)
        await insert_limit(conn, tag_limit)
    options = ConcurrencyOptions(collision_strategy="CANCEL_NEW" if cancel_new else "ENQUEUE")
    deployment, _, _ = await apply_deployment(
        pool,
        DeploymentCreate(
            name="d", flow_id=flow.id, concurrency_limit=limit, concurrency_options=options
        ),
        author=None,
        now=now,
    )
    assert deployment.global_concurrency_limit is not None
    runs = [
        await create_flow_run(
            pool,
            FlowRunCreate(
                flow_id=flow.id,
                deployment_id=deployment.id,
                state=StateCreate(type="SCHEDULED"),
                empirical_policy=FlowRunPolicy(retries=retries),
            ),
            now=now,
        )
        for _ in range(RUNS)
    ]
    tasks = [
        await create_task_run(
            pool, TaskRunCreate(task_key="t", dynamic_key=uuid.uuid4().hex, tags=[tag]), now=now
        )
        for _ in range(TASKS)
    ]
    return World(
        [run.id for run, _ in runs],
        [task.id for task, _ in tasks],
        [deployment.global_concurrency_limit.id, tag_limit.id],
    )


async def _play(pool: Pool, world: World, script: Sequence[Move]) -> None:
    for move in script:
        try:
            await _make(pool, world, move)
        except Busy:
            # What the API answers 503: the client would ask again.
            continue


async def _make(pool: Pool, world: World, move: Move) -> None:
    now = utc_now()
    if move.state is None:
        async with transaction(pool) as conn:
            await conn.execute(
                "UPDATE concurrency_lease SET expires = $1 WHERE limit_ids[1] = $2",
                now - dt.timedelta(seconds=1),
                world.limits[0],
            )
        async with transaction(pool) as conn:
            await free_expired_leases(conn, at_most=100, now=now)
    elif move.what == "task":
        await set_task_run_state(pool, world.tasks[move.number], move.state, now=now)
    else:
        policy = flow_policy.MINIMAL if move.what == "force" else flow_policy.CORE
        id = world.runs[move.number]
        await set_flow_run_state(pool, id, move.state, now=now, policy=policy, client=move.client)


async def _check_slots(pool: Pool, world: World) -> None:
    for limit_id in world.limits:
        limit = await pool.fetchrow("SELECT * FROM concurrency_limit WHERE id = $1", limit_id)
        leases = await pool.fetch(
            "SELECT id, slots FROM concurrency_lease WHERE limit_ids @> ARRAY[$1::uuid]", limit_id
        )
        assert limit is not None
        assert limit["active_slots"] == sum(lease["slots"] for lease in leases), "none is leaked"
        assert 0 <= limit["active_slots"] <= limit["limit"]
    named = await pool.fetch(
        """
        SELECT s.state_details ->> 'deployment_concurrency_lease_id' AS lease
        FROM flow_run r JOIN flow_run_state s ON s.id = r.state_id
        WHERE r.id = ANY ($1) AND r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'CANCELLING')
        """,
        world.runs,
    )
    leases = await pool.fetch(
        "SELECT id FROM concurrency_lease WHERE limit_ids @> ARRAY[$1::uuid]", world.limits[0]
    )
    holders = [row["lease"] for row in named if row["lease"] is not None]
    for lease in leases:
        assert holders.count(str(lease["id"])) == 1, "each slot is held by one run"


async def _check_history(pool: Pool, run_id: uuid.UUID, *, forced: bool) -> None:
    run: Any = await pool.fetchrow("SELECT * FROM flow_run WHERE id = $1", run_id)
    states: Any = await pool.fetch(
        "SELECT * FROM flow_run_state WHERE flow_run_id = $1 ORDER BY timestamp", run_id
    )
    assert states[-1]["id"] == run["state_id"], "the newest state holds"
    assert len({state["timestamp"] for state in states}) == len(states)
    running = sum(state["type"] == "RUNNING" for state in states)
    pauses = sum(state["type"] == "PAUSED" for state in states)
    assert running - pauses <= run["run_count"] <= running
    for before, after in pairwise(states):
        if forced:
            continue
        if before["type"] in TERMINAL:
            assert after["type"] not in ("CANCELLING", "PAUSED", "CRASHED")
        if before["type"] == "COMPLETED" and before["data"] is not None:
            assert after["type"] in TERMINAL, "with a result that is kept it is over"
            assert after["type"] != "COMPLETED" or after["data"] is not None
        if before["type"] == "CANCELLING":
            assert after["type"] == "CANCELLED"
        if (before["type"], after["type"]) == ("PENDING", "PENDING"):
            assert after["name"] != "Pending", "one claim wins"
    assert (run["end_time"] is not None) == (run["state_type"] in TERMINAL)
    begun = [state["timestamp"] for state in states if state["type"] in ("RUNNING", *TERMINAL)]
    assert run["start_time"] == min(begun, default=None), "the first time that it ran stays"
    lasted = sum(
        (after["timestamp"] - before["timestamp"]).total_seconds()
        for before, after in pairwise(states)
        if before["type"] == "RUNNING"
    )
    assert run["total_run_time"] == pytest.approx(lasted), "time is counted while it runs"


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    scripts=st.lists(st.lists(moves, min_size=1, max_size=8), min_size=2, max_size=4),
    limit=st.integers(1, 2),
    retries=st.integers(0, 1),
    cancel_new=st.booleans(),
)
async def test_what_must_hold_holds(
    pool: Pool, scripts: list[list[Move]], limit: int, retries: int, cancel_new: bool
) -> None:
    world = await _made(pool, limit, retries, cancel_new=cancel_new)
    await asyncio.gather(*(_play(pool, world, script) for script in scripts))
    await _check_slots(pool, world)
    for number, run_id in enumerate(world.runs):
        forced = any(
            move.what == "force" and move.number == number for script in scripts for move in script
        )
        await _check_history(pool, run_id, forced=forced)
    ends = [Move("force", number, StateCreate(type="FAILED")) for number in range(RUNS)]
    ends += [Move("task", number, StateCreate(type="FAILED")) for number in range(TASKS)]
    await _play(pool, world, ends)
    for limit_id in world.limits:
        active = await pool.fetchval(
            "SELECT active_slots FROM concurrency_limit WHERE id = $1", limit_id
        )
        assert active == 0, "all slots come back"


async def test_one_of_many_claims_wins(pool: Pool) -> None:
    world = await _made(pool, 2, 0, cancel_new=False)
    claim = Move("propose", 0, StateCreate(type="PENDING"))

    async def won() -> bool:
        assert claim.state is not None
        result = await set_flow_run_state(
            pool, world.runs[0], claim.state, now=utc_now(), client=NEW
        )
        return result.status == "ACCEPT"

    assert sum(await asyncio.gather(*(won() for _ in range(20)))) == 1
    await _check_slots(pool, world)
