"""Runs counted and drawn small, for the web UI."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from app.wire.filters import Selection
from app.wire.run_summaries import (
    FlowRunSummary,
    FlowRunSummaryQuery,
    NamedTaskRun,
    TaskRunOutcomes,
)
from app.wire.runs import estimated_run_time, estimated_start_time_delta
from app.wire.states import STATE_TYPES
from storage.postgres import filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.postgres.task_runs import read_task_run

_COUNT_TASK_RUNS = statement("count_task_runs_of_flow_runs")
_FLOW_RUN_NAME = statement("read_flow_run_name")


async def select_flow_run_summaries(
    conn: Conn, query: FlowRunSummaryQuery, *, now: dt.datetime
) -> list[FlowRunSummary]:
    """Runs that have a state and a time, in the order asked for."""
    sql, values = filters.select_flow_run_summaries(query, query.sort, query.limit, query.offset)
    return [
        FlowRunSummary(
            id=row["id"],
            state_type=row["state_type"],
            timestamp=row["start_time"] or row["expected_start_time"],
            duration=estimated_run_time(
                row["total_run_time"], row["state_type"], row["state_timestamp"], now
            ),
            lateness=estimated_start_time_delta(
                row["start_time"], row["expected_start_time"], row["state_type"], now
            ),
        )
        for row in await conn.fetch(sql, *values)
    ]


async def count_task_runs_of_flow_runs(
    conn: Conn, flow_run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, int]:
    """Task runs by flow run, subflow runs left out; 0 for a flow run that is not there."""
    rows = await conn.fetch(_COUNT_TASK_RUNS, flow_run_ids)
    counts = {row["flow_run_id"]: row["count"] for row in rows}
    return {id: counts.get(id, 0) for id in flow_run_ids}


async def count_task_runs_by_state(conn: Conn, selection: Selection) -> dict[str, int]:
    """Task runs by type of state, every type named."""
    sql, values = filters.count_task_runs_by_state(selection)
    rows = await conn.fetch(sql, *values)
    counts = {row["state_type"]: row["count"] for row in rows}
    return {state_type: counts.get(state_type, 0) for state_type in sorted(STATE_TYPES)}


async def task_run_outcomes(
    conn: Conn, selection: Selection, *, start: dt.datetime, end: dt.datetime, buckets: int
) -> list[TaskRunOutcomes]:
    """Task runs that are over, by when they started: [start, end] in equal stretches."""
    seconds = max((end - start).total_seconds() / buckets, 1e-6)
    sql, values = filters.task_run_outcomes(selection, start, seconds)
    found = [TaskRunOutcomes(completed=0, failed=0)] * buckets
    for row in await conn.fetch(sql, *values):
        if 0 <= row["bucket"] < buckets:
            found[row["bucket"]] = TaskRunOutcomes(completed=row["completed"], failed=row["failed"])
    return found


async def read_named_task_run(conn: Conn, id: uuid.UUID, *, now: dt.datetime) -> NamedTaskRun:
    """A task run with the name of its flow run. Raises NotFound."""
    run = await read_task_run(conn, id, now=now)
    name = None
    if run.flow_run_id is not None:
        name = await conn.fetchval(_FLOW_RUN_NAME, run.flow_run_id)
    return NamedTaskRun(**msgspec.structs.asdict(run), flow_run_name=name)
