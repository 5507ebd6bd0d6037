"""Rows of runs and states as the structs of the wire. Rows are trusted: nothing is judged again."""

import datetime as dt

import asyncpg
import msgspec

from app.wire.runs import (
    CreatedBy,
    FlowRun,
    FlowRunPolicy,
    TaskRun,
    TaskRunPolicy,
    estimated_run_time,
    estimated_start_time_delta,
)
from app.wire.states import State, StateDetails


def details_of(value: object) -> StateDetails:
    """`state_details` as it lies in its column."""
    return msgspec.convert(value, StateDetails)


def flow_policy_of(value: object) -> FlowRunPolicy:
    """`empirical_policy` of a flow run."""
    return msgspec.convert(value, FlowRunPolicy)


def task_policy_of(value: object) -> TaskRunPolicy:
    """`empirical_policy` of a task run."""
    return msgspec.convert(value, TaskRunPolicy)


def state_of(row: asyncpg.Record) -> State:
    """A row of a table of states."""
    return State(
        id=row["id"],
        type=row["type"],
        name=row["name"],
        timestamp=row["timestamp"],
        message=row["message"],
        data=row["data"],
        state_details=details_of(row["state_details"]),
    )


def current_state_of(row: asyncpg.Record) -> State | None:
    """The state embedded in a row of a run."""
    if row["state_id"] is None:
        return None
    return State(
        id=row["state_id"],
        type=row["state_type"],
        name=row["state_name"],
        timestamp=row["state_timestamp"],
        message=row["state_message"],
        data=row["state_data"],
        state_details=details_of(row["state_details"] or {}),
    )


def flow_run_of(row: asyncpg.Record, now: dt.datetime) -> FlowRun:
    """A row of `select_flow_runs`, with what is estimated for `now`."""
    return FlowRun(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        flow_id=row["flow_id"],
        state_id=row["state_id"],
        deployment_id=row["deployment_id"],
        deployment_version=row["deployment_version"],
        work_queue_id=row["work_queue_id"],
        work_queue_name=row["work_queue_name"],
        work_pool_id=row["work_pool_id"],
        work_pool_name=row["work_pool_name"],
        flow_version=row["flow_version"],
        parameters=row["parameters"],
        idempotency_key=row["idempotency_key"],
        context=row["context"],
        empirical_policy=flow_policy_of(row["empirical_policy"]),
        tags=row["tags"],
        labels=row["labels"],
        parent_task_run_id=row["parent_task_run_id"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        run_count=row["run_count"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        auto_scheduled=row["auto_scheduled"],
        infrastructure_document_id=row["infrastructure_document_id"],
        infrastructure_pid=row["infrastructure_pid"],
        created_by=(
            msgspec.convert(row["created_by"], CreatedBy) if row["created_by"] is not None else None
        ),
        state=current_state_of(row),
        job_variables=row["job_variables"],
        estimated_run_time=_estimated_run_time(row, now),
        estimated_start_time_delta=_estimated_start_time_delta(row, now),
    )


def task_run_of(row: asyncpg.Record, now: dt.datetime) -> TaskRun:
    """A row of `select_task_runs`, with what is estimated for `now`."""
    return TaskRun(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        flow_run_id=row["flow_run_id"],
        task_key=row["task_key"],
        dynamic_key=row["dynamic_key"],
        cache_key=row["cache_key"],
        cache_expiration=row["cache_expiration"],
        task_version=row["task_version"],
        empirical_policy=task_policy_of(row["empirical_policy"]),
        tags=row["tags"],
        labels=row["labels"],
        state_id=row["state_id"],
        task_inputs=row["task_inputs"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        run_count=row["run_count"],
        flow_run_run_count=row["flow_run_run_count"],
        expected_start_time=row["expected_start_time"],
        next_scheduled_start_time=row["next_scheduled_start_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        total_run_time=row["total_run_time"],
        state=current_state_of(row),
        estimated_run_time=_estimated_run_time(row, now),
        estimated_start_time_delta=_estimated_start_time_delta(row, now),
    )


def _estimated_run_time(row: asyncpg.Record, now: dt.datetime) -> float:
    return estimated_run_time(row["total_run_time"], row["state_type"], row["state_timestamp"], now)


def _estimated_start_time_delta(row: asyncpg.Record, now: dt.datetime) -> float:
    return estimated_start_time_delta(
        row["start_time"], row["expected_start_time"], row["state_type"], now
    )
