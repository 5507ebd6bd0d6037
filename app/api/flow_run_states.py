"""The states a flow run has been in."""

from uuid import UUID

from litestar import get
from litestar.types import ControllerRouterHandler

from app.services import Services
from app.wire.states import State
from storage.postgres import state_history
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


ROUTES: list[ControllerRouterHandler] = [read_states, read_state]
