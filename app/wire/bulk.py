"""What is done to many runs or flows at once."""

import uuid
from typing import Annotated

import msgspec

from app.wire.filters import FlowFilter, FlowRunFilter
from app.wire.results import AbortDetails, AcceptDetails, RejectDetails, SetStateStatus, WaitDetails
from app.wire.states import State, StateCreate

MAX_AT_ONCE = 50
AtOnce = Annotated[int, msgspec.Meta(ge=1, le=MAX_AT_ONCE)]


class FlowRunBulkDelete(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/bulk_delete`."""

    flow_runs: FlowRunFilter | None = None
    limit: AtOnce = MAX_AT_ONCE


class FlowBulkDelete(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flows/bulk_delete`."""

    flows: FlowFilter | None = None
    limit: AtOnce = MAX_AT_ONCE


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted."""

    deleted: list[uuid.UUID]


class FlowRunBulkSetState(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/bulk_set_state`."""

    state: StateCreate
    flow_runs: FlowRunFilter | None = None
    force: bool = False
    limit: AtOnce = MAX_AT_ONCE


class FlowRunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one of the runs."""

    flow_run_id: uuid.UUID
    status: SetStateStatus
    state: State | None
    details: AcceptDetails | RejectDetails | WaitDetails | AbortDetails


class FlowRunResults(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each of the runs."""

    results: list[FlowRunResult]
