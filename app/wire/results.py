"""What orchestration answers, and histories."""

import datetime as dt
from typing import Literal, TypeAlias

import msgspec

from app.wire.states import State, StateType

SetStateStatus: TypeAlias = Literal["ACCEPT", "REJECT", "ABORT", "WAIT"]


class AcceptDetails(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="accept_details"
):
    """The proposed state holds now."""


class RejectDetails(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reject_details"
):
    """Another state holds; `reason` says why."""

    reason: str | None = None


class WaitDetails(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="wait_details"):
    """Nothing changed; propose again after `delay_seconds`."""

    delay_seconds: int
    reason: str | None = None


class AbortDetails(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="abort_details"
):
    """Nothing changed; the client is to stop."""

    reason: str | None = None


class OrchestrationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a proposed state. `state` is what holds after it, null for WAIT and ABORT."""

    state: State | None
    status: SetStateStatus
    details: AcceptDetails | RejectDetails | WaitDetails | AbortDetails


class HistoryState(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one state in one interval; sums are seconds."""

    state_type: StateType
    state_name: str
    count_runs: int
    sum_estimated_run_time: float
    sum_estimated_lateness: float


class HistoryInterval(msgspec.Struct, frozen=True, kw_only=True):
    """Runs expected to start in [interval_start, interval_end)."""

    interval_start: dt.datetime
    interval_end: dt.datetime
    states: list[HistoryState]
