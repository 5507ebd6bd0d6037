"""Where a run's state changes: lock and read, write, create. Only `app.orchestration` comes here.

The lock is the run's own row, held until the caller's transaction ends.
"""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.base import Labels
from app.wire.deployments import ConcurrencyOptions
from app.wire.events import ReceivedEvent
from app.wire.facts import DeploymentFacts, EnclosingFlow, FlowRunFacts, ResolvedQueue, TaskRunFacts
from app.wire.runs import CreatedBy, FlowRunCreate, FlowRunPolicy, TaskRunCreate
from app.wire.states import State, kept_data
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.run_rows import (
    current_state_of,
    details_of,
    flow_policy_of,
    state_of,
    task_policy_of,
)
from storage.postgres.statements import statement

_LOCK_FLOW_RUN = statement("lock_flow_run")
_LOCK_TASK_RUN = statement("lock_task_run")
_WRITE_FLOW_RUN_STATE = statement("write_flow_run_state")
_WRITE_FLOW_RUN_POLICY = statement("write_flow_run_policy")
_WRITE_TASK_RUN_STATE = statement("write_task_run_state")
_INSERT_FLOW_RUN = statement("insert_flow_run")
_INSERT_TASK_RUN = statement("insert_task_run")
_FLOW_RUN_BY_IDEMPOTENCY_KEY = statement("read_flow_run_by_idempotency_key")
_TASK_RUN_BY_KEY = statement("read_task_run_by_key")
_READ_CACHED_STATE = statement("read_cached_state")
_INSERT_CACHED_STATE = statement("insert_cached_state")


async def _lock(conn: Conn, sql: str, id: uuid.UUID) -> asyncpg.Record | None:
    row = await conn.fetchrow(sql, id)
    if row is not None and row["state_id"] is not None and row["state_details"] is None:
        # It waited for the lock, and another transition was written meanwhile: what was joined is
        # older than the run. The lock is ours now, so this time nothing can change.
        row = await conn.fetchrow(sql, id)
    return row


async def lock_flow_run(conn: Conn, id: uuid.UUID) -> FlowRunFacts:
    """Lock the run until the transaction ends and read it. Raises NotFound."""
    row = await _lock(conn, _LOCK_FLOW_RUN, id)
    if row is None:
        raise NotFound(f"Flow run with id {id} not found")
    return FlowRunFacts(
        id=row["id"],
        name=row["name"],
        state=current_state_of(row),
        run_count=row["run_count"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        tags=tuple(row["tags"]),
        flow_id=row["flow_id"],
        flow_name=row["flow_name"],
        policy=flow_policy_of(row["empirical_policy"]),
        deployment_id=row["deployment_id"],
        parent_task_run_id=row["parent_task_run_id"],
        infrastructure_pid=row["infrastructure_pid"],
        deployment=_deployment_of(row),
        deployment_name=row["deployment_name"],
        parent_task_run_name=row["parent_task_run_name"],
        tags_around=tuple(row["tags_around"]),
        work_queue=_queue_of(row),
        created_by=(
            msgspec.convert(row["created_by"], CreatedBy) if row["created_by"] is not None else None
        ),
        awaits_new_process=row["awaits_new_process"],
    )


def _deployment_of(row: asyncpg.Record) -> DeploymentFacts | None:
    if row["known_deployment_id"] is None:
        return None
    options = row["concurrency_options"]
    return DeploymentFacts(
        limit_id=row["concurrency_limit_id"],
        options=msgspec.convert(options, ConcurrencyOptions) if options is not None else None,
    )


def _queue_of(row: asyncpg.Record) -> ResolvedQueue | None:
    if row["queue_id"] is None:
        return None
    return ResolvedQueue(
        id=row["queue_id"],
        name=row["queue_name"],
        work_pool_id=row["pool_id"],
        work_pool_name=row["pool_name"],
        work_pool_type=row["pool_type"],
    )


async def lock_task_run(conn: Conn, id: uuid.UUID) -> TaskRunFacts:
    """Lock the run until the transaction ends and read it, with its flow run as it is now.
    Raises NotFound."""
    row = await _lock(conn, _LOCK_TASK_RUN, id)
    if row is None:
        raise NotFound(f"Task run with id {id} not found")
    return TaskRunFacts(
        id=row["id"],
        name=row["name"],
        state=current_state_of(row),
        run_count=row["run_count"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        tags=tuple(row["tags"]),
        policy=task_policy_of(row["empirical_policy"]),
        flow_run_id=row["flow_run_id"],
        flow_run_run_count=row["flow_run_run_count"],
        enclosing=_enclosing_flow_of(row),
    )


def _enclosing_flow_of(row: asyncpg.Record) -> EnclosingFlow | None:
    if row["enclosing_id"] is None:
        return None
    state = None
    if row["enclosing_state_id"] is not None:
        state = State(
            id=row["enclosing_state_id"],
            type=row["enclosing_state_type"],
            name=row["enclosing_state_name"],
            timestamp=row["enclosing_state_timestamp"],
            state_details=details_of(row["enclosing_state_details"] or {}),
        )
    return EnclosingFlow(id=row["enclosing_id"], state=state, run_count=row["enclosing_run_count"])


async def write_flow_run_state(
    conn: Conn, run: FlowRunFacts, state: State, event: ReceivedEvent | None, *, now: dt.datetime
) -> None:
    """Add the state to the run's history, leave the run as `run` says, keep the event."""
    await conn.execute(
        _WRITE_FLOW_RUN_STATE,
        run.id,
        state.id,
        state.type,
        state.name,
        state.timestamp,
        state.message,
        now,
        kept_data(state),
        state.state_details,
        run.run_count,
        run.expected_start_time,
        run.next_scheduled_start_time,
        run.start_time,
        run.end_time,
        run.total_run_time,
        run.policy,
        event.event if event is not None else None,
        event.resource if event is not None else None,
        event.related if event is not None else None,
        event.payload if event is not None else None,
        event.follows if event is not None else None,
        run.client.changed_by,
    )


async def write_flow_run_policy(
    conn: Conn, id: uuid.UUID, policy: FlowRunPolicy, *, now: dt.datetime
) -> None:
    """A refused proposal may still change what the server remembers of the run."""
    await conn.execute(_WRITE_FLOW_RUN_POLICY, id, now, policy)


async def write_task_run_state(
    conn: Conn, run: TaskRunFacts, state: State, *, now: dt.datetime
) -> None:
    """Add the state to the run's history and leave the run as `run` says."""
    await conn.execute(
        _WRITE_TASK_RUN_STATE,
        run.id,
        state.id,
        state.type,
        state.name,
        state.timestamp,
        state.message,
        now,
        kept_data(state),
        state.state_details,
        run.run_count,
        run.expected_start_time,
        run.next_scheduled_start_time,
        run.start_time,
        run.end_time,
        run.total_run_time,
        run.flow_run_run_count,
    )


async def insert_flow_run(
    conn: Conn,
    create: FlowRunCreate,
    run: FlowRunFacts,
    state: State,
    event: ReceivedEvent,
    *,
    labels: Labels,
    deployment_version: str | None,
    work_queue_id: uuid.UUID | None,
    author: CreatedBy | None,
    changed_by: str | None,
    now: dt.datetime,
) -> bool:
    """Keep a new run, its first state and the event that tells of it, in one statement; false if
    the idempotency key is taken, and then nothing is kept."""
    row = await conn.fetchrow(
        _INSERT_FLOW_RUN,
        run.id,
        now,
        run.name,
        run.flow_id,
        create.flow_version,
        create.deployment_id,
        create.work_queue_name,
        create.parameters,
        create.context,
        create.idempotency_key,
        run.policy,
        create.tags,
        labels,
        create.job_variables,
        create.parent_task_run_id,
        create.infrastructure_document_id,
        author,
        state.id,
        state.type,
        state.name,
        state.timestamp,
        run.run_count,
        run.expected_start_time,
        run.next_scheduled_start_time,
        run.start_time,
        run.end_time,
        run.total_run_time,
        state.message,
        kept_data(state),
        state.state_details,
        event.event,
        event.resource,
        event.related,
        event.payload,
        deployment_version,
        work_queue_id,
        changed_by,
    )
    return row is not None


async def flow_run_id_by_idempotency_key(
    conn: Conn, flow_id: uuid.UUID, key: str
) -> uuid.UUID | None:
    """The run that was made with this key."""
    id: uuid.UUID | None = await conn.fetchval(_FLOW_RUN_BY_IDEMPOTENCY_KEY, flow_id, key)
    return id


async def insert_task_run(
    conn: Conn,
    create: TaskRunCreate,
    run: TaskRunFacts,
    state: State,
    *,
    labels: Labels,
    now: dt.datetime,
) -> bool:
    """Keep a new run and its first state; false if its key or its id is taken, and then nothing
    is kept."""
    row = await conn.fetchrow(
        _INSERT_TASK_RUN,
        run.id,
        now,
        run.name,
        run.flow_run_id,
        create.task_key,
        create.dynamic_key,
        create.cache_key,
        create.cache_expiration,
        create.task_version,
        run.policy,
        create.task_inputs,
        create.tags,
        labels,
        state.id,
        state.type,
        state.name,
        state.timestamp,
        run.run_count,
        run.expected_start_time,
        run.next_scheduled_start_time,
        run.start_time,
        run.end_time,
        run.total_run_time,
        state.message,
        kept_data(state),
        state.state_details,
    )
    return row is not None


async def task_run_id_by_key(
    conn: Conn, flow_run_id: uuid.UUID | None, task_key: str, dynamic_key: str
) -> uuid.UUID | None:
    """The run of that key in that flow run."""
    id: uuid.UUID | None = await conn.fetchval(_TASK_RUN_BY_KEY, flow_run_id, task_key, dynamic_key)
    return id


async def read_cached_state(conn: Conn, cache_key: str, *, now: dt.datetime) -> State | None:
    """The newest unexpired state under the key."""
    row = await conn.fetchrow(_READ_CACHED_STATE, cache_key, now)
    return state_of(row) if row is not None else None


async def insert_cached_state(
    conn: Conn,
    cache_key: str,
    expiration: dt.datetime | None,
    state_id: uuid.UUID,
    *,
    now: dt.datetime,
) -> None:
    """Let later runs with the key take the state."""
    await conn.execute(_INSERT_CACHED_STATE, cache_key, now, expiration, state_id)
