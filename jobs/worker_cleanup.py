"""Clean-ups that a worker took and did not finish go to another one, or are given up."""

import datetime as dt

import structlog

from app.rules.worker_cleanup import MAX_DELIVERIES
from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report
from storage.postgres import worker_cleanup
from storage.postgres.pool import connection

BATCH = 1000
KEEP = dt.timedelta(days=7)

_log = structlog.get_logger("tailrace.worker_cleanup")


async def redeliver_cleanups(services: Services) -> Report:
    """Take back what ran out, wake workers for what waits, and forget what nobody took in a week."""
    now = utc_now()
    async with connection(services.pool) as conn:
        redelivered, dead = await worker_cleanup.expire_leases(
            conn, max_deliveries=MAX_DELIVERIES, at_most=BATCH, now=now
        )
        await worker_cleanup.wake_workers(conn)
        forgotten = await worker_cleanup.forget_old(conn, made_before=now - KEEP)
    for id in dead:
        _log.warning("clean-up given up", message_id=str(id), deliveries=MAX_DELIVERIES)
    report = {"redelivered": redelivered, "dead": len(dead), "forgotten": forgotten}
    return report if any(report.values()) else {}
