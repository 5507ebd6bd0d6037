"""What every accepted state does to the columns of its run, after all rules have spoken."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import msgspec

from app.rules.client_version import knows_pauses
from app.rules.transitions import (
    CopyStateToParentTask,
    Draft,
    F,
    Rule,
)
from app.wire.facts import FlowRunFacts, TaskRunFacts
from app.wire.states import TERMINAL, State

ONE_TICK = dt.timedelta(microseconds=1)


def _amend(draft: Draft[F], change: Callable[[F, State | None, State], F]) -> Draft[F]:
    if draft.proposed is None:
        return draft
    return replace(draft, run=change(draft.run, draft.initial, draft.proposed))


def _advance(run: F, initial: State | None, proposed: State) -> F:
    """Times and durations that follow from the pair of states. Durations are seconds."""
    time = proposed.timestamp
    start, end, total = run.start_time, run.end_time, run.total_run_time
    if proposed.type == "RUNNING" and start is None:
        start = time
    if proposed.type not in TERMINAL:
        if initial is not None and initial.type in TERMINAL:
            end = None
    else:
        start = start or time
        end = end or time
    if initial is not None and initial.type == "RUNNING":
        total += (time - initial.timestamp).total_seconds()
    expected = run.expected_start_time
    due = proposed.state_details.scheduled_time if proposed.type == "SCHEDULED" else None
    if initial is None:
        expected = due or time
    next_start = run.next_scheduled_start_time
    if proposed.type == "SCHEDULED":
        next_start = due
    elif initial is not None and initial.type == "SCHEDULED":
        next_start = None
    return replace(
        run,
        state=proposed,
        start_time=start,
        end_time=end,
        total_run_time=total,
        expected_start_time=expected,
        next_scheduled_start_time=next_start,
    )


def _with_details(draft: Draft[F], **ids: object) -> Draft[F]:
    if draft.proposed is None:
        return draft
    details = msgspec.structs.replace(draft.proposed.state_details, **ids)
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, state_details=details))


def _follow_in_time(draft: Draft[FlowRunFacts]) -> Draft[FlowRunFacts]:
    """A state is later than the one it follows, even if the clock of another replica is not: the
    order of timestamps is the order of transitions, and no two states of a run share one."""
    if draft.proposed is None or draft.initial is None:
        return draft
    earliest = draft.initial.timestamp + ONE_TICK
    if draft.proposed.timestamp >= earliest:
        return draft
    return replace(draft, proposed=msgspec.structs.replace(draft.proposed, timestamp=earliest))


def _name_flow_run(draft: Draft[FlowRunFacts]) -> Draft[FlowRunFacts]:
    if draft.facts.parent_task_run_id is None:
        return _with_details(draft, flow_run_id=draft.facts.id)
    return _with_details(
        draft, flow_run_id=draft.facts.id, task_run_id=draft.facts.parent_task_run_id
    )


def _count_flow_run(draft: Draft[FlowRunFacts]) -> Draft[FlowRunFacts]:
    if draft.proposed is None:
        return draft
    run = draft.run
    resuming = run.policy.resuming and knows_pauses(draft.facts.client)
    if draft.proposed.type == "RUNNING" and not resuming:
        run = replace(run, run_count=run.run_count + 1)
    if resuming and draft.proposed.type in TERMINAL | {"RUNNING"}:
        run = replace(run, policy=msgspec.structs.replace(run.policy, resuming=False))
    return replace(draft, run=run)


def _copy_to_parent(draft: Draft[FlowRunFacts]) -> Draft[FlowRunFacts]:
    if draft.proposed is None or draft.facts.parent_task_run_id is None:
        return draft
    return draft.with_effect(CopyStateToParentTask(draft.facts.parent_task_run_id))


def _name_task_run(draft: Draft[TaskRunFacts]) -> Draft[TaskRunFacts]:
    return _with_details(draft, flow_run_id=draft.facts.flow_run_id, task_run_id=draft.facts.id)


def _count_task_run(draft: Draft[TaskRunFacts]) -> Draft[TaskRunFacts]:
    if draft.proposed is None or draft.proposed.type != "RUNNING":
        return draft
    return replace(draft, run=replace(draft.run, run_count=draft.run.run_count + 1))


FLOW_TRANSFORMS: tuple[Rule[FlowRunFacts], ...] = (
    Rule(name="follow in time", before=_follow_in_time, always=True),
    Rule(name="name the run in the state", before=_name_flow_run, always=True),
    Rule(name="count the run", before=_count_flow_run, always=True),
    Rule(
        name="advance the run",
        before=lambda draft: _amend(draft, _advance),
        after=_copy_to_parent,
        always=True,
    ),
)
TASK_TRANSFORMS: tuple[Rule[TaskRunFacts], ...] = (
    Rule(name="name the run in the state", before=_name_task_run, always=True),
    Rule(name="count the run", before=_count_task_run, always=True),
    Rule(name="advance the run", before=lambda draft: _amend(draft, _advance), always=True),
)
