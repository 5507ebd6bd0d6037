"""Passes that somebody wished for by the API: taken by one jobs process, done once, and answered.

A pass runs as `jobs.by_hand` runs it, under the job's lease and never beside another; a dry run changes
nothing and needs none. While a wish is being done it is kept alive, so that who asked learns when this
process dies.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence

import structlog

from app.services import Services
from jobs.by_hand import LeaseIsHeld, run_job_now
from jobs.job import Job, Report
from jobs.lease import new_holder
from storage.errors import StorageError
from storage.postgres import job_wishes
from storage.postgres.job_wishes import PublishedJob, TakenWish
from storage.postgres.jobs import MAX_ERROR_CHARACTERS
from storage.postgres.pool import connection

_log = structlog.get_logger("tailrace.jobs")

# Of one process; what is wished besides waits for another process, or in vain.
WISHES_AT_ONCE = 4
# A wish whose notification was missed is found by then.
LOOK_EVERY_SECONDS = 2.0
ALIVE = dt.timedelta(seconds=20)
KEEP_ALIVE_SECONDS = 5.0
# To say that we stop.
LAST_WORD_SECONDS = 2.0
# Of what a dry run says.
MAX_LINES = 1000


async def serve_wishes(services: Services, jobs: Sequence[Job]) -> None:
    """Say which jobs there are, then do what is wished, until cancelled."""
    by_name = {job.name: job for job in jobs}
    holder = new_holder()
    slots = asyncio.Semaphore(WISHES_AT_ONCE)
    async with (
        services.listener.subscribe(job_wishes.WISH_CHANNEL) as wished,
        asyncio.TaskGroup() as group,
    ):
        await _publish(services, jobs)
        while True:
            await slots.acquire()
            wish = None
            try:
                async with connection(services.pool) as conn:
                    wish = await job_wishes.take_job_wish(conn, holder, list(by_name), ALIVE)
            except StorageError as error:
                _log.warning("wishes cannot be looked for", error=str(error))
            if wish is not None:
                doing = group.create_task(
                    _do(services, by_name[wish.name], wish), name=f"wish-{wish.name}"
                )
                doing.add_done_callback(lambda _: slots.release())
                continue
            slots.release()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_SECONDS):
                    await wished.get()


async def _publish(services: Services, jobs: Sequence[Job]) -> None:
    published = [
        PublishedJob(
            name=job.name,
            description=job.description,
            every_seconds=job.every.total_seconds(),
            has_dry_run=job.preview is not None,
        )
        for job in jobs
    ]
    while True:
        try:
            async with connection(services.pool) as conn:
                await job_wishes.publish_jobs(conn, published)
        except StorageError as error:
            _log.warning("jobs were not published", error=str(error))
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        else:
            return


async def _do(services: Services, job: Job, wish: TakenWish) -> None:
    _log.info("wish taken", job=job.name, dry_run=wish.dry_run)
    try:
        async with _kept_alive(services, wish):
            if wish.dry_run:
                lines, error = await _preview(services, job)
                await _finish(services, wish, lines=lines, error=error)
            else:
                report, error = await _run(services, job)
                await _finish(services, wish, report=report, error=error)
    except asyncio.CancelledError:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await _finish(services, wish, error="cancelled: the process stops")
        raise


async def _preview(services: Services, job: Job) -> tuple[list[str] | None, str | None]:
    if job.preview is None:
        return None, f"{job.name} has no dry run"
    try:
        async with asyncio.timeout(job.time_limit.total_seconds()):
            lines = list(await job.preview(services))
    except Exception as error:
        # Whatever a job raises is its own failure, not that of who asks.
        _log.warning("dry run failed", job=job.name, exc_info=error)
        return None, _text(error)
    more = len(lines) - MAX_LINES
    return ([*lines[:MAX_LINES], f"and {more:,} more"] if more > 0 else lines), None


async def _run(services: Services, job: Job) -> tuple[Report | None, str | None]:
    def waiting_for(holder: str) -> None:
        _log.debug("asking for the lease", job=job.name, holder=holder)

    try:
        run = await run_job_now(services, job, waiting_for=waiting_for)
    except LeaseIsHeld as error:
        return None, f"{error} and was not handed over; try again later"
    except StorageError as error:
        return None, _text(error)
    return run.report, run.error


async def _finish(
    services: Services,
    wish: TakenWish,
    *,
    report: Mapping[str, int | float | str | bool | None] | None = None,
    lines: Sequence[str] | None = None,
    error: str | None = None,
) -> None:
    try:
        async with connection(services.pool) as conn:
            await job_wishes.finish_job_wish(conn, wish.id, report=report, lines=lines, error=error)
    except StorageError as failure:
        # It counts as lost when nobody keeps it any more.
        _log.warning("wish was not answered", job=wish.name, error=str(failure))


@contextlib.asynccontextmanager
async def _kept_alive(services: Services, wish: TakenWish) -> AsyncIterator[None]:
    async def keep() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            try:
                async with connection(services.pool) as conn:
                    await job_wishes.keep_job_wish(conn, wish.id, ALIVE)
            except StorageError as error:
                _log.warning("wish was not kept alive", job=wish.name, error=str(error))

    keeping = asyncio.create_task(keep(), name=f"keep-wish-{wish.name}")
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]
