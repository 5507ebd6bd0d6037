"""States of runs as they were written, for reading."""

import uuid

from app.wire.states import State
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.run_rows import state_of
from storage.postgres.statements import statement

_SELECT_FLOW_RUN_STATES = statement("select_flow_run_states")
_READ_FLOW_RUN_STATE = statement("read_flow_run_state")
_SELECT_TASK_RUN_STATES = statement("select_task_run_states")
_READ_TASK_RUN_STATE = statement("read_task_run_state")


async def flow_run_states(conn: Conn, flow_run_id: uuid.UUID) -> list[State]:
    """All states of a flow run, oldest first."""
    return [state_of(row) for row in await conn.fetch(_SELECT_FLOW_RUN_STATES, flow_run_id)]


async def read_flow_run_state(conn: Conn, id: uuid.UUID) -> State:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ_FLOW_RUN_STATE, id)
    if row is None:
        raise NotFound("Flow run state not found")
    return state_of(row)


async def task_run_states(conn: Conn, task_run_id: uuid.UUID) -> list[State]:
    """All states of a task run, oldest first."""
    return [state_of(row) for row in await conn.fetch(_SELECT_TASK_RUN_STATES, task_run_id)]


async def read_task_run_state(conn: Conn, id: uuid.UUID) -> State:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ_TASK_RUN_STATE, id)
    if row is None:
        raise NotFound("Task run state not found")
    return state_of(row)
