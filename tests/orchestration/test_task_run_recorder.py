"""Task runs told by events: the same rows whatever the order and however often."""

import asyncio
import datetime as dt
import random
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.orchestration.task_run_recorder import observed_task_run, record_task_runs
from app.wire.base import Json
from app.wire.events import ReceivedEvent, raw_json
from storage.postgres.event_buffer import EventBuffer
from storage.postgres.pool import Pool, transaction

FLOW_RUN = uuid.UUID("3d750e66-1893-4fcd-83f3-9711f07bc477")
START = dt.datetime(2026, 11, 24, 6, 41, 34, tzinfo=dt.UTC)
STATES = (
    ("PENDING", "Pending"),
    ("RUNNING", "Running"),
    ("SCHEDULED", "AwaitingRetry"),
    ("RUNNING", "Retrying"),
    ("COMPLETED", "Completed"),
)


def told(run: int, step: int, *, payload: Json | None = None, **changes: Any) -> ReceivedEvent:
    """What the client says when task run number `run` enters its state number `step`."""
    state_type, state_name = STATES[step]
    body: Json = {
        "intended": {"from": None, "to": state_type},
        "validated_state": {
            "type": state_type,
            "name": state_name,
            "message": f"step {step}",
            "state_details": {"untrackable_result": True},
            "data": {"type": "unpersisted"} if state_type == "COMPLETED" else None,
        },
        "task_run": {
            "name": f"task-{run}",
            "task_key": "task",
            "dynamic_key": str(run),
            "empirical_policy": {"retries": 1, "retry_delay": 0},
            "tags": ["a", "b"],
            "labels": {"step": step},
            "task_inputs": {"x": [{"input_type": "parameter", "name": "x"}]},
            "run_count": step,
            "flow_run_run_count": 1,
            "expected_start_time": "2026-11-24T06:41:34Z",
            "total_run_time": float(step),
        },
    }
    event = ReceivedEvent(
        id=uuid.UUID(int=run * 100 + step + 1),
        occurred=START + dt.timedelta(seconds=step),
        event=f"prefect.task-run.{state_name}",
        resource={
            "prefect.resource.id": f"prefect.task-run.{uuid.UUID(int=run)}",
            "prefect.resource.name": f"task-{run}",
            "prefect.orchestration": "client",
        },
        related=[
            {
                "prefect.resource.id": f"prefect.flow-run.{FLOW_RUN}",
                "prefect.resource.role": "flow-run",
            }
        ],
        payload=raw_json(body | (payload or {})),
        received=START,
    )
    return msgspec.structs.replace(event, **changes)


ALL = [told(run, step) for run in range(1, 4) for step in range(len(STATES))]


async def rows(pool: Pool) -> tuple[list[Any], list[Any]]:
    """Everything that does not say when it was written."""
    runs = await pool.fetch(
        "SELECT id, name, flow_run_id, task_key, dynamic_key, labels, state_id, state_name, "
        "state_timestamp, run_count, total_run_time, tags, empirical_policy, task_inputs "
        "FROM task_run ORDER BY id"
    )
    states = await pool.fetch(
        "SELECT id, task_run_id, type, name, timestamp, message, data, state_details "
        "FROM task_run_state ORDER BY id"
    )
    return [dict(row) for row in runs], [dict(row) for row in states]


@given(
    extra=st.lists(st.sampled_from(ALL), max_size=10),
    randomness=st.randoms(use_true_random=False),
    size=st.integers(1, 12),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_order_and_repetition_do_not_matter(
    pool: Pool, extra: list[ReceivedEvent], randomness: Any, size: int
) -> None:
    await pool.execute("TRUNCATE task_run CASCADE")
    events = ALL + extra
    randomness.shuffle(events)
    for start in range(0, len(events), size):
        async with transaction(pool) as conn:
            await record_task_runs(conn, events[start : start + size])
    runs, states = await rows(pool)
    assert [run["state_name"] for run in runs] == ["Completed"] * 3
    assert [run["labels"] for run in runs] == [{"step": 4}] * 3
    assert [run["run_count"] for run in runs] == [4] * 3
    assert runs[0]["tags"] == ["a", "b"]
    assert len(states) == len(ALL)
    assert [state["message"] for state in states] == [f"step {step}" for step in range(5)] * 3
    assert states[-1]["state_details"]["task_run_id"] == str(uuid.UUID(int=3))
    assert states[-1]["state_details"]["flow_run_id"] == str(FLOW_RUN)
    assert states[-1]["data"] == {"type": "unpersisted"}
    assert states[0]["data"] is None


async def test_a_run_known_under_another_id_keeps_it(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await record_task_runs(conn, [told(1, 0)])
    other = {
        "prefect.resource.id": f"prefect.task-run.{uuid.UUID(int=999)}",
        "prefect.orchestration": "client",
    }
    async with transaction(pool) as conn:
        await record_task_runs(conn, [told(1, 1, resource=other), told(2, 1, related=[])])
        await record_task_runs(conn, [told(2, 2, related=[])])
    runs, states = await rows(pool)
    assert [(run["id"].int, run["state_name"]) for run in runs] == [
        (1, "Running"),
        (2, "AwaitingRetry"),
    ]
    assert runs[1]["flow_run_id"] is None
    assert [state["task_run_id"].int for state in states] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    "payload",
    [
        {"validated_state": None},
        {"validated_state": {"type": "SLEEPING"}},
        {"validated_state": {}},
        {"task_run": {"name": "no keys"}},
        {"task_run": 3},
    ],
)
async def test_what_cannot_be_read_is_left_out_alone(pool: Pool, payload: Json) -> None:
    async with transaction(pool) as conn:
        await record_task_runs(conn, [told(1, 0), told(2, 0, payload=payload), told(3, 0)])
    runs, _ = await rows(pool)
    assert [run["id"].int for run in runs] == [1, 3]


def test_a_part_that_cannot_be_read_is_left_out_alone() -> None:
    run = observed_task_run(
        told(
            1,
            4,
            payload={
                "validated_state": {
                    "type": "COMPLETED",
                    "name": 7,
                    "state_details": {"pause_key": 3, "cache_key": "k", "new": 1},
                },
                "task_run": {
                    "task_key": "t",
                    "dynamic_key": "0",
                    "tags": "many",
                    "run_count": 2**40,
                    "start_time": "soon",
                    "labels": {"a": None},
                    "cache_key": "k",
                    "unheard": "of",
                },
            },
        )
    )
    assert run is not None
    assert run.state is not None
    assert (run.state.name, run.state.state_details.cache_key) == ("Completed", "k")
    assert (run.tags, run.run_count, run.start_time, run.labels) == ([], 0, None, {})
    assert run.cache_key == "k"


def test_other_events_are_not_task_runs() -> None:
    assert observed_task_run(told(1, 0, event="prefect.flow-run.Running")) is None
    assert (
        observed_task_run(told(1, 0, resource={"prefect.resource.id": "prefect.task-run.1"}))
        is None
    )
    assert observed_task_run(told(1, 0)) is not None


def renamed(event: ReceivedEvent) -> ReceivedEvent:
    """The same about a run of another id."""
    prefix, _, id = event.resource["prefect.resource.id"].rpartition(".")
    other = f"{prefix}.{uuid.UUID(int=uuid.UUID(id).int + 5000)}"
    return msgspec.structs.replace(event, resource={**event.resource, "prefect.resource.id": other})


async def test_two_processes_write_down_the_same_runs_at_once(pool: Pool) -> None:
    events = [told(run, step) for run in range(1, 101) for step in range(len(STATES))]
    # To one of them the runs came under other ids: a client that lost its answer made them again.
    others = [*events, renamed(told(7, 4)), told(200, 0), renamed(told(200, 1))]

    async def send(some: list[ReceivedEvent], seed: int) -> None:
        shuffled = random.Random(seed).sample(some, len(some))
        async with EventBuffer.open(pool, record_task_runs) as buffer:
            for event in shuffled:
                await buffer.put(event, 100)

    await asyncio.gather(*(send(some, seed) for seed, some in enumerate([events, others, events])))
    runs, states = await rows(pool)
    assert len(runs) == 101
    assert [run["state_name"] for run in runs if run["dynamic_key"] != "200"] == ["Completed"] * 100
    assert len(states) == 502
    kept = {run["id"] for run in runs}
    assert {state["task_run_id"] for state in states} == kept
