"""The one door through which a run changes state.

One transaction each: lock and read the run, let the rules decide, write what they decided and
carry out their effects. Nothing is written for WAIT and ABORT but what the server remembers.
"""

import datetime as dt
import random
import uuid
from dataclasses import replace

import msgspec

from app.orchestration.concurrency import free_leased
from app.orchestration.state_events import flow_run_event
from app.orchestration.tag_limits import hold_tag_slots
from app.rules import flow_policy, task_policy
from app.rules.concurrency import TAG_PREFIX
from app.rules.transitions import (
    Abort,
    Accept,
    CacheState,
    CopyStateToParentTask,
    CountDenial,
    Decision,
    Effect,
    EmitStateEvent,
    Reject,
    ReleaseTagSlots,
    TakeTagSlots,
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
from storage.postgres import concurrency, states
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
        if proposed.type == "RUNNING":
            facts = await _ready_to_run(conn, facts, proposed, policy, now=now)
        state = state_from(proposed, id=new_id(), now=now)
        decision = await _decide_task_run(conn, facts, state, policy, now=now)
        return _result(decision.verdict, decision.state, facts.state)


async def _ready_to_run(
    conn: Conn,
    facts: TaskRunFacts,
    proposed: StateCreate,
    policy: tuple[task_policy.TaskRule, ...],
    *,
    now: dt.datetime,
) -> TaskRunFacts:
    """With what only a run that is to run needs: a state from the cache, the limits on its tags."""
    details = proposed.state_details
    if details.cache_key is not None and not details.refresh_cache:
        facts = replace(
            facts, cached=await states.read_cached_state(conn, details.cache_key, now=now)
        )
    if facts.tags and task_policy.take_slots in policy:
        names = [TAG_PREFIX + tag for tag in facts.tags]
        limits = await concurrency.lock_limits(conn, names=names)
        facts = replace(facts, tag_limits=tuple(limit for limit in limits if limit.active))
    return facts


async def _decide_task_run(
    conn: Conn,
    facts: TaskRunFacts,
    state: State,
    policy: tuple[task_policy.TaskRule, ...],
    *,
    now: dt.datetime,
) -> Decision[TaskRunFacts]:
    decision = decide(policy, facts, state, now=now, jitter=random.random(), fresh_id=new_id())
    if decision.state is not None:
        await states.write_task_run_state(conn, decision.run, decision.state, now=now)
    for effect in decision.effects:
        await _carry_out(conn, effect, facts.id, decision.state, now=now)
    return decision


async def _carry_out(
    conn: Conn, effect: Effect, task_run_id: uuid.UUID, state: State | None, *, now: dt.datetime
) -> None:
    match effect:
        case CountDenial(limits):
            await concurrency.write_limits(conn, limits)
        case TakeTagSlots(limits):
            await concurrency.write_limits(conn, limits)
            await hold_tag_slots(conn, limits, task_run_id, now=now)
        case ReleaseTagSlots():
            await free_leased(conn, await concurrency.end_tag_leases(conn, task_run_id), now=now)
        case CacheState(cache_key, expiration) if state is not None:
            await states.insert_cached_state(conn, cache_key, expiration, state.id, now=now)
        case _:
            pass


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
