"""What lists of the web UI tell of runs, for a whole page of the list at a time."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.states import StateType

MAX_LAST_RUNS = 50

_Ids = Annotated[list[uuid.UUID], msgspec.Meta(max_length=PAGE_LIMIT)]


class RecentRunsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /tailrace/recent_runs`: whose runs, flows' or deployments', and how many of
    the last ones of each."""

    flow_ids: _Ids | None = None
    deployment_ids: _Ids | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LAST_RUNS)] = 20

    def __post_init__(self) -> None:
        if (self.flow_ids is None) == (self.deployment_ids is None):
            raise ValueError("give either flow_ids or deployment_ids")


class RunInBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a row or a bar; times are UTC, durations seconds."""

    id: uuid.UUID
    name: str
    state_type: StateType | None
    state_name: str | None
    expected_start_time: dt.datetime | None
    next_scheduled_start_time: dt.datetime | None
    start_time: dt.datetime | None
    end_time: dt.datetime | None
    total_run_time: float
    estimated_run_time: float


class RecentRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The last runs of something that are no longer scheduled, newest first, and the one due first."""

    last: list[RunInBrief]
    next: RunInBrief | None
