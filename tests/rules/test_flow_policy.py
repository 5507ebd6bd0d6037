"""What may happen to a flow run: one table row per sentence of the rules."""

import uuid
from typing import Any

import pytest

from app.rules import flow_policy
from app.rules.transitions import Abort, Accept, EmitStateEvent, Reject, Verdict, Wait
from app.wire.runs import FlowRunPolicy
from app.wire.states import State, StateType
from tests.rules.runs import NOW, SECOND, a_flow_run, a_state, propose_to_flow

DEPLOYMENT = uuid.UUID(int=9)
PARENT = uuid.UUID(int=8)
TRANSITION = uuid.UUID(int=7)
LEASE = uuid.UUID(int=6)
PERSISTED = {"type": "reference", "key": "x"}
UNPERSISTED = {"type": "unpersisted"}
LOSES_RESULT = Reject(
    "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not."
)
STILL_CANCELLING = Reject(
    "Cannot transition flows that are cancelling to a state other than Cancelled."
)


def new(*args: Any, **kwargs: Any) -> State:
    return a_state(*args, at=NOW, **kwargs)


# initial, facts, proposed, verdict, type and name written (None: nothing)
TABLE: list[tuple[str, State | None, dict[str, Any], State, Verdict, tuple[str, str] | None]] = [
    ("start", a_state("PENDING"), {}, new("RUNNING"), Accept(), ("RUNNING", "Running")),
    (
        "same transition again",
        a_state("RUNNING", transition_id=TRANSITION),
        {},
        new("RUNNING", transition_id=TRANSITION),
        Reject("This run has already made this state transition."),
        None,
    ),
    (
        "another transition",
        a_state("RUNNING", transition_id=TRANSITION),
        {},
        new("RUNNING", transition_id=uuid.UUID(int=5)),
        Accept(),
        ("RUNNING", "Running"),
    ),
    *[
        (
            f"terminal to {type}",
            a_state("FAILED"),
            {},
            new(type),
            Abort("Run is already in terminal state FAILED."),
            None,
        )
        for type in ("CANCELLING", "PAUSED", "CRASHED")
    ],
    (
        "completed with a result runs again",
        a_state("COMPLETED", data=PERSISTED),
        {},
        new("RUNNING"),
        Reject("Run is already COMPLETED."),
        None,
    ),
    (
        "completed without a result runs again",
        a_state("COMPLETED", data=UNPERSISTED),
        {},
        new("RUNNING"),
        Accept(),
        ("RUNNING", "Running"),
    ),
    (
        "a result is not lost",
        a_state("COMPLETED", data=PERSISTED),
        {},
        new("COMPLETED", data=UNPERSISTED),
        LOSES_RESULT,
        None,
    ),
    (
        "a result gives way to a result",
        a_state("COMPLETED", data=PERSISTED),
        {},
        new("COMPLETED", data={"other": 1}),
        Accept(),
        ("COMPLETED", "Completed"),
    ),
    (
        "a completed run may turn out failed",
        a_state("COMPLETED", data=PERSISTED),
        {},
        new("FAILED"),
        Accept(),
        ("FAILED", "Failed"),
    ),
    (
        "nobody would pick it up",
        a_state("FAILED"),
        {},
        new("SCHEDULED"),
        Abort("Cannot reschedule a run without an associated deployment."),
        None,
    ),
    (
        "a worker will pick it up",
        a_state("FAILED"),
        {"deployment_id": DEPLOYMENT},
        new("SCHEDULED", "AwaitingRetry", scheduled_time=NOW),
        Accept(),
        ("SCHEDULED", "AwaitingRetry"),
    ),
    *[
        (f"cancelling to {type}", a_state("CANCELLING"), {}, new(type), STILL_CANCELLING, None)
        for type in ("COMPLETED", "FAILED", "CRASHED", "RUNNING", "PENDING")
    ],
    (
        "cancelled",
        a_state("CANCELLING"),
        {},
        new("CANCELLED"),
        Accept(),
        ("CANCELLED", "Cancelled"),
    ),
    (
        "cancel what never started",
        a_state("SCHEDULED", scheduled_time=NOW),
        {},
        new("CANCELLING"),
        Reject("Scheduled flow run has no infrastructure to terminate."),
        ("CANCELLED", "Cancelled"),
    ),
    (
        "cancel what waits in its process",
        a_state("SCHEDULED", "AwaitingRetry"),
        {"infrastructure_pid": "12"},
        new("CANCELLING"),
        Accept(),
        ("CANCELLING", "Cancelling"),
    ),
    (
        "cancel what is being resumed",
        a_state("SCHEDULED", "Resuming"),
        {"infrastructure_pid": "12"},
        new("CANCELLING"),
        Reject("Scheduled flow run has no infrastructure to terminate."),
        ("CANCELLED", "Cancelled"),
    ),
    (
        "cancel what is suspended, even late",
        a_state("PAUSED", "Suspended", pause_reschedule=True, pause_timeout=NOW - SECOND),
        {},
        new("CANCELLING"),
        Reject("Suspended flow run has no infrastructure to terminate."),
        ("CANCELLED", "Cancelled"),
    ),
    (
        "cancel what is paused",
        a_state("PAUSED", pause_timeout=NOW - SECOND),
        {},
        new("CANCELLING"),
        Accept(),
        ("CANCELLING", "Cancelling"),
    ),
    *[
        (
            f"no second claim from {type}",
            a_state(type),
            {},
            new("PENDING"),
            Abort(f"This run is in a {type} state and cannot transition to a PENDING state."),
            None,
        )
        for type in ("PENDING", "RUNNING", "CANCELLED")
    ],
    (
        "a part of being pending",
        a_state("PENDING"),
        {},
        new("PENDING", "Submitting"),
        Accept(),
        ("PENDING", "Submitting"),
    ),
    (
        "the same part twice",
        a_state("PENDING", "Submitting"),
        {},
        new("PENDING", "Submitting"),
        Abort("This run is in a PENDING state and cannot transition to a PENDING state."),
        None,
    ),
    (
        "late",
        a_state("SCHEDULED", scheduled_time=NOW),
        {},
        new("SCHEDULED", "Late", scheduled_time=NOW),
        Accept(),
        ("SCHEDULED", "Late"),
    ),
    (
        "late twice",
        a_state("SCHEDULED", "Late"),
        {},
        new("SCHEDULED", "Late"),
        Reject("This flow run is already marked late."),
        None,
    ),
    (
        "late but pending",
        a_state("PENDING"),
        {},
        new("SCHEDULED", "Late"),
        Reject("Only scheduled flows can be marked late."),
        None,
    ),
    (
        "pause what does not run",
        a_state("PENDING"),
        {},
        new("PAUSED"),
        Reject("Cannot pause flows that are not currently running."),
        None,
    ),
    (
        "suspend what does not run",
        a_state("PENDING"),
        {},
        new("PAUSED", "Suspended"),
        Reject("Cannot suspend flows that are not currently running."),
        None,
    ),
    (
        "the same pause twice",
        a_state("RUNNING"),
        {"policy": FlowRunPolicy(pause_keys=["k"])},
        new("PAUSED", pause_key="k"),
        Reject("This pause has already fired."),
        None,
    ),
    (
        "suspend a subflow",
        a_state("RUNNING"),
        {"deployment_id": DEPLOYMENT, "parent_task_run_id": PARENT},
        new("PAUSED", "Suspended", pause_reschedule=True),
        Abort("Cannot suspend subflows."),
        None,
    ),
    (
        "suspend without a deployment",
        a_state("RUNNING"),
        {},
        new("PAUSED", "Suspended", pause_reschedule=True),
        Abort("Cannot suspend flows without a deployment."),
        None,
    ),
    (
        "a paused run is not claimed",
        a_state("PAUSED"),
        {},
        new("PENDING"),
        Reject(
            "This run cannot transition to the StateType.PENDING state"
            " from the StateType.PAUSED state."
        ),
        None,
    ),
    (
        "resumed too late",
        a_state("PAUSED", pause_timeout=NOW - SECOND),
        {},
        new("RUNNING"),
        Reject("The flow run pause has timed out and can no longer resume."),
        ("FAILED", "Failed"),
    ),
    (
        "resumed in time",
        a_state("PAUSED", pause_timeout=NOW + SECOND),
        {},
        new("RUNNING"),
        Accept(),
        ("RUNNING", "Running"),
    ),
    (
        "too early",
        a_state("SCHEDULED", scheduled_time=NOW + 90.4 * SECOND),
        {},
        new("RUNNING"),
        Wait(90, "Scheduled time is in the future"),
        None,
    ),
    (
        "hardly too early",
        a_state("PENDING", scheduled_time=NOW + 0.4 * SECOND),
        {},
        new("RUNNING"),
        Accept(),
        ("RUNNING", "Running"),
    ),
    (
        "retry",
        a_state("RUNNING"),
        {"policy": FlowRunPolicy(retries=1, retry_delay=5), "run_count": 1},
        new("FAILED", message="boom", data={"a": 1}),
        Reject("Retrying"),
        ("SCHEDULED", "AwaitingRetry"),
    ),
    (
        "no more retries",
        a_state("RUNNING"),
        {"policy": FlowRunPolicy(retries=1), "run_count": 2},
        new("FAILED"),
        Accept(),
        ("FAILED", "Failed"),
    ),
]


@pytest.mark.parametrize(
    ("initial", "fields", "proposed", "verdict", "written"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_core(
    initial: State | None,
    fields: dict[str, Any],
    proposed: State,
    verdict: Verdict,
    written: tuple[str, str] | None,
) -> None:
    decision = propose_to_flow(a_flow_run(initial, **fields), proposed)
    assert decision.verdict == verdict
    state = decision.state
    assert (None if state is None else (state.type, state.name)) == written
    assert (EmitStateEvent() in decision.effects) == (written is not None)


def test_force_leaves_out_all_rules_but_those_that_guard_results() -> None:
    cancelling = a_flow_run(a_state("CANCELLING"))
    forced = propose_to_flow(cancelling, new("RUNNING"), flow_policy.MINIMAL)
    assert forced.verdict == Accept()
    completed = a_flow_run(a_state("COMPLETED", data=PERSISTED))
    assert propose_to_flow(completed, new("COMPLETED"), flow_policy.MINIMAL).verdict == LOSES_RESULT
    assert propose_to_flow(completed, new("RUNNING"), flow_policy.MINIMAL).verdict == Accept()


def test_a_retry_keeps_the_failure_and_the_lease_and_is_due_after_the_delay() -> None:
    run = a_flow_run(
        a_state("RUNNING", deployment_concurrency_lease_id=LEASE),
        policy=FlowRunPolicy(retries=1, retry_delay=5, pause_keys=["k"], resuming=True),
        run_count=1,
    )
    decision = propose_to_flow(run, new("FAILED", message="boom", data={"a": 1}))
    state = decision.state
    assert state is not None
    assert (state.message, state.data) == ("boom", {"a": 1})
    assert state.state_details.scheduled_time == NOW + 5 * SECOND
    assert state.state_details.deployment_concurrency_lease_id == LEASE
    assert decision.run.next_scheduled_start_time == NOW + 5 * SECOND
    assert decision.run.policy.retry_type == "in_process"
    assert (decision.run.policy.pause_keys, decision.run.policy.resuming) == ([], False)


def test_a_last_failure_forgets_who_retries() -> None:
    run = a_flow_run(
        a_state("RUNNING"), policy=FlowRunPolicy(retries=0, retry_type="in_process"), run_count=1
    )
    assert propose_to_flow(run, new("FAILED")).run.policy.retry_type is None


def test_a_pause_is_remembered_by_its_key() -> None:
    run = a_flow_run(a_state("RUNNING"), policy=FlowRunPolicy(pause_keys=["a"]))
    assert propose_to_flow(run, new("PAUSED", pause_key="b")).run.policy.pause_keys == ["a", "b"]
    unnamed = propose_to_flow(run, new("PAUSED")).run.policy.pause_keys
    assert unnamed is not None
    assert len(unnamed) == 2


def test_the_first_resume_counts_and_the_next_do_not() -> None:
    paused = a_flow_run(a_state("PAUSED"), run_count=1)
    resumed = propose_to_flow(paused, new("RUNNING")).run
    assert (resumed.run_count, resumed.policy.resuming) == (2, True)
    paused = a_flow_run(a_state("PAUSED"), run_count=2, policy=resumed.policy)
    assert propose_to_flow(paused, new("RUNNING")).run.run_count == 2


def test_a_refused_resume_is_remembered_all_the_same() -> None:
    decision = propose_to_flow(a_flow_run(a_state("PAUSED")), new("PENDING"))
    assert decision.state is None
    assert decision.run.policy.resuming is True


def test_a_claim_keeps_the_scheduled_time_and_the_lease() -> None:
    initial = a_state("SCHEDULED", scheduled_time=NOW, deployment_concurrency_lease_id=LEASE)
    claimed = propose_to_flow(a_flow_run(initial), new("PENDING")).state
    assert claimed is not None
    assert claimed.state_details.scheduled_time == NOW
    assert claimed.state_details.deployment_concurrency_lease_id == LEASE
    part = propose_to_flow(a_flow_run(claimed), new("PENDING", "Submitting")).state
    assert part is not None
    assert part.state_details.scheduled_time == NOW
    assert part.state_details.deployment_concurrency_lease_id == LEASE


def test_leaving_a_terminal_state_starts_afresh() -> None:
    policy = FlowRunPolicy(resuming=True, pause_keys=["k"], retry_type="in_process")
    failed = a_flow_run(a_state("FAILED"), policy=policy, deployment_id=DEPLOYMENT)
    rescheduled = propose_to_flow(failed, new("SCHEDULED", scheduled_time=NOW)).run.policy
    assert rescheduled == FlowRunPolicy(retry_type="reschedule")
    assert propose_to_flow(failed, new("RUNNING")).run.policy == FlowRunPolicy()


def test_a_run_is_marked_late_by_its_own_policy() -> None:
    scheduled = a_flow_run(a_state("SCHEDULED", scheduled_time=NOW))
    late = new("SCHEDULED", "Late", scheduled_time=NOW)
    assert propose_to_flow(scheduled, late, flow_policy.MARK_LATE).verdict == Accept()
    running = a_flow_run(a_state("RUNNING"))
    assert isinstance(propose_to_flow(running, late, flow_policy.MARK_LATE).verdict, Reject)


PUT_BACK = Abort(
    "This run was put back because its process was taken for dead; it waits for a new one."
)


@pytest.mark.parametrize("type", ["RUNNING", "COMPLETED", "FAILED", "CRASHED", "PAUSED"])
def test_a_run_that_was_put_back_is_no_longer_its_old_processes(type: StateType) -> None:
    waiting = a_state("SCHEDULED", "AwaitingRetry", scheduled_time=NOW)
    put_back = a_flow_run(waiting, awaits_new_process=True, run_count=1)
    decision = propose_to_flow(put_back, new(type))
    assert (decision.verdict, decision.state) == (PUT_BACK, None)
    # Of a run that nobody put back, the same process goes on.
    own_retry = a_flow_run(waiting, run_count=1)
    assert propose_to_flow(own_retry, new(type)).verdict != PUT_BACK


@pytest.mark.parametrize("type", ["PENDING", "CANCELLING", "CANCELLED", "SCHEDULED"])
def test_a_run_that_was_put_back_may_be_claimed_cancelled_and_scheduled_anew(
    type: StateType,
) -> None:
    waiting = a_state("SCHEDULED", "AwaitingRetry", scheduled_time=NOW)
    put_back = a_flow_run(waiting, awaits_new_process=True, run_count=1)
    assert propose_to_flow(put_back, new(type)).verdict != PUT_BACK


@pytest.mark.parametrize(
    ("type", "refused"),
    [
        # Nobody can have ended what has not begun.
        ("COMPLETED", True),
        ("PAUSED", True),
        # A new process begins, or whoever starts it tells that it cannot.
        ("RUNNING", False),
        ("FAILED", False),
        ("CRASHED", False),
        ("CANCELLING", False),
    ],
)
def test_a_claimed_run_that_was_put_back_takes_no_result_before_it_has_begun(
    type: StateType, refused: bool
) -> None:
    claimed = a_flow_run(a_state("PENDING"), awaits_new_process=True, run_count=1)
    assert (propose_to_flow(claimed, new(type)).verdict == PUT_BACK) == refused
