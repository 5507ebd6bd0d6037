"""A paused flow run goes on: here and now, or by being scheduled again if its process has ended."""

import datetime as dt
import uuid

import msgspec

from app.orchestration.parameters import Words, hydrated_parameters
from app.orchestration.refusal import Refused
from app.orchestration.transition import ANYBODY, propose_flow_run_state
from app.rules.json_schema import CircularSchema, why_invalid
from app.wire.base import Json, new_id
from app.wire.facts import Client
from app.wire.results import AbortDetails, OrchestrationResult
from app.wire.runs import FlowRunInputCreate
from app.wire.states import State, StateCreate, StateDetails
from storage.errors import NotFound
from storage.postgres import states
from storage.postgres.flow_run_inputs import insert_flow_run_input, read_flow_run_input
from storage.postgres.pool import Conn, Pool, transaction

_WORDS = Words(hydrating="Error hydrating run input: ", checking="", no_schema="")


async def resume_flow_run(
    pool: Pool,
    flow_run_id: uuid.UUID,
    run_input: Json | None,
    *,
    now: dt.datetime,
    client: Client = ANYBODY,
) -> OrchestrationResult:
    """Resume a paused run. A run that asked for input gets `run_input` once it fits the schema it
    asked with; what does not fit is rejected, and the run stays paused. The input is kept once the
    run goes on, and not at all when it does not or when there is nothing in it.

    Raises:
        NotFound: there is no such run.
        Conflict: the input was given already; then the run stays paused.
    """
    async with transaction(pool) as conn:
        facts = await states.lock_flow_run(conn, flow_run_id)
        state = facts.state
        if state is None or state.type != "PAUSED":
            return OrchestrationResult(
                state=None,
                status="ABORT",
                details=AbortDetails(reason="Cannot resume a flow run that is not paused."),
            )
        keys = state.state_details.run_input_keyset
        if keys is None:
            return await propose_flow_run_state(
                conn, flow_run_id, _next_state(state, now), now=now, client=client
            )
        checked = await _checked_input(conn, flow_run_id, keys, run_input or {})
        if isinstance(checked, str):
            return _rejected(state, checked)
        result = await propose_flow_run_state(
            conn, flow_run_id, _next_state(state, now), now=now, client=client
        )
        if checked and result.status == "ACCEPT":
            create = FlowRunInputCreate(
                key=keys["response"], value=msgspec.json.encode(checked).decode()
            )
            await insert_flow_run_input(conn, flow_run_id, create, id=new_id(), now=now)
        return result


def _next_state(paused: State, now: dt.datetime) -> StateCreate:
    if paused.state_details.pause_reschedule:
        return StateCreate(
            type="SCHEDULED", name="Resuming", state_details=StateDetails(scheduled_time=now)
        )
    return StateCreate(type="RUNNING")


async def _checked_input(
    conn: Conn, flow_run_id: uuid.UUID, keys: dict[str, str], run_input: Json
) -> Json | str:
    """The input as it will be kept, with what is to be made of it made; or why it does not fit."""
    if "schema" not in keys or "response" not in keys:
        return "The paused state does not say where its input goes."
    try:
        schema = msgspec.json.decode(
            await read_flow_run_input(conn, flow_run_id, keys["schema"]), type=Json
        )
    except NotFound:
        return "Run input schema not found."
    except msgspec.MsgspecError:
        return "Run input schema is not valid JSON."
    try:
        run_input = await hydrated_parameters(conn, run_input, words=_WORDS)
        why = why_invalid(run_input, schema)
    except Refused as error:
        return str(error)
    except CircularSchema:
        return "Invalid schema: Unable to validate schema with circular references."
    return run_input if why is None else f"Reason: {why}"


def _rejected(state: State, reason: str) -> OrchestrationResult:
    # The reference answers a rejection with the details of an abort here.
    return OrchestrationResult(state=state, status="REJECT", details=AbortDetails(reason=reason))
