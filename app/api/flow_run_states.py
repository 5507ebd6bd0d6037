"""The states a flow run has been in."""

from uuid import UUID

from litestar import get
from litestar.types import ControllerRouterHandler

from app.services import Services
from app.wire.base import utc_now
from app.wire.state_changes import StateChange
from app.wire.states import State
from storage.postgres import flow_runs, state_history
from storage.postgres.pool import connection


@get("/flow_run_states/")
async def read_states(flow_run_id: UUID, services: Services) -> list[State]:
    """All states of a flow run, oldest first."""
    async with connection(services.pool) as conn:
        return await state_history.flow_run_states(conn, flow_run_id)


@get("/flow_run_states/{state_id:uuid}")
async def read_state(state_id: UUID, services: Services) -> State:
    """One state."""
    async with connection(services.pool) as conn:
        return await state_history.read_flow_run_state(conn, state_id)


@get("/tailrace/flow_runs/{flow_run_id:uuid}/states")
async def read_changes(flow_run_id: UUID, services: Services) -> list[StateChange]:
    """All states of a flow run, oldest first, with who brought it into each, and why."""
    async with connection(services.pool) as conn:
        found = await state_history.flow_run_state_changes(conn, flow_run_id)
        if not found:
            await flow_runs.read_flow_run(conn, flow_run_id, now=utc_now())
        return found


ROUTES: list[ControllerRouterHandler] = [read_states, read_state, read_changes]
