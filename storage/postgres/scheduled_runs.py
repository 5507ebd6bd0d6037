"""Runs that schedules made ahead of their time: kept many at once, taken back, asked for."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from app.wire.base import Json
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

# The scheduler passes early when something is said here.
CHANNEL = "schedules_changed"

_LOCK_DEPLOYMENT = statement("lock_deployment_against_scheduling")
_DELETE_WAITING_RUNS = statement("delete_waiting_runs")
_RUNNING_LOW = statement("select_schedules_running_low")
_OF_DEPLOYMENT = statement("select_schedules_of_deployment")
_SHARE_DEPLOYMENTS = statement("share_deployments_for_scheduling")
_INSERT = statement("insert_scheduled_runs")
_NUDGE = "SELECT pg_notify($1, '')"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingSchedule:
    """A schedule as it was at `updated`, how many of its runs wait (counted up to what was asked
    for) and when the last of them is due."""

    id: uuid.UUID
    updated: dt.datetime
    deployment_id: uuid.UUID
    schedule: Json
    runs: int
    last: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRun:
    """A run that a schedule asks for; the rest of it is the deployment's."""

    id: uuid.UUID
    state_id: uuid.UUID
    name: str
    schedule: WaitingSchedule
    due: dt.datetime
    idempotency_key: str


def _schedule_of(row: asyncpg.Record) -> WaitingSchedule:
    return WaitingSchedule(
        id=row["id"],
        updated=row["updated"],
        deployment_id=row["deployment_id"],
        schedule=row["schedule"],
        runs=row["runs"],
        last=row["last"],
    )


async def schedules_running_low(
    conn: Conn,
    *,
    after: uuid.UUID,
    now: dt.datetime,
    min_runs: int,
    waiting_until: dt.datetime,
    max_runs: int,
    changed_since: dt.datetime | None,
    at_most: int,
) -> list[WaitingSchedule]:
    """Active schedules of deployments that are not paused, with an id beyond `after`, that have
    fewer than `min_runs` runs waiting or none due at `waiting_until` or later, unless `max_runs`
    wait. Those changed since a time only, if it is given."""
    rows = await conn.fetch(
        _RUNNING_LOW, after, now, min_runs, waiting_until, max_runs, changed_since, at_most
    )
    return [_schedule_of(row) for row in rows]


async def active_schedules(conn: Conn, deployment_id: uuid.UUID) -> list[WaitingSchedule]:
    """All of a deployment, without what waits already."""
    return [_schedule_of(row) for row in await conn.fetch(_OF_DEPLOYMENT, deployment_id)]


async def insert_scheduled_runs(
    conn: Conn, runs: Sequence[ScheduledRun], *, now: dt.datetime, asked_for: bool = False
) -> int:
    """Keep the runs that are not there yet, with their first states; how many those were. A
    schedule that was changed, switched off or deleted since it was read, and a deployment that is
    paused or gone, get none. Runs that somebody `asked_for` are made of a paused one too, and do not
    count as those that the scheduler goes on from.

    Must be called in a transaction, which locks the deployments against being changed."""
    deployments = {run.schedule.deployment_id for run in runs}
    await conn.execute(_SHARE_DEPLOYMENTS, list(deployments))
    kept: int = await conn.fetchval(
        _INSERT,
        [run.id for run in runs],
        [run.state_id for run in runs],
        [run.name for run in runs],
        [run.schedule.id for run in runs],
        [run.schedule.updated for run in runs],
        [run.due for run in runs],
        [run.idempotency_key for run in runs],
        now,
        asked_for,
    )
    return kept


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
