"""Runs are made ahead of their time, by the schedules of deployments.

A run is made once for each date of a schedule, known by its idempotency key, whoever makes it and
however often. Who changes a deployment takes back what waits (`storage.postgres.scheduled_runs`).
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog
from coolname import generate_slug

from app.rules.schedules import Horizon, Scheduling, dates_ahead
from app.wire.base import NIL_UUID, new_id
from app.wire.schedules import schedule_from
from storage.postgres.pool import Pool, connection, transaction
from storage.postgres.scheduled_runs import (
    ScheduledRun,
    WaitingSchedule,
    active_schedules,
    insert_scheduled_runs,
    schedules_running_low,
)

_log = structlog.get_logger("tailrace.scheduler")

# Schedules looked at together.
PAGE = 500
_TICK = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refilled:
    """How many runs were made for how many schedules, and how many schedules gave no dates because
    of an error."""

    runs: int = 0
    schedules: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the schedules of a page ask for."""

    runs: list[ScheduledRun]
    failed: int


async def refill_schedules(
    pool: Pool,
    scheduling: Scheduling,
    *,
    now: dt.datetime,
    changed_since: dt.datetime | None = None,
) -> Refilled:
    """Make the runs that the horizon asks for and that are not there yet. Of schedules changed since
    a time only, if it is given. A schedule in error is logged, and the others go on."""
    horizon = scheduling.horizon
    runs = schedules = failed = 0
    after = NIL_UUID
    while True:
        async with connection(pool) as conn:
            page = await schedules_running_low(
                conn,
                after=after,
                now=now,
                min_runs=horizon.min_runs,
                waiting_until=now + horizon.min_scheduled_time,
                max_runs=horizon.max_runs,
                changed_since=changed_since,
                at_most=PAGE,
            )
        if not page:
            return Refilled(runs=runs, schedules=schedules, failed=failed)
        after = page[-1].id
        # Of the calendar's arithmetic there may be seconds of work.
        asked = await asyncio.to_thread(_ask, page, horizon, now)
        runs += await _keep(pool, asked.runs, scheduling.batch, now=now)
        schedules += len({run.schedule.id for run in asked.runs})
        failed += asked.failed


async def schedule_deployment(
    pool: Pool,
    deployment_id: uuid.UUID,
    *,
    start: dt.datetime,
    end: dt.datetime,
    min_time: dt.timedelta,
    min_runs: int,
    max_runs: int,
    batch: int,
    now: dt.datetime,
) -> int:
    """Make the runs of one deployment between two times, which may lie in the past, `batch` of them
    in a transaction; how many were made.

    Raises:
        ValueError: the dates of a schedule cannot be found; no run of the deployment was made.
    """
    async with connection(pool) as conn:
        schedules = await active_schedules(conn, deployment_id)

    def ask() -> list[ScheduledRun]:
        return [
            _run_of(one, due)
            for one in schedules
            for due in dates_ahead(
                schedule_from(one.schedule),
                start=start,
                end=end,
                min_runs=min_runs,
                max_runs=max_runs,
                min_time=min_time,
            )
        ]

    return await _keep(pool, await asyncio.to_thread(ask), batch, now=now, asked_for=True)


def _ask(page: Sequence[WaitingSchedule], horizon: Horizon, now: dt.datetime) -> _Asked:
    """Dates from now on, or from the last run that waits on."""
    runs: list[ScheduledRun] = []
    failed = 0
    # Many deployments have the same schedule, and what waits of them ends at the same time.
    known: dict[tuple[bytes, dt.datetime, int], list[dt.datetime]] = {}
    for one in page:
        start = now if one.last is None else one.last + _TICK
        key = (msgspec.json.encode(one.schedule), start, one.runs)
        try:
            if key not in known:
                known[key] = dates_ahead(
                    schedule_from(one.schedule),
                    start=start,
                    end=now + horizon.max_scheduled_time,
                    min_runs=max(0, horizon.min_runs - one.runs),
                    max_runs=horizon.max_runs - one.runs,
                    min_time=now + horizon.min_scheduled_time - start,
                )
        except ValueError as error:
            failed += 1
            _log.warning(
                "a schedule gives no dates",
                deployment_id=str(one.deployment_id),
                schedule_id=str(one.id),
                error=str(error),
            )
            continue
        runs += [_run_of(one, due) for due in known[key]]
    return _Asked(runs=runs, failed=failed)


def _run_of(schedule: WaitingSchedule, due: dt.datetime) -> ScheduledRun:
    """`due` is in the schedule's own time zone, and so it stands in the key: a database that another
    server of the protocol has scheduled is not scheduled twice."""
    return ScheduledRun(
        id=new_id(),
        state_id=new_id(),
        name=generate_slug(2),
        schedule=schedule,
        due=due,
        idempotency_key=f"scheduled {schedule.deployment_id} {schedule.id} {due}",
    )


async def _keep(
    pool: Pool,
    runs: Sequence[ScheduledRun],
    batch: int,
    *,
    now: dt.datetime,
    asked_for: bool = False,
) -> int:
    """Who changes one of their deployments waits for a transaction."""
    kept = 0
    for first in range(0, len(runs), batch):
        async with transaction(pool) as conn:
            kept += await insert_scheduled_runs(
                conn, runs[first : first + batch], now=now, asked_for=asked_for
            )
    return kept
