"""The one door through which a run changes state.

One transaction each: lock and read the run, let the rules decide, write what they decided and
carry out their effects. Nothing is written for WAIT and ABORT but what the server remembers.
"""

import datetime as dt
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from app.orchestration.concurrency import free_leased, give_back_lease
from app.orchestration.state_events import flow_run_event
from app.orchestration.tag_limits import hold_tag_slots
from app.rules import flow_policy, task_policy
from app.rules.client_version import renews_leases
from app.rules.concurrency import TAG_PREFIX
from app.rules.deployment_concurrency import HOLDING, lease_of
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
    ReleaseDeploymentSlot,
    ReleaseTagSlots,
    RenewDeploymentSlot,
    TakeDeploymentSlot,
    TakeTagSlots,
    Verdict,
    decide,
)
from app.wire.base import new_id
from app.wire.facts import Client, DeploymentFacts, FlowRunFacts, TaskRunFacts
from app.wire.results import (
    AbortDetails,
    AcceptDetails,
    OrchestrationResult,
    RejectDetails,
    WaitDetails,
)
from app.wire.states import TERMINAL, State, StateCreate, state_from, waits_for_task_worker
from storage.errors import NotFound
from storage.postgres import concurrency, states
from storage.postgres.pool import Conn, Pool, transaction
from storage.postgres.task_workers import enqueue_deferred_task_run

FlowPolicy = tuple[flow_policy.FlowRule, ...]
# This server, or a client that does not say who it is.
ANYBODY = Client()


async def set_flow_run_state(
    pool: Pool,
    flow_run_id: uuid.UUID,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    policy: FlowPolicy = flow_policy.CORE,
    client: Client = ANYBODY,
) -> OrchestrationResult:
    """Propose a state for a flow run.

    Raises:
        NotFound: there is no such run.
        Busy: the run is locked, and PostgreSQL would wait no longer.
    """
    async with transaction(pool) as conn:
        return await propose_flow_run_state(
            conn, flow_run_id, proposed, now=now, policy=policy, client=client
        )


async def propose_flow_run_state(
    conn: Conn,
    flow_run_id: uuid.UUID,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    policy: FlowPolicy = flow_policy.CORE,
    client: Client = ANYBODY,
) -> OrchestrationResult:
    """As `set_flow_run_state`, in a transaction that is open already."""
    facts = await states.lock_flow_run(conn, flow_run_id)
    if client != ANYBODY:
        facts = replace(facts, client=client)
    return await _propose(conn, facts, proposed, now=now, policy=policy)


async def change_flow_run_state(
    pool: Pool,
    flow_run_id: uuid.UUID,
    propose: Callable[[FlowRunFacts], StateCreate | None],
    *,
    now: dt.datetime,
    policy: FlowPolicy = flow_policy.CORE,
    client: Client = ANYBODY,
    once_accepted: Callable[[Conn, FlowRunFacts], Awaitable[None]] | None = None,
) -> OrchestrationResult | None:
    """Lock the run and ask `propose` what becomes of it, now that nobody else can change it: a
    state to propose, or None to leave it alone. None also when the run is gone. What is written
    `once_accepted` is committed together with the state.

    Raises:
        Busy: the run is locked, and PostgreSQL would wait no longer.
    """
    async with transaction(pool) as conn:
        try:
            facts = await states.lock_flow_run(conn, flow_run_id)
        except NotFound:
            return None
        proposed = propose(facts)
        if proposed is None:
            return None
        if client != ANYBODY:
            facts = replace(facts, client=client)
        result = await _propose(conn, facts, proposed, now=now, policy=policy)
        if once_accepted is not None and result.status == "ACCEPT":
            await once_accepted(conn, facts)
        return result


async def _propose(
    conn: Conn,
    facts: FlowRunFacts,
    proposed: StateCreate,
    *,
    now: dt.datetime,
    policy: FlowPolicy,
) -> OrchestrationResult:
    if facts.deployment is not None and facts.deployment.limit_id is not None:
        facts = await _with_slots(conn, facts, facts.deployment, proposed, policy)
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


async def _with_slots(
    conn: Conn,
    facts: FlowRunFacts,
    deployment: DeploymentFacts,
    proposed: StateCreate,
    policy: FlowPolicy,
) -> FlowRunFacts:
    """With the deployment's limit, if this proposal may need a slot of it. Who locks both locks
    the lease before the limit."""
    limit_id, lease_id = deployment.limit_id, lease_of(facts.state)
    assert limit_id is not None
    if flow_policy.cancel_instead_of_late in policy:
        limit = await concurrency.read_limit(conn, id=limit_id)
        return replace(facts, deployment=replace(deployment, limit=limit))
    if flow_policy.take_slot not in policy:
        return facts
    initial = facts.state.type if facts.state is not None else None
    if proposed.type == "RUNNING":
        if initial != "PENDING" or lease_id is None or not renews_leases(facts.client):
            return facts
    elif proposed.type != "PENDING" or initial in HOLDING:
        return facts
    if lease_id is not None and await concurrency.lock_lease(conn, lease_id):
        deployment = replace(deployment, lease_held=True)
    if proposed.type == "PENDING" or not deployment.lease_held:
        limits = await concurrency.lock_limits(conn, ids=[limit_id])
        deployment = replace(deployment, limit=limits[0] if limits else None)
    return replace(facts, deployment=deployment)


async def _write_flow_run(
    conn: Conn,
    facts: FlowRunFacts,
    decision: Decision[FlowRunFacts],
    proposed: StateCreate,
    *,
    now: dt.datetime,
) -> None:
    state = decision.state
    if state is not None:
        event = None
        if EmitStateEvent() in decision.effects:
            event = flow_run_event(decision.run, facts.state, proposed.type, state, now=now)
        await states.write_flow_run_state(conn, decision.run, state, event, now=now)
    elif decision.run.policy != facts.policy:
        await states.write_flow_run_policy(conn, facts.id, decision.run.policy, now=now)
    # In the order of the rules, which end in reverse: a slot that is taken is written before one
    # is given back, which looks at what is written.
    for effect in reversed(decision.effects):
        await _carry_out_for_flow_run(conn, effect, facts.id, state, now=now)


async def _carry_out_for_flow_run(
    conn: Conn, effect: Effect, flow_run_id: uuid.UUID, state: State | None, *, now: dt.datetime
) -> None:
    match effect:
        case CopyStateToParentTask(task_run_id) if state is not None:
            await copy_state_to_parent(conn, task_run_id, state, flow_run_id, now=now)
        case TakeDeploymentSlot(limit, lease):
            await concurrency.write_limits(conn, [limit])
            await concurrency.insert_lease(conn, lease)
        case RenewDeploymentSlot(lease_id, expires):
            await concurrency.renew_lease(conn, lease_id, expires)
        case ReleaseDeploymentSlot(lease_id):
            await give_back_lease(conn, lease_id, now=now)
        case _:
            pass


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


async def end_task_run(
    pool: Pool, task_run_id: uuid.UUID, state: StateCreate, *, now: dt.datetime
) -> bool:
    """Force a terminal state on a task run unless it has ended; whether it was changed. Raises as
    `set_flow_run_state` does, but for a run that is gone."""
    async with transaction(pool) as conn:
        try:
            facts = await states.lock_task_run(conn, task_run_id)
        except NotFound:
            return False
        if facts.state is not None and facts.state.type in TERMINAL:
            return False
        ended = state_from(state, id=new_id(), now=now)
        await _decide_task_run(conn, facts, ended, task_policy.MINIMAL, now=now)
        return True


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
        if waits_for_task_worker(decision.state):
            await enqueue_deferred_task_run(conn, facts.id, now=now)
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
