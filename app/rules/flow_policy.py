"""What may happen to a flow run.

CORE is for proposals, MINIMAL for forced ones and for the first state of a run, MARK_LATE for the
service that marks late runs. Order matters. The rules about the concurrency of deployments are in
`app.rules.deployment_concurrency`.
"""

import datetime as dt
from dataclasses import replace

import msgspec

from app.rules.client_version import knows_pauses
from app.rules.deployment_concurrency import (
    cancel_instead_of_late,
    keep_held_lease,
    keep_lease,
    keep_slot,
    let_lease_last,
    release_slot,
    take_slot,
)
from app.rules.transforms import FLOW_TRANSFORMS
from app.rules.transitions import (
    Draft,
    EmitStateEvent,
    Rule,
    all_but,
    types,
)
from app.rules.waiting import copy_scheduled_time, wait_for_scheduled_time
from app.wire.facts import FlowRunFacts
from app.wire.runs import FlowRunPolicy
from app.wire.states import TERMINAL, State, StateDetails, has_persisted_result

FlowDraft = Draft[FlowRunFacts]
FlowRule = Rule[FlowRunFacts]


def _with_policy(draft: FlowDraft, policy: FlowRunPolicy) -> FlowDraft:
    return replace(draft, run=replace(draft.run, policy=policy))


def _restore_policy(draft: FlowDraft) -> FlowDraft:
    return _with_policy(draft, draft.facts.policy)


def _states(draft: FlowDraft) -> tuple[State, State]:
    """Initial and proposed state, for rules that apply only where both are there."""
    assert draft.initial is not None
    assert draft.proposed is not None
    return draft.initial, draft.proposed


def _refuse_duplicate(draft: FlowDraft) -> FlowDraft:
    if draft.initial is None or draft.proposed is None:
        return draft
    transition = draft.proposed.state_details.transition_id
    if transition is None or transition != draft.initial.state_details.transition_id:
        return draft
    return draft.reject(None, "This run has already made this state transition.")


def _refuse_old_process(draft: FlowDraft) -> FlowDraft:
    if not draft.facts.awaits_new_process:
        return draft
    return draft.abort(
        "This run was put back because its process was taken for dead; it waits for a new one."
    )


def _leave_terminal(draft: FlowDraft) -> FlowDraft:
    initial, proposed = _states(draft)
    if proposed.type in ("CANCELLING", "PAUSED", "CRASHED"):
        return draft.abort(f"Run is already in terminal state {initial.type}.")
    if initial.type == "COMPLETED" and has_persisted_result(initial):
        if proposed.type not in TERMINAL:
            return draft.reject(None, "Run is already COMPLETED.")
        if proposed.type == "COMPLETED" and not has_persisted_result(proposed):
            return draft.reject(None, _LOSES_RESULT)
    if proposed.type == "SCHEDULED" and draft.facts.deployment_id is None:
        return draft.abort("Cannot reschedule a run without an associated deployment.")
    if proposed.type in TERMINAL or not knows_pauses(draft.facts.client):
        return draft
    return _with_policy(
        draft,
        msgspec.structs.replace(
            draft.run.policy,
            resuming=False,
            pause_keys=[],
            retry_type="reschedule" if proposed.type == "SCHEDULED" else None,
        ),
    )


_LOSES_RESULT = (
    "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not."
)


def _keep_result(draft: FlowDraft) -> FlowDraft:
    initial, proposed = _states(draft)
    if has_persisted_result(initial) and not has_persisted_result(proposed):
        return draft.reject(None, _LOSES_RESULT)
    return draft


def _only_cancelled_after_cancelling(draft: FlowDraft) -> FlowDraft:
    return draft.reject(
        None, "Cannot transition flows that are cancelling to a state other than Cancelled."
    )


def _cancel_at_once(draft: FlowDraft) -> FlowDraft:
    initial, _ = _states(draft)
    if initial.type == "SCHEDULED":
        if draft.facts.infrastructure_pid is not None and initial.name != "Resuming":
            return draft
        message = "Scheduled flow run has no infrastructure to terminate."
    elif initial.state_details.pause_reschedule:
        message = "Suspended flow run has no infrastructure to terminate."
    else:
        return draft
    cancelled = State(
        id=draft.fresh_id, type="CANCELLED", name="Cancelled", timestamp=draft.now, message=None
    )
    return draft.reject(cancelled, message)


def _no_second_pending(draft: FlowDraft) -> FlowDraft:
    initial, proposed = _states(draft)
    if initial.type == "PENDING" and proposed.name != initial.name and proposed.name != "Pending":
        # A part of being pending (Submitting, InfrastructurePending): the claim stays what it was.
        details = msgspec.structs.replace(
            proposed.state_details,
            scheduled_time=initial.state_details.scheduled_time,
            deployment_concurrency_lease_id=initial.state_details.deployment_concurrency_lease_id,
        )
        return replace(draft, proposed=msgspec.structs.replace(proposed, state_details=details))
    return draft.abort(
        f"This run is in a {initial.type} state and cannot transition to a PENDING state."
    )


def _only_scheduled_becomes_late(draft: FlowDraft) -> FlowDraft:
    if draft.proposed is None or draft.proposed.name != "Late":
        return draft
    if draft.initial is None or draft.initial.type != "SCHEDULED":
        return draft.reject(None, "Only scheduled flows can be marked late.")
    if draft.initial.name == "Late":
        return draft.reject(None, "This flow run is already marked late.")
    return draft


def _pause(draft: FlowDraft) -> FlowDraft:
    proposed = draft.proposed
    assert proposed is not None
    verb = "suspend" if proposed.name == "Suspended" else "pause"
    if draft.initial is None:
        return draft.abort(f"Cannot {verb} flows with no state.")
    if draft.initial.type != "RUNNING":
        return draft.reject(None, f"Cannot {verb} flows that are not currently running.")
    details = proposed.state_details
    if details.pause_key is not None and details.pause_key in (draft.run.policy.pause_keys or ()):
        return draft.reject(None, f"This {verb} has already fired.")
    if details.pause_reschedule:
        if draft.facts.parent_task_run_id is not None:
            return draft.abort(f"Cannot {verb} subflows.")
        if draft.facts.deployment_id is None:
            return draft.abort(f"Cannot {verb} flows without a deployment.")
    return draft


def _remember_pause(draft: FlowDraft) -> FlowDraft:
    proposed = draft.proposed
    assert proposed is not None
    key = proposed.state_details.pause_key or str(draft.fresh_id)
    keys = [*(draft.run.policy.pause_keys or ()), key]
    return _with_policy(draft, msgspec.structs.replace(draft.run.policy, pause_keys=keys))


def _resume(draft: FlowDraft) -> FlowDraft:
    initial, proposed = _states(draft)
    if proposed.type not in TERMINAL | {"RUNNING", "SCHEDULED", "CANCELLING"}:
        return draft.reject(
            None,
            f"This run cannot transition to the StateType.{proposed.type} state"
            f" from the StateType.{initial.type} state.",
        )
    details = initial.state_details
    if details.pause_reschedule and draft.facts.deployment_id is None:
        return draft.reject(
            None,
            f"Cannot reschedule a {proposed.name.lower()} flow run without a deployment.",
        )
    if proposed.type == "CANCELLING":
        return draft
    if details.pause_timeout is not None and details.pause_timeout < draft.now:
        failed = State(
            id=draft.fresh_id,
            type="FAILED",
            name="Failed",
            timestamp=draft.now,
            message=f"The flow was {proposed.name.lower()} and never resumed.",
        )
        return draft.reject(failed, "The flow run pause has timed out and can no longer resume.")
    return draft


def _remember_resuming(draft: FlowDraft) -> FlowDraft:
    return _with_policy(draft, msgspec.structs.replace(draft.run.policy, resuming=True))


def _retry(draft: FlowDraft) -> FlowDraft:
    initial, proposed = _states(draft)
    policy = draft.run.policy
    if policy.retries is None or draft.facts.run_count > policy.retries:
        return _with_policy(draft, msgspec.structs.replace(policy, retry_type=None))
    if knows_pauses(draft.facts.client):
        draft = _with_policy(
            draft,
            msgspec.structs.replace(policy, resuming=False, pause_keys=[], retry_type="in_process"),
        )
    details = StateDetails(
        scheduled_time=draft.now + dt.timedelta(seconds=policy.retry_delay or 0),
        deployment_concurrency_lease_id=initial.state_details.deployment_concurrency_lease_id,
    )
    # The message and the data of the failure stay with the run while it waits.
    waiting = State(
        id=draft.fresh_id,
        type="SCHEDULED",
        name="AwaitingRetry",
        timestamp=draft.now,
        message=proposed.message,
        data=proposed.data,
        state_details=details,
    )
    return draft.reject(waiting, "Retrying")


def _emit_event(draft: FlowDraft) -> FlowDraft:
    return draft if draft.proposed is None else draft.with_effect(EmitStateEvent())


refuse_duplicate = FlowRule(name="refuse a repeated transition", before=_refuse_duplicate)
# Who takes the run anew makes it PENDING first, and says what becomes of that.
refuse_old_process = FlowRule(
    name="a run that was put back is no longer its old process's",
    leaving=types("SCHEDULED"),
    entering=types("RUNNING", "COMPLETED", "FAILED", "CRASHED", "PAUSED"),
    before=_refuse_old_process,
)
refuse_old_result = FlowRule(
    name="a run that was put back takes no result of its old process",
    leaving=types("PENDING"),
    entering=types("COMPLETED", "PAUSED"),
    before=_refuse_old_process,
)
leave_terminal = FlowRule(
    name="leave a terminal state",
    leaving=types(*TERMINAL),
    before=_leave_terminal,
    cleanup=_restore_policy,
)
keep_result = FlowRule(
    name="keep a persisted result",
    leaving=types("COMPLETED"),
    entering=types("COMPLETED"),
    before=_keep_result,
)
only_cancelled_after_cancelling = FlowRule(
    name="only Cancelled after Cancelling",
    leaving=types("CANCELLING"),
    entering=all_but("CANCELLED"),
    before=_only_cancelled_after_cancelling,
)
cancel_at_once = FlowRule(
    name="cancel at once what has no infrastructure",
    leaving=types("SCHEDULED", "PAUSED"),
    entering=types("CANCELLING"),
    before=_cancel_at_once,
)
no_second_pending = FlowRule(
    name="one claim of a run",
    leaving=types("PENDING", "RUNNING", "CANCELLING", "CANCELLED"),
    entering=types("PENDING"),
    before=_no_second_pending,
)
only_scheduled_becomes_late = FlowRule(
    name="only Scheduled becomes Late",
    entering=types("SCHEDULED"),
    before=_only_scheduled_becomes_late,
)
pause = FlowRule(
    name="pause or suspend", entering=types("PAUSED"), before=_pause, after=_remember_pause
)
resume = FlowRule(name="resume", leaving=types("PAUSED"), before=_resume, after=_remember_resuming)
keep_scheduled_time: FlowRule = FlowRule(
    name="a claimed run keeps its scheduled time",
    leaving=types("SCHEDULED"),
    entering=types("PENDING"),
    before=copy_scheduled_time,
)
wait_until_due: FlowRule = FlowRule(
    name="wait until due",
    leaving=types("SCHEDULED", "PENDING"),
    entering=types("RUNNING"),
    before=wait_for_scheduled_time,
)
retry = FlowRule(
    name="retry a failed run",
    leaving=types("RUNNING"),
    entering=types("FAILED"),
    before=_retry,
)
emit_event = FlowRule(name="tell the event stream", after=_emit_event, always=True)

CORE: tuple[FlowRule, ...] = (
    keep_lease,
    refuse_duplicate,
    refuse_old_process,
    refuse_old_result,
    leave_terminal,
    only_cancelled_after_cancelling,
    cancel_at_once,
    no_second_pending,
    keep_slot,
    take_slot,
    let_lease_last,
    only_scheduled_becomes_late,
    pause,
    resume,
    keep_scheduled_time,
    wait_until_due,
    retry,
    emit_event,
    release_slot,
    *FLOW_TRANSFORMS,
)
MINIMAL: tuple[FlowRule, ...] = (
    keep_result,
    cancel_at_once,
    keep_held_lease,
    emit_event,
    release_slot,
    *FLOW_TRANSFORMS,
)
MARK_LATE: tuple[FlowRule, ...] = (
    only_scheduled_becomes_late,
    cancel_instead_of_late,
    emit_event,
    *FLOW_TRANSFORMS,
)
