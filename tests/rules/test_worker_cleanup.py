"""Who may say what of a clean-up."""

import datetime as dt
import uuid

import pytest

from app.rules.worker_cleanup import MAX_DELIVERIES, Effect, judge
from app.wire.worker_cleanup import Held, Operation, OperationStatus

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
POOL, OTHER_POOL = uuid.UUID(int=1), uuid.UUID(int=2)


def held(
    *, pool: uuid.UUID = POOL, token: str | None = "t", left: float = 1.0, count: int = 1
) -> Held:
    """A message with so many seconds left of its lease."""
    expires = NOW + dt.timedelta(seconds=left) if token is not None else None
    return Held(
        work_pool_id=pool, reservation_token=token, lease_expires_at=expires, delivery_count=count
    )


@pytest.mark.parametrize(
    ("message", "operation", "status", "effect"),
    [
        (held(), "ack", "accepted", "delete"),
        (held(), "release", "accepted", "free"),
        (held(), "renew", "accepted", "renew"),
        (held(count=MAX_DELIVERIES), "ack", "accepted", "delete"),
        (held(count=MAX_DELIVERIES), "renew", "accepted", "renew"),
        (held(count=MAX_DELIVERIES), "release", "dead_lettered", "bury"),
        (held(left=0), "ack", "expired", "free"),
        (held(left=0), "renew", "expired", "free"),
        (held(left=0, count=MAX_DELIVERIES), "ack", "dead_lettered", "bury"),
        (held(token="other"), "ack", "invalid_token", "none"),
        (held(token="other", left=0), "ack", "invalid_token", "none"),
        (held(token=None), "ack", "not_current", "none"),
        (held(pool=OTHER_POOL), "ack", "unauthorized", "none"),
        (None, "ack", "not_found", "none"),
    ],
)
def test_an_operation_has_its_outcome(
    message: Held | None, operation: Operation, status: OperationStatus, effect: Effect
) -> None:
    verdict = judge(operation, message, work_pool_id=POOL, token="t", now=NOW)
    assert (verdict.status, verdict.effect) == (status, effect)
    # Workers refuse a result that was not accepted and gives no reason.
    assert (verdict.reason is None) == (status == "accepted")
