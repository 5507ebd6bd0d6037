"""Task runs as their clients tell them: events of client-side orchestration become rows.

A client judges its task runs itself and sends one event per state. These are written down unjudged,
in any order and as often as they come: a run's row shows the state with the greatest (timestamp,
id) seen so far, and every state is kept once. What is written does not depend on the order.

An event that says it is such a state but cannot be read as one is logged and left out; a part of it
that cannot be read is left out alone.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import structlog

from app.wire.base import Json, Labels, as_utc
from app.wire.events import RESOURCE_ID, RESOURCE_ROLE, ReceivedEvent
from app.wire.runs import TaskRun, TaskRunPolicy
from app.wire.states import State, StateDetails, StateType, default_name
from storage.postgres.pool import Conn
from storage.postgres.task_run_events import (
    insert_observed_states,
    known_task_run_ids,
    upsert_observed_task_runs,
)

EVENT_PREFIX = "prefect.task-run"
TASK_RUN_PREFIX = "prefect.task-run."
FLOW_RUN_PREFIX = "prefect.flow-run."

_log = structlog.get_logger("tailrace.recorder")

S = TypeVar("S", bound=msgspec.Struct)
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class _ValidatedState(msgspec.Struct, frozen=True, kw_only=True):
    type: StateType
    name: str | None = None
    message: str | None = None
    data: Any = None
    state_details: StateDetails = StateDetails()


class _TaskRunFields(msgspec.Struct, frozen=True, kw_only=True):
    task_key: str
    dynamic_key: str
    name: str | None = None
    cache_key: str | None = None
    cache_expiration: dt.datetime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = TaskRunPolicy()
    tags: list[str] = []
    labels: Labels = {}
    task_inputs: Json = {}
    run_count: Count = 0
    flow_run_run_count: Count = 0
    expected_start_time: dt.datetime | None = None
    next_scheduled_start_time: dt.datetime | None = None
    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    total_run_time: float = 0.0


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    validated_state: _ValidatedState
    task_run: _TaskRunFields


class _LoosePayload(msgspec.Struct, frozen=True, kw_only=True):
    validated_state: Json
    task_run: Json


_payload_decoder = msgspec.json.Decoder(_Payload)
_loose_decoder = msgspec.json.Decoder(_LoosePayload)


async def record_task_runs(conn: Conn, events: Sequence[ReceivedEvent]) -> None:
    """Write down the task runs and states that the events tell. Runs in the caller's transaction.

    Raises:
        Conflict: another process wrote down one of the runs at the same moment; do it again.
    """
    observed = [run for event in events if (run := observed_task_run(event)) is not None]
    if not observed:
        return
    known = await known_task_run_ids(conn, {_key(run) for run in observed})
    for run in observed:
        known.setdefault(_key(run), run.id)
    latest: dict[uuid.UUID, TaskRun] = {}
    states: dict[uuid.UUID, tuple[uuid.UUID, State]] = {}
    for run in observed:
        if run.state is None:
            continue
        run_id = known[_key(run)]
        states[run.state.id] = (run_id, run.state)
        shown = latest.get(run_id)
        if shown is None or shown.state is None or _rank(shown.state) < _rank(run.state):
            latest[run_id] = msgspec.structs.replace(run, id=run_id)
    await upsert_observed_task_runs(conn, list(latest.values()))
    await insert_observed_states(conn, list(states.values()))


def _key(run: TaskRun) -> tuple[uuid.UUID | None, str, str]:
    return run.flow_run_id, run.task_key, run.dynamic_key


def _rank(state: State) -> tuple[dt.datetime, uuid.UUID]:
    return state.timestamp, state.id


def observed_task_run(event: ReceivedEvent) -> TaskRun | None:
    """The task run as the event shows it, with the state it entered; None when the event is about
    something else or cannot be read."""
    if (
        not event.event.startswith(EVENT_PREFIX)
        or event.resource.get("prefect.orchestration") != "client"
    ):
        return None
    try:
        task_run_id = _id_after(TASK_RUN_PREFIX, event.resource[RESOURCE_ID])
        fields, proposed = _decode(event.payload)
    except (msgspec.MsgspecError, ValueError) as error:
        _log.warning("task-run event not readable", event_id=str(event.id), error=str(error))
        return None
    flow_run_id = _flow_run_id(event)
    state = State(
        id=event.id,
        type=proposed.type,
        name=proposed.name or default_name(proposed.type),
        timestamp=event.occurred,
        message=proposed.message,
        data=proposed.data,
        state_details=msgspec.structs.replace(
            proposed.state_details, flow_run_id=flow_run_id, task_run_id=task_run_id
        ),
    )
    return TaskRun(
        id=task_run_id,
        created=event.received,
        updated=event.received,
        name=fields.name or event.resource.get("prefect.resource.name") or fields.task_key,
        flow_run_id=flow_run_id,
        task_key=fields.task_key,
        dynamic_key=fields.dynamic_key,
        cache_key=fields.cache_key,
        cache_expiration=_utc(fields.cache_expiration),
        task_version=fields.task_version,
        empirical_policy=fields.empirical_policy,
        tags=fields.tags,
        labels=fields.labels,
        task_inputs=fields.task_inputs,
        state_id=state.id,
        state_type=state.type,
        state_name=state.name,
        run_count=fields.run_count,
        flow_run_run_count=fields.flow_run_run_count,
        expected_start_time=_utc(fields.expected_start_time),
        next_scheduled_start_time=_utc(fields.next_scheduled_start_time),
        start_time=_utc(fields.start_time),
        end_time=_utc(fields.end_time),
        total_run_time=fields.total_run_time,
        state=state,
    )


def _utc(time: dt.datetime | None) -> dt.datetime | None:
    return as_utc(time) if time is not None else None


def _id_after(prefix: str, resource_id: str) -> uuid.UUID:
    if not resource_id.startswith(prefix):
        raise ValueError(f"resource {resource_id!r} is not a {prefix}…")
    return uuid.UUID(resource_id.removeprefix(prefix))


def _flow_run_id(event: ReceivedEvent) -> uuid.UUID | None:
    for resource in event.related:
        if resource[RESOURCE_ROLE] == "flow-run":
            try:
                return _id_after(FLOW_RUN_PREFIX, resource[RESOURCE_ID])
            except ValueError as error:
                _log.warning(
                    "flow run of a task-run event not readable",
                    event_id=str(event.id),
                    error=str(error),
                )
    return None


def _decode(payload: msgspec.Raw) -> tuple[_TaskRunFields, _ValidatedState]:
    try:
        strict = _payload_decoder.decode(payload)
    except msgspec.ValidationError:
        loose = _loose_decoder.decode(payload)
        return (
            _readable(loose.task_run, _TaskRunFields),
            _readable(
                {
                    **loose.validated_state,
                    "state_details": _readable(
                        _object(loose.validated_state.get("state_details")), StateDetails
                    ),
                },
                _ValidatedState,
            ),
        )
    return strict.task_run, strict.validated_state


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _readable(values: Json, kind: type[S]) -> S:
    """`kind` from those of `values` that fit; fields without a default must."""
    fitting: Json = {}
    for field in msgspec.structs.fields(kind):
        if field.name not in values:
            continue
        try:
            fitting[field.name] = msgspec.convert(values[field.name], field.type)
        except msgspec.ValidationError:
            if field.required:
                raise
            _log.warning("part of a task-run event left out", field=field.name)
    return msgspec.convert(fitting, kind)
