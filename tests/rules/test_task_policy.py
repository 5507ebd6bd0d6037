"""What may happen to a task run whose states are proposed to the server."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules import task_policy
from app.rules.task_policy import clamped_interval
from app.rules.transitions import (
    Abort,
    Accept,
    CacheState,
    CountDenial,
    Reject,
    ReleaseTagSlots,
    TakeTagSlots,
    Wait,
)
from app.wire.concurrency import ConcurrencyLimit
from app.wire.runs import TaskRunPolicy
from app.wire.states import State
from tests.rules.runs import (
    FRESH,
    NOW,
    SECOND,
    a_flow_around,
    a_state,
    a_task_run,
    propose_to_task,
)

PARAMETERS = uuid.UUID(int=4)
RUNNING_FLOW = a_flow_around(a_state("RUNNING"))


def new(*args: Any, **kwargs: Any) -> State:
    return a_state(*args, at=NOW, **kwargs)


def a_limit(name: str, *, limit: int = 2, active_slots: int = 0) -> ConcurrencyLimit:
    return ConcurrencyLimit(
        id=uuid.uuid4(),
        created=NOW,
        updated=NOW,
        active=True,
        name=name,
        limit=limit,
        active_slots=active_slots,
        denied_slots=0,
        slot_decay_per_second=0.0,
        avg_slot_occupancy_seconds=2.0,
    )


def test_a_cached_state_is_taken_instead_of_running() -> None:
    cached = a_state("COMPLETED", data={"r": 1}, cache_key="k")
    run = a_task_run(a_state("PENDING"), cached=cached, enclosing=RUNNING_FLOW)
    decision = propose_to_task(run, new("RUNNING", cache_key="k"))
    assert decision.verdict == Reject("Retrieved state from cache")
    state = decision.state
    assert state is not None
    assert (state.type, state.name, state.data) == ("COMPLETED", "Cached", {"r": 1})
    assert (state.id, state.timestamp) == (FRESH, NOW)
    assert state.state_details.task_run_id == run.id
    assert decision.run.run_count == 0
    refreshed = propose_to_task(run, new("RUNNING", cache_key="k", refresh_cache=True))
    assert refreshed.verdict == Accept()


@pytest.mark.parametrize("type", ["CANCELLING", "PAUSED", "CRASHED"])
def test_a_terminal_run_is_not_stopped_again(type: Any) -> None:
    run = a_task_run(a_state("COMPLETED"))
    assert propose_to_task(run, new(type)).verdict == Abort("Run is already COMPLETED.")


def test_a_completed_run_with_a_result_stays() -> None:
    run = a_task_run(a_state("COMPLETED", data={"r": 1}))
    for type in ("RUNNING", "COMPLETED", "FAILED"):
        assert propose_to_task(run, new(type)).verdict == Reject("This run is already completed.")


def test_a_completed_run_without_a_result_runs_again_from_zero() -> None:
    run = a_task_run(
        a_state("COMPLETED", data={"type": "unpersisted"}),
        run_count=3,
        flow_run_run_count=1,
        enclosing=a_flow_around(a_state("RUNNING"), run_count=2),
    )
    decision = propose_to_task(run, new("RUNNING"))
    assert decision.verdict == Accept()
    assert decision.state is not None
    assert decision.state.name == "Retrying"
    assert (decision.run.run_count, decision.run.flow_run_run_count) == (1, 2)


def test_a_task_runs_only_in_a_running_flow() -> None:
    refused = Abort("The enclosing flow must be running to begin task execution.")
    for around in (a_flow_around(None), a_flow_around(a_state("PENDING"))):
        run = a_task_run(a_state("PENDING"), enclosing=around)
        assert propose_to_task(run, new("RUNNING")).verdict == refused
    paused = a_state("PAUSED", pause_timeout=NOW + SECOND, pause_reschedule=True)
    run = a_task_run(a_state("PENDING"), enclosing=a_flow_around(paused))
    decision = propose_to_task(run, new("RUNNING"))
    assert isinstance(decision.verdict, Reject)
    assert decision.state is not None
    assert (decision.state.type, decision.state.name) == ("PAUSED", "NotReady")
    assert decision.state.state_details.pause_timeout == NOW + SECOND
    assert decision.state.state_details.pause_reschedule


@pytest.mark.parametrize(
    ("delay", "run_count", "seconds"),
    [(None, 1, 0), (7, 1, 7), ([1, 2.5], 1, 1), ([1, 2.5], 2, 2.5), ([1, 2.5], 3, 2.5), ([], 1, 0)],
)
def test_a_failed_run_is_retried_after_its_delay(
    delay: Any, run_count: int, seconds: float
) -> None:
    policy = TaskRunPolicy(retries=3, retry_delay=delay)
    run = a_task_run(a_state("RUNNING"), policy=policy, run_count=run_count)
    decision = propose_to_task(run, new("FAILED", message="boom"))
    assert decision.verdict == Reject("Retrying")
    assert decision.state is not None
    assert decision.state.name == "AwaitingRetry"
    assert decision.state.message == "boom"
    assert decision.state.state_details.scheduled_time == NOW + seconds * SECOND


def test_what_cannot_be_retried_is_not() -> None:
    policy = TaskRunPolicy(retries=1)
    run = a_task_run(a_state("RUNNING"), policy=policy, run_count=1)
    assert propose_to_task(run, new("FAILED", retriable=False)).verdict == Accept()
    run = a_task_run(a_state("RUNNING"), policy=policy, run_count=2)
    assert propose_to_task(run, new("FAILED")).verdict == Accept()


def test_reruns_have_names() -> None:
    waiting = a_state("SCHEDULED", "AwaitingRetry", scheduled_time=NOW)
    for initial, name in ((waiting, "Retrying"), (a_state("RUNNING"), "Rerunning")):
        run = a_task_run(initial, run_count=1, enclosing=RUNNING_FLOW)
        state = propose_to_task(run, new("RUNNING")).state
        assert state is not None
        assert state.name == name
    early = a_state("SCHEDULED", scheduled_time=NOW + 10 * SECOND)
    assert propose_to_task(a_task_run(early), new("RUNNING")).verdict == Wait(
        10, "Scheduled time is in the future"
    )


def test_a_completed_state_is_cached_under_its_key() -> None:
    run = a_task_run(a_state("RUNNING"))
    decision = propose_to_task(run, new("COMPLETED", cache_key="k", cache_expiration=NOW))
    assert CacheState("k", NOW) in decision.effects
    long = propose_to_task(run, new("COMPLETED", cache_key="k" * 2001))
    assert isinstance(long.verdict, Reject)
    assert long.state is not None
    assert long.state.type == "COMPLETED"
    assert not [effect for effect in long.effects if isinstance(effect, CacheState)]


def test_slots_are_released_when_a_run_stops() -> None:
    run = a_task_run(a_state("RUNNING"))
    for policy in (task_policy.CORE, task_policy.BACKGROUND, task_policy.MINIMAL):
        assert ReleaseTagSlots() in propose_to_task(run, new("COMPLETED"), policy).effects
        assert ReleaseTagSlots() not in propose_to_task(run, new("CANCELLING"), policy).effects


def test_a_run_takes_a_slot_of_every_limit_on_its_tags_or_waits() -> None:
    free, full = a_limit("tag:a", active_slots=1), a_limit("tag:b", active_slots=2)
    run = a_task_run(a_state("PENDING"), tag_limits=(free,))
    taken = propose_to_task(run, new("RUNNING"))
    (effect,) = taken.effects
    assert isinstance(effect, TakeTagSlots)
    assert [limit.active_slots for limit in effect.limits] == [2]
    run = a_task_run(a_state("PENDING"), tag_limits=(free, full))
    refused = propose_to_task(run, new("RUNNING"))
    assert isinstance(refused.verdict, Wait)
    assert refused.verdict.delay_seconds >= 1
    assert refused.verdict.reason == "Concurrency limit for the b tag has been reached"
    (effect,) = refused.effects
    assert isinstance(effect, CountDenial)
    assert [limit.active_slots for limit in effect.limits] == [1, 2]
    never = a_task_run(a_state("PENDING"), tag_limits=(a_limit("tag:a", limit=0),))
    assert isinstance(propose_to_task(never, new("RUNNING")).verdict, Abort)


def test_a_run_that_has_to_wait_takes_no_slot() -> None:
    early = a_state("SCHEDULED", scheduled_time=NOW + 10 * SECOND)
    run = a_task_run(early, tag_limits=(a_limit("tag:a"),))
    decision = propose_to_task(run, new("RUNNING"))
    assert isinstance(decision.verdict, Wait)
    assert decision.effects == ()


def test_a_deferred_run_is_claimed_once_and_keeps_its_parameters() -> None:
    scheduled = a_state("SCHEDULED", scheduled_time=NOW, task_parameters_id=PARAMETERS)
    claimed = propose_to_task(a_task_run(scheduled), new("PENDING"), task_policy.BACKGROUND).state
    assert claimed is not None
    assert claimed.state_details.task_parameters_id == PARAMETERS
    again = propose_to_task(a_task_run(claimed), new("PENDING"), task_policy.BACKGROUND)
    assert isinstance(again.verdict, Abort)
    running = propose_to_task(a_task_run(claimed), new("RUNNING"), task_policy.BACKGROUND).state
    assert running is not None
    assert running.state_details.task_parameters_id == PARAMETERS


@given(
    average=st.floats(0, 1e6),
    factor=st.floats(0, 10),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_jittered_delay_stays_within_its_factor(
    average: float, factor: float, jitter: float
) -> None:
    delay = clamped_interval(average, factor, jitter)
    assert average * max(0.0, 1 - factor) * 0.999 <= delay <= average * (1 + factor) * 1.001
