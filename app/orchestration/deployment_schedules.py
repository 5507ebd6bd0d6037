"""Schedules are added, changed and deleted by themselves. The runs that wait for a schedule go with
the change, and the scheduler makes them anew."""

import datetime as dt
import uuid
from collections.abc import Sequence

from app.wire.deployments import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from storage.errors import NotFound
from storage.postgres import deployment_schedules
from storage.postgres.deployments import lock_deployment
from storage.postgres.pool import Conn, Pool, transaction
from storage.postgres.scheduled_runs import delete_waiting_runs, nudge_scheduler


async def create_schedules(
    pool: Pool, id: uuid.UUID, creates: Sequence[DeploymentScheduleCreate], *, now: dt.datetime
) -> list[DeploymentSchedule]:
    """Add schedules.

    Raises:
        NotFound: there is no such deployment.
        Conflict: two schedules have the same slug.
    """
    async with transaction(pool) as conn:
        await _lock(conn, id)
        made = await deployment_schedules.insert_schedules(conn, id, creates, now=now)
        await nudge_scheduler(conn)
        return made


async def update_schedule(
    pool: Pool,
    id: uuid.UUID,
    schedule_id: uuid.UUID,
    update: DeploymentScheduleUpdate,
    *,
    now: dt.datetime,
) -> None:
    """Change a schedule. Raises as `create_schedules` does, and NotFound for the schedule too."""
    async with transaction(pool) as conn:
        await _lock(conn, id)
        await delete_waiting_runs(conn, deployment_id=id, schedule_id=schedule_id)
        if not await deployment_schedules.update_schedule(conn, id, schedule_id, update, now=now):
            raise NotFound("Schedule not found.")
        await nudge_scheduler(conn)


async def delete_schedule(pool: Pool, id: uuid.UUID, schedule_id: uuid.UUID) -> None:
    """Delete a schedule and what it made that nobody started, late runs too. Raises NotFound."""
    async with transaction(pool) as conn:
        await _lock(conn, id)
        await delete_waiting_runs(
            conn, deployment_id=id, schedule_id=schedule_id, future_only=False
        )
        if not await deployment_schedules.delete_schedule(conn, id, schedule_id):
            raise NotFound("Schedule not found.")


async def _lock(conn: Conn, id: uuid.UUID) -> None:
    if await lock_deployment(conn, id=id) is None:
        raise NotFound("Deployment not found.")
