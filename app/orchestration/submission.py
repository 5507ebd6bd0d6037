"""Runs are made: by key at most once, with a first state that the minimal rules have seen."""

import datetime as dt
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from coolname import generate_slug

from app.orchestration.state_events import flow_run_event
from app.orchestration.transition import copy_state_to_parent
from app.rules import flow_policy, task_policy
from app.rules.transitions import CopyStateToParentTask, decide
from app.wire.base import Labels, new_id
from app.wire.facts import FlowRunFacts, ResolvedQueue, TaskRunFacts
from app.wire.flows import Flow
from app.wire.runs import (
    CreatedBy,
    FlowRun,
    FlowRunCreate,
    TaskRun,
    TaskRunCreate,
    estimated_start_time_delta,
)
from app.wire.states import State, StateCreate, kept_data, state_from, waits_for_task_worker
from storage.errors import Conflict, NotFound
from storage.postgres import states
from storage.postgres.deployments import name_labels_and_tags_of_deployment
from storage.postgres.flow_runs import read_flow_run
from storage.postgres.flows import read_flow
from storage.postgres.pool import Conn, Pool, connection, transaction
from storage.postgres.task_runs import name_and_tags_of_task_run, read_task_run
from storage.postgres.task_workers import enqueue_deferred_task_run
from storage.postgres.work_queues import ensure_work_queue, read_queue_of_pool

PENDING = StateCreate(type="PENDING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a flow run is made of, beside what its creator says of it. `labels` are those that it
    inherits, `tags_around` the tags of its flow and its deployment."""

    flow_id: uuid.UUID
    flow_name: str
    labels: Labels
    tags_around: tuple[str, ...] = ()
    deployment_name: str | None = None
    deployment_version: str | None = None
    work_queue: ResolvedQueue | None = None
    author: CreatedBy | None = None
    # Kept with the first state (`app.wire.state_changes`).
    changed_by: str | None = None


async def create_flow_run(
    pool: Pool,
    create: FlowRunCreate,
    *,
    author: CreatedBy | None = None,
    changed_by: str | None = None,
    now: dt.datetime,
) -> tuple[FlowRun, bool]:
    """The new run, or the one that was made with the same idempotency key; and whether it is new.

    Raises:
        Conflict: there is no such flow.
        NotFound: there is no such work pool, or it has no such queue.
    """
    # A run that stands alone is kept by one statement; only a subflow run needs a transaction.
    opened = connection(pool) if create.parent_task_run_id is None else transaction(pool)
    async with opened as conn:
        known = await _known_flow_run(conn, create, now=now)
        if known is not None:
            return known, False
        try:
            flow = await read_flow(conn, create.flow_id)
        except NotFound as error:
            raise Conflict("flow_run_flow_id_fkey", "There is no such flow.") from error
        deployment_name, labels, tags = await _inherited(conn, create, flow)
        origin = Origin(
            flow_id=flow.id,
            flow_name=flow.name,
            labels=labels,
            tags_around=(*flow.tags, *tags),
            deployment_name=deployment_name,
            work_queue=await _queue_named(conn, create, now=now),
            author=author,
            changed_by=changed_by,
        )
        return await keep_flow_run(conn, create, origin, now=now)


async def _inherited(
    conn: Conn, create: FlowRunCreate, flow: Flow
) -> tuple[str | None, Labels, Sequence[str]]:
    """The name of the deployment, if there is one, the labels, and the deployment's tags."""
    own: Labels = {"prefect.flow.id": str(flow.id)}
    if create.deployment_id is not None:
        known = await name_labels_and_tags_of_deployment(conn, create.deployment_id)
        if known is not None:
            name, labels, tags = known
            own["prefect.deployment.id"] = str(create.deployment_id)
            return name, {**labels, **own}, tags
    return None, {**flow.labels, **own}, ()


async def _queue_named(
    conn: Conn, create: FlowRunCreate, *, now: dt.datetime
) -> ResolvedQueue | None:
    """A queue without a pool is only a name."""
    if not create.work_pool_name:
        return None
    if create.work_queue_name:
        # A run is made where somebody looks for it: a name that was mistyped makes no queue.
        await read_queue_of_pool(conn, create.work_pool_name, create.work_queue_name)
    return await ensure_work_queue(
        conn, pool_name=create.work_pool_name, queue_name=create.work_queue_name or None, now=now
    )


async def keep_flow_run(
    conn: Conn, create: FlowRunCreate, origin: Origin, *, now: dt.datetime
) -> tuple[FlowRun, bool]:
    """As `create_flow_run`, once it is known what the run is made of.

    Raises:
        Conflict: the flow was just deleted.
    """
    run = await _insert_flow_run(conn, create, origin, now=now)
    if run is not None:
        return run, True
    known = await _known_flow_run(conn, create, now=now)
    if known is None:
        raise Conflict("flow_run_idempotency_key_is_unique", "The run was just deleted.")
    return known, False


async def _known_flow_run(conn: Conn, create: FlowRunCreate, *, now: dt.datetime) -> FlowRun | None:
    if create.idempotency_key is None:
        return None
    id = await states.flow_run_id_by_idempotency_key(conn, create.flow_id, create.idempotency_key)
    return await read_flow_run(conn, id, now=now) if id is not None else None


async def _insert_flow_run(
    conn: Conn, create: FlowRunCreate, origin: Origin, *, now: dt.datetime
) -> FlowRun | None:
    parent = None
    if create.parent_task_run_id is not None:
        parent = await name_and_tags_of_task_run(conn, create.parent_task_run_id)
    parent_name, parent_tags = parent if parent is not None else (None, [])
    facts = FlowRunFacts(
        id=new_id(),
        name=create.name or generate_slug(2),
        state=None,
        run_count=0,
        expected_start_time=None,
        next_scheduled_start_time=None,
        start_time=None,
        end_time=None,
        total_run_time=0.0,
        tags=tuple(create.tags),
        flow_id=origin.flow_id,
        flow_name=origin.flow_name,
        policy=create.empirical_policy,
        deployment_id=create.deployment_id,
        parent_task_run_id=create.parent_task_run_id,
        infrastructure_pid=None,
        deployment_name=origin.deployment_name,
        parent_task_run_name=parent_name,
        tags_around=(*origin.tags_around, *parent_tags),
        work_queue=origin.work_queue,
        created_by=origin.author,
    )
    proposed = create.state or PENDING
    decision = decide(
        flow_policy.MINIMAL,
        facts,
        state_from(proposed, id=new_id(), now=now),
        now=now,
        jitter=random.random(),
        fresh_id=new_id(),
    )
    state, run = decision.state, decision.run
    assert state is not None, "the minimal rules refuse no first state"
    labels: Labels = {**origin.labels, **(create.labels or {})}
    event = flow_run_event(run, None, proposed.type, state, now=now)
    kept = await states.insert_flow_run(
        conn,
        create,
        run,
        state,
        event,
        labels=labels,
        deployment_version=origin.deployment_version,
        work_queue_id=origin.work_queue.id if origin.work_queue is not None else None,
        author=origin.author,
        changed_by=origin.changed_by,
        now=now,
    )
    if not kept:
        return None
    for effect in decision.effects:
        if isinstance(effect, CopyStateToParentTask):
            await copy_state_to_parent(conn, effect.task_run_id, state, run.id, now=now)
    return _answered(create, origin, run, state, labels, now=now)


def _answered(
    create: FlowRunCreate,
    origin: Origin,
    run: FlowRunFacts,
    state: State,
    labels: Labels,
    *,
    now: dt.datetime,
) -> FlowRun:
    """The run that was just kept, without reading it again."""
    queue = origin.work_queue
    return FlowRun(
        id=run.id,
        created=now,
        updated=now,
        name=run.name,
        flow_id=run.flow_id,
        state_id=state.id,
        deployment_id=create.deployment_id,
        deployment_version=origin.deployment_version,
        work_queue_id=queue.id if queue is not None else None,
        work_queue_name=queue.name if queue is not None else create.work_queue_name,
        work_pool_id=queue.work_pool_id if queue is not None else None,
        work_pool_name=queue.work_pool_name if queue is not None else None,
        flow_version=create.flow_version,
        parameters=create.parameters,
        idempotency_key=create.idempotency_key,
        context=create.context,
        empirical_policy=run.policy,
        tags=create.tags,
        labels=labels,
        parent_task_run_id=create.parent_task_run_id,
        state_type=state.type,
        state_name=state.name,
        run_count=run.run_count,
        expected_start_time=run.expected_start_time,
        next_scheduled_start_time=run.next_scheduled_start_time,
        start_time=run.start_time,
        end_time=run.end_time,
        total_run_time=run.total_run_time,
        estimated_run_time=run.total_run_time,
        estimated_start_time_delta=estimated_start_time_delta(
            run.start_time, run.expected_start_time, state.type, now
        ),
        infrastructure_document_id=create.infrastructure_document_id,
        created_by=origin.author,
        state=msgspec.structs.replace(state, data=kept_data(state)),
        job_variables=create.job_variables,
    )


async def create_task_run(
    pool: Pool, create: TaskRunCreate, *, now: dt.datetime
) -> tuple[TaskRun, bool]:
    """The new run, or the one with the same key in the same flow run; and whether it is new.

    Raises:
        Conflict: there is no such flow run, or another run has the id.
    """
    # A run that waits for a task worker is kept and queued at once; others are kept by one statement.
    deferred = create.state is not None and waits_for_task_worker(create.state)
    async with transaction(pool) if deferred else connection(pool) as conn:
        labels: Labels = dict(create.labels or {})
        if create.flow_run_id is not None:
            try:
                flow_run = await read_flow_run(conn, create.flow_run_id, now=now)
            except NotFound as error:
                raise Conflict("task_run_flow_run_id_fkey", "There is no such flow run.") from error
            own = {"prefect.flow-run.id": str(flow_run.id)}
            labels = {**flow_run.labels, **own, **labels}
        id = await _insert_task_run(conn, create, labels, now=now)
        created = id is not None
        if id is not None and deferred:
            await enqueue_deferred_task_run(conn, id, now=now)
        if id is None:
            id = await states.task_run_id_by_key(
                conn, create.flow_run_id, create.task_key, create.dynamic_key
            )
        if id is None:
            raise Conflict("task_run_pkey", "Another task run has this id.")
        return await read_task_run(conn, id, now=now), created


async def _insert_task_run(
    conn: Conn, create: TaskRunCreate, labels: Labels, *, now: dt.datetime
) -> uuid.UUID | None:
    facts = TaskRunFacts(
        id=create.id or new_id(),
        name=create.name or generate_slug(2),
        state=None,
        run_count=0,
        expected_start_time=None,
        next_scheduled_start_time=None,
        start_time=None,
        end_time=None,
        total_run_time=0.0,
        tags=tuple(create.tags),
        policy=create.empirical_policy,
        flow_run_id=create.flow_run_id,
        flow_run_run_count=0,
        enclosing=None,
    )
    decision = decide(
        task_policy.MINIMAL,
        facts,
        state_from(create.state or PENDING, id=new_id(), now=now),
        now=now,
        jitter=random.random(),
        fresh_id=new_id(),
    )
    assert decision.state is not None, "the minimal rules refuse no first state"
    kept = await states.insert_task_run(
        conn, create, decision.run, decision.state, labels=labels, now=now
    )
    return facts.id if kept else None
