"""Who may say what of a clean-up that a worker was asked for."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.wire.worker_cleanup import Held, Operation, OperationStatus

# A worker renews its lease while it is busy.
LEASE = dt.timedelta(seconds=30)
# How often a message is delivered before it is given up.
MAX_DELIVERIES = 3

Effect: TypeAlias = Literal["none", "delete", "renew", "free", "bury"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the worker is told, and what becomes of the message."""

    status: OperationStatus
    reason: str | None = None
    effect: Effect = "none"


def judge(
    operation: Operation,
    held: Held | None,
    *,
    work_pool_id: uuid.UUID,
    token: str,
    now: dt.datetime,
) -> Verdict:
    """What comes of an operation by a worker of this pool."""
    if held is None:
        return Verdict(status="not_found", reason="message_not_found")
    if held.work_pool_id != work_pool_id:
        return Verdict(status="unauthorized", reason="work_pool_mismatch")
    if held.reservation_token is None or held.lease_expires_at is None:
        return Verdict(status="not_current", reason="no_active_reservation")
    if held.reservation_token != token:
        return Verdict(status="invalid_token", reason="reservation_token_mismatch")
    expired = held.lease_expires_at <= now
    if held.delivery_count >= MAX_DELIVERIES and (expired or operation == "release"):
        return Verdict(
            status="dead_lettered", reason="max_delivery_attempts_reached", effect="bury"
        )
    if expired:
        return Verdict(status="expired", reason="lease_expired", effect="free")
    if operation == "ack":
        return Verdict(status="accepted", effect="delete")
    if operation == "release":
        return Verdict(status="accepted", effect="free")
    return Verdict(status="accepted", effect="renew")
