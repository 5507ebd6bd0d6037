"""Work pools, their queues and workers on the wire. Intervals are seconds."""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT, Json, Name, in_utc
from app.wire.filters import (
    NonNegative,
    Operator,
    Positive,
    TimeFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from app.wire.runs import FlowRun
from app.wire.states import StateType

PoolStatus: TypeAlias = Literal["READY", "NOT_READY", "PAUSED"]
QueueStatus: TypeAlias = Literal["READY", "NOT_READY", "PAUSED"]
WorkerStatus: TypeAlias = Literal["ONLINE", "OFFLINE"]
Limit = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Priority = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]

# A pool of this type has no workers, and so no status.
AGENT_TYPE = "prefect-agent"
# Every pool has a queue of this name.
DEFAULT_QUEUE = "default"
# The pool of queues that are made without one, as old agents do.
DEFAULT_AGENT_POOL = "default-agent-pool"


class StorageConfiguration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the flows of a pool put their code and results."""

    bundle_upload_step: Json | None = None
    bundle_execution_step: Json | None = None
    default_result_storage_block_id: uuid.UUID | None = None


class WorkPoolCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /work_pools/`."""

    name: Name
    description: str | None = None
    type: str = AGENT_TYPE
    base_job_template: Json = {}
    is_paused: bool = False
    concurrency_limit: Limit | None = None
    storage_configuration: StorageConfiguration = StorageConfiguration()


class WorkPoolUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /work_pools/{name}`; what is absent stays as it is."""

    description: str | None | msgspec.UnsetType = msgspec.UNSET
    is_paused: bool | msgspec.UnsetType = msgspec.UNSET
    base_job_template: Json | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: Limit | None | msgspec.UnsetType = msgspec.UNSET
    storage_configuration: StorageConfiguration | msgspec.UnsetType = msgspec.UNSET


class WorkPool(msgspec.Struct, frozen=True, kw_only=True):
    """A work pool as it is answered. `active_slots` counts its PENDING and RUNNING runs."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    description: str | None
    type: str
    base_job_template: Json
    is_paused: bool
    concurrency_limit: int | None
    status: PoolStatus | None
    default_queue_id: uuid.UUID | None
    storage_configuration: StorageConfiguration
    active_slots: int | None = None


class QueueFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What old agents select runs by."""

    tags: list[str] | None = None
    deployment_ids: list[uuid.UUID] | None = None


class WorkQueueCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of the routes that make a queue. Without a priority it comes last."""

    name: Name
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: Limit | None = None
    priority: Priority | None = None
    filter: QueueFilter | None = None


class WorkQueueUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of the routes that change a queue; what is absent stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    is_paused: bool | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: Limit | None | msgspec.UnsetType = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET
    last_polled: dt.datetime | None | msgspec.UnsetType = msgspec.UNSET
    filter: QueueFilter | None | msgspec.UnsetType = msgspec.UNSET


class WorkQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A work queue as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    description: str | None
    is_paused: bool
    concurrency_limit: int | None
    priority: int
    work_pool_id: uuid.UUID | None
    filter: QueueFilter | None
    last_polled: dt.datetime | None
    work_pool_name: str | None
    status: QueueStatus | None
    active_slots: int | None = None


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    work_pool_id: uuid.UUID
    last_heartbeat_time: dt.datetime | None
    heartbeat_interval_seconds: int | None
    status: WorkerStatus


# Queries ----------------------------------------------------------------------


class WorkPoolSelection(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/count`."""

    work_pools: WorkPoolFilter | None = None


class WorkPoolQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/filter`."""

    work_pools: WorkPoolFilter | None = None
    limit: int = PAGE_LIMIT
    offset: NonNegative = 0


class WorkQueueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the routes that list queues."""

    work_queues: WorkQueueFilter | None = None
    limit: int = PAGE_LIMIT
    offset: NonNegative = 0


class WorkerStatusFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these, none of those."""

    any_: list[WorkerStatus] | None = None
    not_any_: list[WorkerStatus] | None = None


class WorkerFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which workers."""

    operator: Operator = "and_"
    last_heartbeat_time: TimeFilter | None = None
    status: WorkerStatusFilter | None = None


class WorkerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/{name}/workers/filter`."""

    workers: WorkerFilter | None = None
    limit: int = PAGE_LIMIT
    offset: NonNegative = 0


class WorkerHeartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/{name}/workers/heartbeat`."""

    name: str
    heartbeat_interval_seconds: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)] | None = None


# Concurrency ------------------------------------------------------------------


class PoolConcurrencyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/{name}/concurrency_status`: a page of queues, with at most
    `flow_run_limit` runs of each."""

    page: Positive = 1
    limit: int = PAGE_LIMIT
    flow_run_limit: Annotated[int, msgspec.Meta(ge=0, le=PAGE_LIMIT)] = 10


class QueueConcurrencyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_queues/{id}/concurrency_status`: a page of runs."""

    page: Positive = 1
    limit: int = PAGE_LIMIT


class SlotHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A run that takes up room. `time_in_current_state` is seconds."""

    id: uuid.UUID
    name: str
    state_type: StateType | None
    state_name: str | None
    start_time: dt.datetime | None
    state_timestamp: dt.datetime | None
    time_in_current_state: float | None


class QueueSlots(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in the answer of its pool, with some of the runs that take up room."""

    queue_id: uuid.UUID
    queue_name: str
    active_slots: int
    concurrency_limit: int | None
    flow_runs: list[SlotHolder]
    flow_run_count: int


class PoolConcurrencyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The room of a pool, and a page of its queues; `count` is how many there are."""

    active_slots: int
    concurrency_limit: int | None
    queues: list[QueueSlots]
    count: int
    limit: int
    pages: int
    page: int


class QueueConcurrencyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The room of a queue, and a page of the runs that take it up."""

    active_slots: int
    concurrency_limit: int | None
    flow_runs: list[SlotHolder]
    count: int
    limit: int
    pages: int
    page: int


class HealthCheckPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a queue counts as healthy."""

    maximum_late_runs: int | None = 0
    maximum_seconds_since_last_polled: int | None = 60


class QueueStatusDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /work_queues/{id}/status`."""

    healthy: bool
    late_runs_count: int
    last_polled: dt.datetime | None
    health_check_policy: HealthCheckPolicy


# Polling ----------------------------------------------------------------------


class PoolPoll(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_pools/{name}/get_scheduled_flow_runs`. No names mean all queues; no
    bound means all times."""

    work_queue_names: list[str] = []
    scheduled_before: dt.datetime | None = None
    scheduled_after: dt.datetime | None = None
    limit: int = PAGE_LIMIT

    def __post_init__(self) -> None:
        _put_bounds_in_utc(self)


class QueuePoll(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /work_queues/{id}/get_runs`."""

    scheduled_before: dt.datetime | None = None
    limit: int = PAGE_LIMIT

    def __post_init__(self) -> None:
        _put_bounds_in_utc(self)


class DeploymentPoll(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /deployments/get_scheduled_flow_runs`."""

    deployment_ids: list[uuid.UUID]
    scheduled_before: dt.datetime | None = None
    limit: int = PAGE_LIMIT

    def __post_init__(self) -> None:
        _put_bounds_in_utc(self)


class WorkerFlowRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is handed out to a worker."""

    work_pool_id: uuid.UUID
    work_queue_id: uuid.UUID
    flow_run: FlowRun


def _put_bounds_in_utc(poll: PoolPoll | QueuePoll | DeploymentPoll) -> None:
    for name in ("scheduled_before", "scheduled_after"):
        bound = getattr(poll, name, None)
        if bound is not None:
            msgspec.structs.force_setattr(poll, name, in_utc(bound))
