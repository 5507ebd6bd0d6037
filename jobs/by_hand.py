"""One pass of a job, here and now, at an operator's wish.

It runs under the job's lease like any other pass, so never beside one. A process that holds the
lease is asked to hand it over between two of its passes and takes it back afterwards; one that died
lets it expire.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.job import Job
from jobs.lease import LeaseTimes, new_holder, try_lease
from storage.postgres import jobs as job_records
from storage.postgres.jobs import JobRun
from storage.postgres.pool import connection

# Longer than a dead holder's lease lasts.
WAIT_SECONDS = 30.0
ASK_EVERY_SECONDS = 0.5
CANCEL_SECONDS = 5.0


class LeaseIsHeld(Exception):
    """Another process runs a pass and did not hand the lease over in time."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(f"{name} is being run by {holder}")
        self.holder = holder


async def run_job_now(
    services: Services,
    job: Job,
    *,
    waiting_for: Callable[[str], None],
    wait_seconds: float = WAIT_SECONDS,
) -> JobRun:
    """Run one pass and record it, whatever it did. `waiting_for` is told who holds the lease, once.

    Raises:
        LeaseIsHeld: for `wait_seconds`, by another process; nothing was run.
        StorageError: the lease could not be asked for, or the pass could not be recorded.
    """
    times = LeaseTimes()
    holder = new_holder()
    async with _lease(services, job, holder, times, waiting_for, wait_seconds) as lost:
        started = utc_now()
        run_id = new_id()
        task = asyncio.ensure_future((job.run_by_hand or job.run)(services))
        losing = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait(
                (task, losing),
                timeout=job.time_limit.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            losing.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=CANCEL_SECONDS)
        error = None
        if lost.is_set() and not task.done():
            error = "cancelled: the lease was lost"
        elif not task.done() or task.cancelled():
            error = f"cancelled: it took longer than {job.time_limit.total_seconds():g} s"
        elif (raised := task.exception()) is not None:
            error = f"{type(raised).__name__}: {raised}"
        run = JobRun(
            id=run_id,
            name=job.name,
            holder=holder,
            started=started,
            finished=utc_now(),
            outcome="done" if error is None else "failed",
            report=task.result() if error is None else None,
            error=error[: job_records.MAX_ERROR_CHARACTERS] if error else None,
        )
        async with connection(services.pool) as conn:
            await job_records.record_job_run(conn, run)
    return run


@contextlib.asynccontextmanager
async def _lease(
    services: Services,
    job: Job,
    holder: str,
    times: LeaseTimes,
    waiting_for: Callable[[str], None],
    wait_seconds: float,
) -> AsyncIterator[asyncio.Event]:
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        async with try_lease(services.pool, job.name, holder, times) as lost:
            if lost is not None:
                yield lost
                return
        async with connection(services.pool) as conn:
            lease = (await job_records.job_leases(conn)).get(job.name)
            await job_records.ask_for_job_lease(conn, job.name)
        if lease is not None and not told:
            waiting_for(lease.holder)
            told = True
        if time.monotonic() > deadline:
            raise LeaseIsHeld(job.name, lease.holder if lease else "another process")
        await asyncio.sleep(ASK_EVERY_SECONDS)
