"""Work pools, their queues and workers on the wire. Intervals are seconds."""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import Json, Name

PoolStatus: TypeAlias = Literal["READY", "NOT_READY", "PAUSED"]
QueueStatus: TypeAlias = Literal["READY", "NOT_READY", "PAUSED"]
WorkerStatus: TypeAlias = Literal["ONLINE", "OFFLINE"]
Limit = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Priority = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]

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
    type: str = "prefect-agent"
    base_job_template: Json = {}
    is_paused: bool = False
    concurrency_limit: Limit | None = None
    storage_configuration: StorageConfiguration = StorageConfiguration()


class WorkPoolUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /work_pools/{name}`; what is absent stays as it is."""

    description: str | None | msgspec.UnsetType = msgspec.UNSET
    is_paused: bool | None | msgspec.UnsetType = msgspec.UNSET
    base_job_template: Json | None | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: Limit | None | msgspec.UnsetType = msgspec.UNSET
    storage_configuration: StorageConfiguration | None | msgspec.UnsetType = msgspec.UNSET


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

    name: str | None | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    is_paused: bool | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: Limit | None | msgspec.UnsetType = msgspec.UNSET
    priority: Priority | None | msgspec.UnsetType = msgspec.UNSET
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
