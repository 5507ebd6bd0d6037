"""States of runs, on the wire and in the store: the same structs in both."""

import datetime as dt
import uuid
from typing import Any, Literal, TypeAlias

import msgspec

from app.wire.base import as_utc

StateType: TypeAlias = Literal[
    "SCHEDULED",
    "PENDING",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "CRASHED",
    "PAUSED",
    "CANCELLING",
]

STATE_TYPES: frozenset[StateType] = frozenset(
    {
        "SCHEDULED",
        "PENDING",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "CRASHED",
        "PAUSED",
        "CANCELLING",
    }
)
TERMINAL: frozenset[StateType] = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


class StateDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What a state says beyond its type, name and message."""

    flow_run_id: uuid.UUID | None = None
    task_run_id: uuid.UUID | None = None
    child_flow_run_id: uuid.UUID | None = None
    scheduled_time: dt.datetime | None = None
    cache_key: str | None = None
    cache_expiration: dt.datetime | None = None
    deferred: bool | None = False
    untrackable_result: bool = False
    pause_timeout: dt.datetime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: uuid.UUID | None = None
    task_parameters_id: uuid.UUID | None = None
    traceparent: str | None = None
    deployment_concurrency_lease_id: uuid.UUID | None = None

    def __post_init__(self) -> None:
        for name in ("scheduled_time", "cache_expiration", "pause_timeout"):
            time = getattr(self, name)
            if time is not None:
                msgspec.structs.force_setattr(self, name, as_utc(time))


class StateCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state as a client proposes it; id and timestamp are the server's."""

    type: StateType
    name: str | None = None
    message: str | None = None
    data: Any = None
    state_details: StateDetails = StateDetails()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A state as it holds or held. `data` is the client's own JSON, kept as it came."""

    id: uuid.UUID
    type: StateType
    name: str
    timestamp: dt.datetime
    message: str | None = None
    data: Any = None
    state_details: StateDetails = StateDetails()


def default_name(state_type: StateType) -> str:
    """The name of a state that was given none."""
    return state_type.capitalize()


def waits_for_task_worker(state: StateCreate | State) -> bool:
    """Whether a task run in this state is one that task workers are to fetch."""
    return state.type == "SCHEDULED" and bool(state.state_details.deferred)


def has_persisted_result(state: State) -> bool:
    """Whether the state refers to a result that somebody can still read."""
    data = state.data
    return isinstance(data, dict) and bool(data) and data.get("type") != "unpersisted"


def kept_data(state: State) -> Any:
    """What is stored as the state's data: the mark of a result that nobody kept is not."""
    return state.data if has_persisted_result(state) else None


def state_from(create: StateCreate, *, id: uuid.UUID, now: dt.datetime) -> State:
    """The proposed state, named by its type and SCHEDULED for now unless it says otherwise."""
    details = create.state_details
    if create.type == "SCHEDULED" and details.scheduled_time is None:
        details = msgspec.structs.replace(details, scheduled_time=now)
    return State(
        id=id,
        type=create.type,
        name=create.name or default_name(create.type),
        timestamp=now,
        message=create.message,
        data=create.data,
        state_details=details,
    )
