"""Runs that schedules made ahead of their time: kept many at once, taken back, asked for."""

import uuid

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

# The scheduler passes early when something is said here.
CHANNEL = "schedules_changed"

_LOCK_DEPLOYMENT = statement("lock_deployment_against_scheduling")
_DELETE_WAITING_RUNS = statement("delete_waiting_runs")
_NUDGE = "SELECT pg_notify($1, '')"


async def delete_waiting_runs(
    conn: Conn,
    *,
    deployment_id: uuid.UUID,
    schedule_id: uuid.UUID | None = None,
    future_only: bool = True,
    auto_scheduled_only: bool = True,
) -> int:
    """Take back the runs of a deployment, or of one of its schedules, that wait and never started;
    how many there were.

    Call it in the transaction that changes the deployment or the schedule, before or after: until
    that transaction ends the scheduler makes no run of the deployment. Without `future_only` it
    takes back late runs too, without `auto_scheduled_only` what people scheduled.
    """
    await conn.execute(_LOCK_DEPLOYMENT, deployment_id)
    deleted: int = await conn.fetchval(
        _DELETE_WAITING_RUNS, deployment_id, schedule_id, future_only, auto_scheduled_only
    )
    return deleted


async def nudge_scheduler(conn: Conn) -> None:
    """Have changed schedules looked at as soon as the transaction is committed."""
    await conn.execute(_NUDGE, CHANNEL)
