"""Runs and states for tests of rules, and shorthands to decide about them."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

from app.rules import flow_policy, task_policy
from app.rules.transitions import Decision, decide
from app.wire.facts import EnclosingFlow, FlowRunFacts, TaskRunFacts
from app.wire.runs import FlowRunPolicy, TaskRunPolicy
from app.wire.states import State, StateDetails, StateType, default_name

NOW = dt.datetime(2026, 11, 24, 12, 0, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
RUN_ID = uuid.UUID(int=1)
FRESH = uuid.UUID(int=0xF5E5)


def a_state(
    type: StateType,
    name: str | None = None,
    *,
    at: dt.datetime = NOW - 10 * SECOND,
    data: Any = None,
    message: str | None = None,
    **details: Any,
) -> State:
    """A state with an id of its own."""
    return State(
        id=uuid.uuid4(),
        type=type,
        name=name or default_name(type),
        timestamp=at,
        message=message,
        data=data,
        state_details=StateDetails(**details),
    )


def a_flow_run(state: State | None, **fields: Any) -> FlowRunFacts:
    """A flow run in that state."""
    run = FlowRunFacts(
        id=RUN_ID,
        name="a-run",
        state=state,
        run_count=0,
        expected_start_time=None if state is None else state.timestamp,
        next_scheduled_start_time=None,
        start_time=None,
        end_time=None,
        total_run_time=0.0,
        tags=(),
        flow_id=uuid.UUID(int=2),
        flow_name="a-flow",
        policy=FlowRunPolicy(),
        deployment_id=None,
        parent_task_run_id=None,
        infrastructure_pid=None,
    )
    return replace(run, **fields)


def a_task_run(state: State | None, **fields: Any) -> TaskRunFacts:
    """A task run in that state."""
    run = TaskRunFacts(
        id=RUN_ID,
        name="a-task",
        state=state,
        run_count=0,
        expected_start_time=None if state is None else state.timestamp,
        next_scheduled_start_time=None,
        start_time=None,
        end_time=None,
        total_run_time=0.0,
        tags=(),
        policy=TaskRunPolicy(),
        flow_run_id=None,
        flow_run_run_count=0,
        enclosing=None,
    )
    return replace(run, **fields)


def a_flow_around(state: State | None, run_count: int = 1) -> EnclosingFlow:
    """The flow run around a task run."""
    return EnclosingFlow(id=uuid.UUID(int=3), state=state, run_count=run_count)


def propose_to_flow(
    run: FlowRunFacts,
    proposed: State,
    policy: tuple[flow_policy.FlowRule, ...] = flow_policy.CORE,
) -> Decision[FlowRunFacts]:
    """What becomes of the proposal."""
    return decide(policy, run, proposed, now=NOW, jitter=0.5, fresh_id=FRESH)


def propose_to_task(
    run: TaskRunFacts,
    proposed: State,
    policy: tuple[task_policy.TaskRule, ...] = task_policy.CORE,
) -> Decision[TaskRunFacts]:
    """What becomes of the proposal."""
    return decide(policy, run, proposed, now=NOW, jitter=0.5, fresh_id=FRESH)
