"""What holds for every decision, whatever the run, the proposal and the policy."""

import datetime as dt
import uuid
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules import flow_policy, task_policy
from app.rules.transitions import (
    Abort,
    Accept,
    CopyStateToParentTask,
    EmitStateEvent,
    Reject,
    Rule,
    Wait,
    decide,
    types,
)
from app.wire.facts import FlowRunFacts
from app.wire.runs import FlowRunPolicy, TaskRunPolicy
from app.wire.states import STATE_TYPES, TERMINAL, State
from tests.rules.runs import (
    FRESH,
    NOW,
    SECOND,
    a_flow_around,
    a_flow_run,
    a_state,
    a_task_run,
    propose_to_flow,
    propose_to_task,
)

seconds = st.integers(-100, 100).map(lambda count: NOW + count * SECOND)
state_types = st.sampled_from(sorted(STATE_TYPES))
names = st.sampled_from([None, "Late", "AwaitingRetry", "Resuming", "Suspended", "Submitting"])
data = st.sampled_from([None, {"type": "unpersisted"}, {"type": "reference"}])
ids = st.sampled_from([None, uuid.UUID(int=11), uuid.UUID(int=12)])


details: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "scheduled_time": seconds,
        "transition_id": ids,
        "pause_key": st.sampled_from([None, "a", "b"]),
        "pause_timeout": st.none() | seconds,
        "pause_reschedule": st.booleans(),
        "cache_key": st.sampled_from([None, "k", "k" * 3000]),
        "retriable": st.none() | st.booleans(),
    },
)


@st.composite
def states(draw: st.DrawFn, times: st.SearchStrategy[dt.datetime]) -> State:
    return a_state(draw(state_types), draw(names), at=draw(times), data=draw(data), **draw(details))


flow_runs = st.builds(
    a_flow_run,
    st.none() | states(seconds),
    run_count=st.integers(0, 4),
    start_time=st.none() | seconds,
    end_time=st.none() | seconds,
    deployment_id=ids,
    parent_task_run_id=ids,
    infrastructure_pid=st.sampled_from([None, "1"]),
    policy=st.builds(
        FlowRunPolicy,
        retries=st.none() | st.integers(0, 3),
        retry_delay=st.none() | st.integers(0, 60),
        pause_keys=st.sampled_from([[], ["a"]]),
        resuming=st.booleans(),
    ),
)
task_runs = st.builds(
    a_task_run,
    st.none() | states(seconds),
    run_count=st.integers(0, 4),
    start_time=st.none() | seconds,
    end_time=st.none() | seconds,
    policy=st.builds(TaskRunPolicy, retries=st.none() | st.integers(0, 3)),
    flow_run_id=ids,
    enclosing=st.none() | st.builds(a_flow_around, st.none() | states(seconds)),
    cached=st.none() | states(seconds),
)
proposals = states(st.just(NOW))
flow_policies = st.sampled_from([flow_policy.CORE, flow_policy.MINIMAL, flow_policy.MARK_LATE])
task_policies = st.sampled_from([task_policy.CORE, task_policy.BACKGROUND, task_policy.MINIMAL])


@given(run=flow_runs, proposed=proposals, policy=flow_policies)
def test_flow_run_decisions(run: FlowRunFacts, proposed: State, policy: Any) -> None:
    decision = propose_to_flow(run, proposed, policy)
    assert decision == propose_to_flow(run, proposed, policy), "a decision is repeatable"
    state = decision.state
    if state is None:
        assert not isinstance(decision.verdict, Accept)
        assert decision.effects == ()
        changed = [
            field.name
            for field in fields(run)
            if getattr(run, field.name) != getattr(decision.run, field.name)
        ]
        assert changed in ([], ["policy"]), "a refusal changes only what is remembered"
        return
    assert not isinstance(decision.verdict, Wait | Abort)
    assert decision.run.state == state
    assert state.state_details.flow_run_id == run.id
    assert decision.effects.count(EmitStateEvent()) == 1
    if isinstance(decision.verdict, Accept):
        assert (state.id, state.type) == (proposed.id, proposed.type)
    else:
        assert state.id == FRESH
    if run.state is not None:
        assert state.timestamp > run.state.timestamp, "states follow one another in time"
    if state.type in TERMINAL:
        assert decision.run.end_time is not None
        assert decision.run.start_time is not None
    elif run.state is not None and run.state.type in TERMINAL:
        assert decision.run.end_time is None
    assert 0 <= decision.run.run_count - run.run_count <= int(state.type == "RUNNING")
    due = decision.run.next_scheduled_start_time
    assert due == (state.state_details.scheduled_time if state.type == "SCHEDULED" else due)
    parent = run.parent_task_run_id
    if parent is not None:
        assert CopyStateToParentTask(parent) in decision.effects
        assert state.state_details.task_run_id == parent


@given(run=task_runs, proposed=proposals, policy=task_policies)
def test_task_run_decisions(run: Any, proposed: State, policy: Any) -> None:
    decision = propose_to_task(run, proposed, policy)
    state = decision.state
    if state is None:
        assert isinstance(decision.verdict, Reject | Wait | Abort)
        assert decision.effects == ()
        return
    assert not isinstance(decision.verdict, Wait | Abort)
    assert decision.run.state == state
    assert state.state_details.task_run_id == run.id
    if isinstance(decision.verdict, Accept):
        assert state.type == proposed.type
    if state.type in TERMINAL:
        assert decision.run.end_time is not None


@given(run=flow_runs, proposed=proposals)
def test_only_cancelled_comes_after_cancelling(run: FlowRunFacts, proposed: State) -> None:
    run = replace(run, state=a_state("CANCELLING"))
    state = propose_to_flow(run, proposed).state
    assert state is None or state.type == "CANCELLED"


@given(run=flow_runs, name=st.sampled_from([None, "Pending"]))
def test_a_run_is_claimed_once(run: FlowRunFacts, name: str | None) -> None:
    first = propose_to_flow(run, a_state("PENDING", name, at=NOW))
    if first.state is None:
        return
    second = propose_to_flow(first.run, a_state("PENDING", name, at=NOW))
    assert isinstance(second.verdict, Abort)


def test_leaving_running_adds_to_the_run_time() -> None:
    run = a_flow_run(a_state("RUNNING", at=NOW - 4 * SECOND), total_run_time=1.0)
    assert propose_to_flow(run, a_state("COMPLETED", at=NOW)).run.total_run_time == 5.0


def test_the_first_state_says_when_a_run_is_expected() -> None:
    due = NOW + 60 * SECOND
    scheduled = a_state("SCHEDULED", at=NOW, scheduled_time=due)
    assert propose_to_flow(a_flow_run(None), scheduled).run.expected_start_time == due
    pending = a_state("PENDING", at=NOW)
    assert propose_to_flow(a_flow_run(None), pending).run.expected_start_time == NOW


def test_a_state_follows_the_one_of_a_faster_clock() -> None:
    ahead = a_state("RUNNING", at=NOW + 3 * SECOND)
    state = propose_to_flow(a_flow_run(ahead), a_state("COMPLETED", at=NOW)).state
    assert state is not None
    assert state.timestamp == ahead.timestamp + dt.timedelta(microseconds=1)


# The engine, with rules of its own ----------------------------------------------------------------


def test_rules_end_in_reverse_order_and_clean_up_what_a_later_rule_changed() -> None:
    seen: list[str] = []

    def note(what: str) -> Any:
        def part(draft: Any) -> Any:
            seen.append(what)
            return draft

        return part

    def replaced(draft: Any) -> Any:
        seen.append("before 2")
        return draft.reject(a_state("CANCELLED"), "no")

    policy: tuple[Rule[FlowRunFacts], ...] = tuple(
        Rule(
            name=str(number),
            before=before,
            after=note(f"after {number}"),
            cleanup=note(f"cleanup {number}"),
            always=number == 4,
        )
        for number, before in enumerate(
            (note("before 1"), replaced, note("before 3"), note("before 4")), start=1
        )
    )
    run = a_flow_run(a_state("PENDING"))
    decide(policy, run, a_state("RUNNING"), now=NOW, jitter=0.0, fresh_id=FRESH)
    assert seen == ["before 1", "before 2", "before 4", "after 4", "after 2", "cleanup 1"]


@pytest.mark.parametrize(("entering", "ends"), [(types("RUNNING"), []), (None, ["after"])])
def test_a_rule_that_refuses_ends_only_if_it_is_for_every_state(entering: Any, ends: Any) -> None:
    seen: list[str] = []

    def after(draft: Any) -> Any:
        seen.append("after")
        return draft

    keywords = {} if entering is None else {"entering": entering}
    rule: Rule[FlowRunFacts] = Rule(
        name="refuse", before=lambda draft: draft.reject(None, "no"), after=after, **keywords
    )
    run = a_flow_run(a_state("PENDING"))
    decide((rule,), run, a_state("RUNNING"), now=NOW, jitter=0.0, fresh_id=FRESH)
    assert seen == ends
