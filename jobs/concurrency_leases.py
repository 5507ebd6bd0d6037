"""Give back the slots of holders that stopped renewing their leases."""

from app.orchestration.concurrency import free_expired_leases
from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report
from storage.postgres.pool import transaction

# Leases per transaction: it locks all their limits, which nobody else can take slots of meanwhile.
BATCH = 100
MAX_BATCHES = 50


async def free_expired_concurrency_leases(services: Services) -> Report:
    """End the leases that have expired."""
    freed = 0
    for _ in range(MAX_BATCHES):
        async with transaction(services.pool) as conn:
            batch = await free_expired_leases(conn, at_most=BATCH, now=utc_now())
        freed += batch
        if batch < BATCH:
            break
    return {"leases": freed} if freed else {}
