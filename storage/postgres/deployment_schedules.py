"""Schedules of deployments. Who changes one holds the lock of its deployment."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import msgspec

from app.wire.base import new_id
from app.wire.deployments import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_SELECT = statement("select_deployment_schedules")
_INSERT = statement("insert_deployment_schedules")
_UPDATE = statement("update_deployment_schedule")
_CLEAR_SLUGS = statement("clear_deployment_schedule_slugs")
_DELETE = statement("delete_deployment_schedule")
_DELETE_ALL = statement("delete_deployment_schedules")


def _schedule_of(row: asyncpg.Record) -> DeploymentSchedule:
    return DeploymentSchedule(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        deployment_id=row["deployment_id"],
        schedule=row["schedule"],
        active=row["active"],
        max_scheduled_runs=row["max_scheduled_runs"],
        parameters=row["parameters"],
        slug=row["slug"],
    )


async def select_schedules(conn: Conn, deployment_id: uuid.UUID) -> list[DeploymentSchedule]:
    """The deployment's schedules, the newest change first."""
    return [_schedule_of(row) for row in await conn.fetch(_SELECT, deployment_id)]


async def insert_schedules(
    conn: Conn,
    deployment_id: uuid.UUID,
    creates: Sequence[DeploymentScheduleCreate],
    *,
    now: dt.datetime,
) -> list[DeploymentSchedule]:
    """Keep new schedules. Raises Conflict for a slug that the deployment has already."""
    schedules = [
        DeploymentSchedule(
            id=new_id(),
            created=now,
            updated=now,
            deployment_id=deployment_id,
            schedule=create.schedule,
            active=create.active,
            max_scheduled_runs=create.max_scheduled_runs,
            parameters=create.parameters,
            slug=create.slug,
        )
        for create in creates
    ]
    if schedules:
        await conn.execute(
            _INSERT,
            deployment_id,
            now,
            [each.id for each in schedules],
            [each.schedule for each in schedules],
            [each.active for each in schedules],
            [each.max_scheduled_runs for each in schedules],
            [each.parameters for each in schedules],
            [each.slug for each in schedules],
        )
    return schedules


async def update_schedule(
    conn: Conn,
    deployment_id: uuid.UUID,
    schedule_id: uuid.UUID,
    update: DeploymentScheduleUpdate,
    *,
    now: dt.datetime,
) -> bool:
    """Change what `update` says and is not null; false if there is no such schedule. Raises
    Conflict for a slug that the deployment has already."""

    def said(value: object) -> object:
        return None if value is msgspec.UNSET else value

    row = await conn.fetchrow(
        _UPDATE,
        deployment_id,
        schedule_id,
        now,
        said(update.schedule),
        said(update.active),
        said(update.max_scheduled_runs),
        said(update.parameters),
        said(update.slug),
    )
    return row is not None


async def clear_slugs(conn: Conn, deployment_id: uuid.UUID, ids: Sequence[uuid.UUID]) -> None:
    """Take the slugs away, so that they can be given to one another."""
    await conn.execute(_CLEAR_SLUGS, deployment_id, ids)


async def delete_schedule(conn: Conn, deployment_id: uuid.UUID, schedule_id: uuid.UUID) -> bool:
    """False if there is no such schedule."""
    return await conn.fetchrow(_DELETE, deployment_id, schedule_id) is not None


async def delete_schedules(conn: Conn, deployment_id: uuid.UUID) -> None:
    """Delete all of the deployment's."""
    await conn.execute(_DELETE_ALL, deployment_id)
