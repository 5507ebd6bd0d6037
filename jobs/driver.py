"""The one loop that runs jobs.

Each job has a task here. The task asks for the job's lease; while it has it, it runs a pass when
the period is over or a nudge arrives, one at a time. So a job runs in one process at a time, and
when that process dies another one goes on within 30 s (`jobs.lease`).

Who wants to run a pass of a job elsewhere asks for its lease (`jobs.by_hand`): it is handed over
between two passes, and taken back when it is free again. So are passes run that somebody wished for by
the API (`jobs.wishes`).

A pass that raises is logged and recorded, and the loop goes on, more slowly while it keeps failing.
A pass is recorded when it did something, when it failed, and while it takes longer than a moment.
"""

import asyncio
import contextlib
import datetime as dt
import random
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.job import Job, Report
from jobs.lease import LeaseTimes, PassTimes, new_holder, try_lease
from jobs.registry import jobs_as_set
from jobs.wishes import serve_wishes
from storage.errors import Busy, Conflict, StorageError, Unavailable
from storage.postgres import jobs as job_records
from storage.postgres.jobs import JobRun
from storage.postgres.pool import connection

_log = structlog.get_logger("tailrace.jobs")

# The period is drawn anew each time within this share of it, so that jobs do not march in step.
JITTER = 0.1
# A job that keeps failing waits twice as long each time, up to its period or this, the larger.
LONGEST_BACK_OFF_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverTimes:
    """`stop_grace` is how long a pass may go on after a stop was asked for, before it is
    cancelled; `cancel_wait` how long a cancelled pass may take to end; a pass still running after
    `record_after` is recorded as running."""

    lease: LeaseTimes = field(default_factory=LeaseTimes)
    stop_grace: dt.timedelta = dt.timedelta(seconds=10)
    cancel_wait: dt.timedelta = dt.timedelta(seconds=5)
    record_after: dt.timedelta = dt.timedelta(seconds=1)


async def run_jobs(
    services: Services,
    stop: asyncio.Event,
    *,
    jobs: Sequence[Job] | None = None,
    times: DriverTimes | None = None,
) -> None:
    """Run `jobs`, or all there are, until `stop` is set; returns when their passes have ended and
    the leases are free.

    What passes raise is recorded; what this raises is a defect of the loop itself.
    """
    holder = new_holder()
    if jobs is None:
        every_minutes = services.archive.every_minutes if services.archive else None
        jobs = jobs_as_set(services.scheduling, every_minutes)
    loops = {
        job.name: _JobLoop(job, services, stop, holder, times or DriverTimes()) for job in jobs
    }
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(_hear_requests(services, loops), name="job-lease-requests")
        wishes = group.create_task(serve_wishes(services, jobs), name="job-wishes")
        running = [
            group.create_task(loop.run(), name=f"job-{loop.job.name}") for loop in loops.values()
        ]
        await asyncio.wait(running)
        asked.cancel()
        wishes.cancel()


async def _hear_requests(services: Services, loops: "Mapping[str, _JobLoop]") -> None:
    """Tell the loops that somebody asks for their lease. A request that is missed is made again."""
    async with services.listener.subscribe(job_records.LEASE_CHANNEL) as names:
        while True:
            name = await names.get()
            if name in loops:
                loops[name].asked.set()


class _JobLoop:
    """One job in this process."""

    def __init__(
        self, job: Job, services: Services, stop: asyncio.Event, holder: str, times: DriverTimes
    ) -> None:
        self.job = job
        self._services = services
        self._stop = stop
        self._holder = holder
        self._times = times
        self._failures = 0
        self._passes = PassTimes()
        # Somebody else asks for the lease.
        self.asked = asyncio.Event()

    async def run(self) -> None:
        """Lead whenever the lease can be had, until stopped."""
        ask_every = self._times.lease.ask_every.total_seconds()
        async with self._nudges() as nudges:
            while not self._stop.is_set():
                try:
                    async with try_lease(
                        self._services.pool,
                        self.job.name,
                        self._holder,
                        self._times.lease,
                        self._passes,
                    ) as lost:
                        if lost is not None:
                            await self._lead(nudges, lost)
                            if not self.asked.is_set():
                                continue
                except StorageError as error:
                    _log.warning("lease cannot be asked for", job=self.job.name, error=str(error))
                await _first_of(self._stop.wait(), within=ask_every)

    async def _lead(self, nudges: "asyncio.Queue[str | None] | None", lost: asyncio.Event) -> None:
        async with connection(self._services.pool) as conn:
            if await job_records.lose_job_runs(conn, self.job.name):
                _log.warning("took over from a holder that is gone", job=self.job.name)
        self.asked.clear()
        while True:
            begun = time.monotonic()
            self._passes.last, self._passes.next = utc_now(), None
            await self._pass(lost)
            pause = begun + self._next_pause() - time.monotonic()
            self._passes.next = utc_now() + dt.timedelta(seconds=pause)
            waits: list[Coroutine[None, None, object]] = [
                self._stop.wait(),
                lost.wait(),
                self.asked.wait(),
            ]
            # While a job fails, nudges must not make it fail more often.
            if nudges is not None and not self._failures:
                waits.append(nudges.get())
            await _first_of(*waits, within=pause)
            if self._stop.is_set() or lost.is_set() or self.asked.is_set():
                return
            while nudges is not None and not nudges.empty():
                nudges.get_nowait()

    def _next_pause(self) -> float:
        every = self.job.every.total_seconds()
        if self._failures:
            every = min(every * 2**self._failures, max(every, LONGEST_BACK_OFF_SECONDS))
        return every * random.uniform(1 - JITTER, 1 + JITTER)

    async def _pass(self, lost: asyncio.Event) -> None:
        """Run one pass to its end, or cancel it when the lease is lost, time is up or we stop."""
        run = JobRun(id=new_id(), name=self.job.name, holder=self._holder, started=utc_now())
        task = asyncio.ensure_future(self.job.run(self._services))
        ended = ""
        try:
            ended = await self._wait_for_pass(task, run, lost)
        finally:
            # Also when we are cancelled ourselves: nobody else owns the task.
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=self._times.cancel_wait.total_seconds())
        if not task.done():
            _log.error("pass does not end although cancelled", job=self.job.name)
        await self._record(run, task, ended)

    async def _wait_for_pass(
        self, task: "asyncio.Future[Report]", run: JobRun, lost: asyncio.Event
    ) -> str:
        """Why the pass must be cancelled; empty when it has ended by itself."""
        limit = self.job.time_limit.total_seconds()
        recorded_after = min(limit, self._times.record_after.total_seconds())
        waits = (_settled(task), lost.wait(), self._stop.wait())
        await _first_of(*waits, within=recorded_after)
        if not task.done() and not lost.is_set() and not self._stop.is_set():
            await self._write(run)
            waits = (_settled(task), lost.wait(), self._stop.wait())
            await _first_of(*waits, within=limit - recorded_after)
        if not task.done() and self._stop.is_set() and not lost.is_set():
            grace = self._times.stop_grace.total_seconds()
            await _first_of(_settled(task), lost.wait(), within=grace)
        if task.done():
            return ""
        if lost.is_set():
            return "cancelled: the lease was lost"
        if self._stop.is_set():
            return "cancelled: the process stops"
        return f"cancelled: it took longer than {limit:g} s"

    async def _record(self, run: JobRun, task: "asyncio.Future[Report]", ended: str) -> None:
        error = None if ended or not task.done() or task.cancelled() else task.exception()
        name = self.job.name
        if ended or not task.done() or task.cancelled():
            _log.warning("pass was cancelled", job=name, reason=ended)
            await self._write_end(run, error=ended or "cancelled")
        elif error is not None:
            self._failures += 1
            text = f"{type(error).__name__}: {error}"
            if isinstance(error, Busy | Conflict | Unavailable):
                _log.warning("pass failed", job=name, failures=self._failures, error=text)
            else:
                _log.error("pass failed", job=name, failures=self._failures, exc_info=error)
            await self._write_end(run, error=text)
        else:
            self._failures = 0
            report = task.result()
            if report:
                _log.info("pass done", job=name, **report)
            await self._write_end(run, report=report)

    async def _write_end(
        self, run: JobRun, *, report: Report | None = None, error: str | None = None
    ) -> None:
        finished = utc_now()
        if error is None and not report:
            if finished - run.started >= self._times.record_after:
                await self._forget(run)
            return
        await self._write(
            JobRun(
                id=run.id,
                name=run.name,
                holder=run.holder,
                started=run.started,
                finished=finished,
                outcome="done" if error is None else "failed",
                report=report,
                error=error[: job_records.MAX_ERROR_CHARACTERS] if error else None,
            )
        )

    async def _write(self, run: JobRun) -> None:
        try:
            async with connection(self._services.pool) as conn:
                await job_records.record_job_run(conn, run)
        except StorageError as error:
            _log.warning("pass was not recorded", job=run.name, error=str(error))

    async def _forget(self, run: JobRun) -> None:
        try:
            async with connection(self._services.pool) as conn:
                await job_records.forget_job_run(conn, run.id)
        except StorageError as error:
            _log.warning("record was not removed", job=run.name, error=str(error))

    @contextlib.asynccontextmanager
    async def _nudges(self) -> "AsyncIterator[asyncio.Queue[str | None] | None]":
        if self.job.nudged_by is None:
            yield None
            return
        async with self._services.listener.subscribe(self.job.nudged_by) as queue:
            yield queue


async def _settled(task: "asyncio.Future[Report]") -> None:
    """Wait until the task has ended, without cancelling it or taking its outcome."""
    await asyncio.wait({task})


async def _first_of(*waits: Coroutine[None, None, object], within: float) -> None:
    """Wait for the first of these or until the time is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=max(0.0, within), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
