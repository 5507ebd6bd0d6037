"""Task runs and states that arrive as events, many at a time."""

import uuid
from collections.abc import Collection, Sequence
from typing import TypeAlias

from app.wire.events import raw_json
from app.wire.runs import TaskRun
from app.wire.states import State
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

TaskRunKey: TypeAlias = "tuple[uuid.UUID | None, str, str]"

_KNOWN = statement("known_task_run_ids")
_UPSERT = statement("upsert_observed_task_runs")
_INSERT_STATES = statement("insert_observed_states")


async def known_task_run_ids(
    conn: Conn, keys: Collection[TaskRunKey]
) -> dict[TaskRunKey, uuid.UUID]:
    """The ids under which runs of these (flow run, task key, dynamic key) are kept already."""
    wanted = list(keys)
    rows = await conn.fetch(
        _KNOWN, [key[0] for key in wanted], [key[1] for key in wanted], [key[2] for key in wanted]
    )
    return {(row["flow_run_id"], row["task_key"], row["dynamic_key"]): row["id"] for row in rows}


async def upsert_observed_task_runs(conn: Conn, runs: Sequence[TaskRun]) -> None:
    """Insert the runs, or move those that are there forward to a later state. No run may be in
    `runs` twice, and each must have its state."""
    states = [run.state for run in runs]
    await conn.execute(
        _UPSERT,
        [run.id for run in runs],
        [run.updated for run in runs],
        [run.name for run in runs],
        [run.flow_run_id for run in runs],
        [run.task_key for run in runs],
        [run.dynamic_key for run in runs],
        [run.cache_key for run in runs],
        [run.cache_expiration for run in runs],
        [run.task_version for run in runs],
        [run.flow_run_run_count for run in runs],
        [run.empirical_policy for run in runs],
        [run.task_inputs for run in runs],
        # As text: an array of arrays would be one array of two dimensions to the driver.
        [raw_json(run.tags) for run in runs],
        [run.labels for run in runs],
        [run.state_id for run in runs],
        [run.state_type for run in runs],
        [run.state_name for run in runs],
        [state.timestamp if state is not None else None for state in states],
        [run.run_count for run in runs],
        [run.expected_start_time for run in runs],
        [run.next_scheduled_start_time for run in runs],
        [run.start_time for run in runs],
        [run.end_time for run in runs],
        [run.total_run_time for run in runs],
    )


async def insert_observed_states(conn: Conn, states: Sequence[tuple[uuid.UUID, State]]) -> None:
    """Keep each (task run id, state) unless a state with its id is kept already."""
    await conn.execute(
        _INSERT_STATES,
        [state.id for _, state in states],
        [run_id for run_id, _ in states],
        [state.type for _, state in states],
        [state.name for _, state in states],
        [state.timestamp for _, state in states],
        [state.message for _, state in states],
        [raw_json(state.data) if state.data is not None else None for _, state in states],
        [state.state_details for _, state in states],
    )
