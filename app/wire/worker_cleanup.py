"""Clean-ups that workers are asked for over their channel: what is asked, and how they answer."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import Json

CleanupKind: TypeAlias = Literal["cancelling_timeout_teardown.v1", "pending_claim_teardown.v1"]
Operation: TypeAlias = Literal["ack", "release", "renew"]
OperationStatus: TypeAlias = Literal[
    "accepted",
    "not_current",
    "not_found",
    "expired",
    "invalid_token",
    "unauthorized",
    "dead_lettered",
    "error",
]

NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A clean-up that one worker is asked for, until the lease expires. Whoever knows the token may
    say what became of it."""

    message_id: uuid.UUID
    kind: CleanupKind
    reservation_token: str
    lease_expires_at: dt.datetime
    delivery_count: int
    work_queue_id: uuid.UUID | None
    target: Json
    data: Json = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A message that is not dead; without a token nobody has it."""

    work_pool_id: uuid.UUID
    reservation_token: str | None
    lease_expires_at: dt.datetime | None
    delivery_count: int


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which reservation a worker speaks of."""

    message_id: uuid.UUID
    reservation_token: NonEmpty


class ReleaseClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which reservation a worker gives up, and why."""

    message_id: uuid.UUID
    reservation_token: NonEmpty
    reason: NonEmpty


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the server made of a worker's answer. A reason says why it was not accepted."""

    request_frame_id: uuid.UUID
    message_id: uuid.UUID
    operation: Operation
    status: OperationStatus
    lease_expires_at: dt.datetime | None = None
    reason: str | None = None
    detail: str | None = None


# Frames --------------------------------------------------------------------------------------------


class AckFrame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="cleanup.ack.v1",
):
    """The worker has done it."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Claim


class ReleaseFrame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="cleanup.release.v1",
):
    """The worker cannot do it."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: ReleaseClaim


class RenewFrame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="cleanup.renew.v1",
):
    """The worker needs more time."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Claim


class MessageFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cleanup.message.v1"
):
    """The worker is asked for a clean-up."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: Reservation


class ResultFrame(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cleanup.operation_result.v1"
):
    """The answer to an ack, a release or a renewal."""

    id: uuid.UUID
    sent_at: dt.datetime
    payload: OperationResult
