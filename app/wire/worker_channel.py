"""Frames of the worker channel: the websocket between a worker and the server of its pool.

Every frame is `{type, id, sent_at, payload}` and has no other keys. A worker says hello, is told that
the server is ready and what its pool looks like, sends heartbeats, and hears of changes of the pool.
"""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import Json
from app.wire.work_pools import WorkPool
from app.wire.worker_cleanup import CleanupKind, NonEmpty

Version: TypeAlias = Literal["work_pool_worker_channel.v1"]
Capability: TypeAlias = Literal[
    "worker_heartbeat.v1", "work_pool_snapshot.v1", "cleanup_delivery.v1"
]
CloseReason: TypeAlias = Literal[
    "authentication_failed",
    "authorization_failed",
    "unsupported_version",
    "protocol_error",
    "heartbeat_persistence_failed",
    "transient_server_error",
]
SnapshotReason: TypeAlias = Literal["initial", "work_pool_updated", "heartbeat_reconciliation"]

VERSION: Version = "work_pool_worker_channel.v1"
CLEANUP_DELIVERY: Capability = "cleanup_delivery.v1"
# What a worker must ask for.
REQUIRED: tuple[Capability, ...] = ("worker_heartbeat.v1", "work_pool_snapshot.v1")

Seconds = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


# From workers --------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the worker is and what it wants. No queue names mean all queues of the pool. A template is
    for a pool that has none, or that is not there and is to be made."""

    consumer_id: uuid.UUID
    worker_name: NonEmpty
    worker_type: NonEmpty
    heartbeat_interval_seconds: Seconds
    supported_channel_versions: Annotated[list[NonEmpty], msgspec.Meta(min_length=1)]
    requested_capabilities: Annotated[list[NonEmpty], msgspec.Meta(min_length=1)]
    work_queue_names: list[NonEmpty] = []
    handled_cleanup_kinds: list[CleanupKind] = []
    max_cleanup_concurrency: Count | msgspec.UnsetType = msgspec.UNSET
    create_pool_if_not_found: bool = False
    default_base_job_template: Json = {}
    worker_metadata: Json | None = None

    def __post_init__(self) -> None:
        missing = [each for each in REQUIRED if each not in self.requested_capabilities]
        if missing:
            raise ValueError(f"`requested_capabilities` lacks {', '.join(missing)}")
        if CLEANUP_DELIVERY not in self.requested_capabilities and (
            self.handled_cleanup_kinds or self.max_cleanup_concurrency
        ):
            raise ValueError(f"cleanup needs {CLEANUP_DELIVERY} in `requested_capabilities`")

    @property
    def cleanup_concurrency(self) -> int:
        """How many clean-ups the worker takes at a time, 0 if it takes none."""
        if not self.handled_cleanup_kinds:
            return 0
        asked = self.max_cleanup_concurrency
        return 1 if asked is msgspec.UNSET else asked


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The worker that said hello is still there."""

    consumer_id: uuid.UUID
    worker_name: NonEmpty
    heartbeat_interval_seconds: Seconds


class HelloFrame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="worker.hello.v1",
):
    """The first frame of a worker."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Hello


class HeartbeatFrame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="worker.heartbeat.v1",
):
    """Sent in every interval."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Heartbeat


# To workers ----------------------------------------------------------------------------------------


class QueueName(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that the worker serves."""

    id: uuid.UUID
    name: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The pool as it is now. The sequence grows by one with each snapshot of a connection, from 1."""

    snapshot_sequence: int
    reason: SnapshotReason
    work_pool: WorkPool


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a hello."""

    consumer_id: uuid.UUID
    selected_channel_version: Version
    effective_heartbeat_interval_seconds: int
    accepted_capabilities: list[Capability]
    rejected_capabilities: list[str]
    effective_max_cleanup_concurrency: int
    resolved_work_queues: list[QueueName]
    initial_snapshot: Snapshot
    # The id is for servers that keep metadata of workers by it.
    worker_id: None = None


class ReadyFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="worker.ready.v1"
):
    """The first frame to a worker."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Ready


class SnapshotFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="work_pool.snapshot.v1"
):
    """The pool has changed."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Snapshot
