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
    asked with; what does not fit is rejected, and the run stays paused.

    Raises:
        NotFound: there is no such run.
        Conflict: the input was given already.
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
        if keys is not None:
            reason = await _keep_response(conn, flow_run_id, keys, run_input or {}, now=now)
            if reason is not None:
                return _rejected(state, reason)
        return await propose_flow_run_state(
            conn, flow_run_id, _next_state(state, now), now=now, client=client
        )


def _next_state(paused: State, now: dt.datetime) -> StateCreate:
    if paused.state_details.pause_reschedule:
        return StateCreate(
            type="SCHEDULED", name="Resuming", state_details=StateDetails(scheduled_time=now)
        )
    return StateCreate(type="RUNNING")


async def _keep_response(
    conn: Conn, flow_run_id: uuid.UUID, keys: dict[str, str], run_input: Json, *, now: dt.datetime
) -> str | None:
    """Keep the input under the key the run reads; or the reason why it was not kept."""
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
    if why is not None:
        return f"Reason: {why}"
    create = FlowRunInputCreate(key=keys["response"], value=msgspec.json.encode(run_input).decode())
    await insert_flow_run_input(conn, flow_run_id, create, id=new_id(), now=now)
    return None


def _rejected(state: State, reason: str) -> OrchestrationResult:
    # The reference answers a rejection with the details of an abort here.
    return OrchestrationResult(state=state, status="REJECT", details=AbortDetails(reason=reason))
