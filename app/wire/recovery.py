"""A run that may be dead, as it was read: what it promised, when it was heard, who runs it."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from app.wire.states import StateType


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsIn:
    """The work queue of a run and what stands around it. `polled` is when somebody last asked for its
    runs, `online_since` when the first of its pool's workers that are online was first seen. Paused:
    the queue, its pool or the run's deployment is. Full: there is no room for any run of theirs.
    `at_work`: the pool has runs that are PENDING or RUNNING."""

    queue: str
    pool: str
    polled: dt.datetime | None
    online_since: dt.datetime | None
    is_paused: bool
    is_full: bool
    at_work: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """`entered` is when the state was written, `last_heard` when anything came of the run's
    process, both by our clocks; `last_beat` and the two `gap`s before it by the client's. `worker_*`
    are None when no worker said that it submitted the run, or it is not known any more. `put_back`
    counts how often Lazarus has put it back."""

    id: uuid.UUID
    name: str
    state_id: uuid.UUID
    state_type: StateType
    state_name: str
    run_count: int
    tags: tuple[str, ...]
    labels: Mapping[str, object]
    retries: int | None
    retry_delay: float
    retry_type: str | None
    deployment_id: uuid.UUID | None
    deployment_tags: tuple[str, ...]
    deployment_labels: Mapping[str, object]
    work_queue_id: uuid.UUID | None
    deployment_queue: uuid.UUID | None
    deployment_polled: dt.datetime | None
    due: dt.datetime | None
    entered: dt.datetime
    last_heard: dt.datetime
    last_beat: dt.datetime | None
    gap: dt.timedelta | None
    earlier_gap: dt.timedelta | None
    worker_name: str | None
    worker_status: str | None
    worker_heard: dt.datetime | None
    infrastructure_pid: str | None
    put_back: int
    waits_in: WaitsIn | None
