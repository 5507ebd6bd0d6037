"""The one door through which a run changes state.

One transaction each: lock and read the run, let the rules decide, write what they decided and
carry out their effects. Nothing is written for WAIT and ABORT but what the server remembers.
"""

import datetime as dt
import random
import uuid
from dataclasses import replace

import msgspec

from app.orchestration.state_events import flow_run_event
from app.rules import flow_policy, task_policy
from app.rules.transitions import (
    Abort,
    Accept,
    CacheState,
    CopyStateToParentTask,
    Decision,
    EmitStateEvent,
    Reject,
    ReleaseTagSlots,
    Verdict,
    decide,
)
from app.wire.base import new_id
from app.wire.facts import FlowRunFacts, TaskRunFacts
from app.wire.results import (
    AbortDetails,
    AcceptDetails,
    OrchestrationResult,
    RejectDetails,
    WaitDetails,
)
from app.wire.states import State, StateCreate, state_from
from storage.errors import NotFound
from storage.postgres import states
from storage.postgres.pool import Conn, Pool, transaction

FlowPolicy = tuple[flow_policy.FlowRule, ...]


async def set_flow_run_state(
    pool: Pool,
    flow_run_id: uuid.UUID,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    policy: FlowPolicy = flow_policy.CORE,
) -> OrchestrationResult:
    """Propose a state for a flow run.

    Raises:
        NotFound: there is no such run.
        Busy: the run is locked, and PostgreSQL would wait no longer.
    """
    async with transaction(pool) as conn:
        return await propose_flow_run_state(conn, flow_run_id, proposed, now=now, policy=policy)


async def propose_flow_run_state(
    conn: Conn,
    flow_run_id: uuid.UUID,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    policy: FlowPolicy = flow_policy.CORE,
) -> OrchestrationResult:
    """As `set_flow_run_state`, in a transaction that is open already."""
    facts = await states.lock_flow_run(conn, flow_run_id)
    decision = decide(
        policy,
        facts,
        state_from(proposed, id=new_id(), now=now),
        now=now,
        jitter=random.random(),
        fresh_id=new_id(),
    )
    await _write_flow_run(conn, facts, decision, proposed, now=now)
    return _result(decision.verdict, decision.state, facts.state)


async def _write_flow_run(
    conn: Conn,
    facts: FlowRunFacts,
    decision: Decision[FlowRunFacts],
    proposed: StateCreate,
    *,
    now: dt.datetime,
) -> None:
    state = decision.state
    if state is None:
        if decision.run.policy != facts.policy:
            await states.write_flow_run_policy(conn, facts.id, decision.run.policy, now=now)
        return
    event = None
    if EmitStateEvent() in decision.effects:
        event = flow_run_event(decision.run, facts.state, proposed.type, state, now=now)
    await states.write_flow_run_state(conn, decision.run, state, event, now=now)
    for effect in decision.effects:
        if isinstance(effect, CopyStateToParentTask):
            await copy_state_to_parent(conn, effect.task_run_id, state, facts.id, now=now)


async def copy_state_to_parent(
    conn: Conn,
    task_run_id: uuid.UUID,
    state: State,
    flow_run_id: uuid.UUID,
    *,
    now: dt.datetime,
) -> None:
    """Force a copy of a subflow run's state on the task run that stands for it. A task run that is
    gone, or not there yet because its event is still on the way, has no copy."""
    try:
        facts = await states.lock_task_run(conn, task_run_id)
    except NotFound:
        return
    copy = msgspec.structs.replace(
        state,
        id=new_id(),
        timestamp=now,
        state_details=msgspec.structs.replace(state.state_details, child_flow_run_id=flow_run_id),
    )
    await _decide_task_run(conn, facts, copy, task_policy.MINIMAL, now=now)


async def set_task_run_state(
    pool: Pool,
    task_run_id: uuid.UUID,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    force: bool = False,
) -> OrchestrationResult:
    """Propose a state for a task run. Raises as `set_flow_run_state` does."""
    if force:
        policy = task_policy.MINIMAL
    elif proposed.state_details.deferred:
        policy = task_policy.BACKGROUND
    else:
        policy = task_policy.CORE
    async with transaction(pool) as conn:
        facts = await states.lock_task_run(conn, task_run_id)
        facts = await _with_cached_state(conn, facts, proposed, now=now)
        state = state_from(proposed, id=new_id(), now=now)
        decision = await _decide_task_run(conn, facts, state, policy, now=now)
        return _result(decision.verdict, decision.state, facts.state)


async def _with_cached_state(
    conn: Conn, facts: TaskRunFacts, proposed: StateCreate, *, now: dt.datetime
) -> TaskRunFacts:
    details = proposed.state_details
    if proposed.type != "RUNNING" or details.cache_key is None or details.refresh_cache:
        return facts
    return replace(facts, cached=await states.read_cached_state(conn, details.cache_key, now=now))


async def _decide_task_run(
    conn: Conn,
    facts: TaskRunFacts,
    state: State,
    policy: tuple[task_policy.TaskRule, ...],
    *,
    now: dt.datetime,
) -> Decision[TaskRunFacts]:
    decision = decide(policy, facts, state, now=now, jitter=random.random(), fresh_id=new_id())
    if decision.state is None:
        return decision
    await states.write_task_run_state(conn, decision.run, decision.state, now=now)
    for effect in decision.effects:
        if isinstance(effect, CacheState):
            await states.insert_cached_state(
                conn, effect.cache_key, effect.expiration, decision.state.id, now=now
            )
        elif isinstance(effect, ReleaseTagSlots):
            await states.release_tag_slots(conn, facts.id)
    return decision


def _result(verdict: Verdict, written: State | None, held: State | None) -> OrchestrationResult:
    """The answer. A refused proposal is answered with the state that holds on."""
    state = written or held
    if isinstance(verdict, Accept):
        return OrchestrationResult(state=state, status="ACCEPT", details=AcceptDetails())
    if isinstance(verdict, Reject):
        details = RejectDetails(reason=verdict.reason)
        return OrchestrationResult(state=state, status="REJECT", details=details)
    if isinstance(verdict, Abort):
        return OrchestrationResult(
            state=state, status="ABORT", details=AbortDetails(reason=verdict.reason)
        )
    return OrchestrationResult(
        state=state,
        status="WAIT",
        details=WaitDetails(delay_seconds=verdict.delay_seconds, reason=verdict.reason),
    )
