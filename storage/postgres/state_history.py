"""States of runs as they were written, for reading."""

import uuid

from app.wire.state_changes import StateChange, author_from
from app.wire.states import State
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.run_rows import details_of, state_of
from storage.postgres.statements import statement

_SELECT_FLOW_RUN_STATES = statement("select_flow_run_states")
_READ_FLOW_RUN_STATE = statement("read_flow_run_state")
_SELECT_FLOW_RUN_STATE_CHANGES = statement("select_flow_run_state_changes")
_SELECT_TASK_RUN_STATES = statement("select_task_run_states")
_READ_TASK_RUN_STATE = statement("read_task_run_state")

# Of states that the server writes without a message, as the reference does.
_WHY = {("job", "Late"): "Nobody started it in time."}


async def flow_run_states(conn: Conn, flow_run_id: uuid.UUID) -> list[State]:
    """All states of a flow run, oldest first."""
    return [state_of(row) for row in await conn.fetch(_SELECT_FLOW_RUN_STATES, flow_run_id)]


async def flow_run_state_changes(conn: Conn, flow_run_id: uuid.UUID) -> list[StateChange]:
    """The same, with who brought the run into each and why, as far as that is known."""
    found = []
    for row in await conn.fetch(_SELECT_FLOW_RUN_STATE_CHANGES, flow_run_id):
        by = author_from(row["changed_by"])
        found.append(
            StateChange(
                id=row["id"],
                type=row["type"],
                name=row["name"],
                timestamp=row["timestamp"],
                message=row["message"],
                state_details=details_of(row["state_details"]),
                by=by,
                why=row["message"] or _WHY.get((by.kind, row["name"])),
            )
        )
    return found


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
