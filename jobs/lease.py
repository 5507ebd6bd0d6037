"""The lease of one job: held by one process at a time, renewed while that process lives.

Its end is judged by two clocks: others take it over when the database says it has expired; we
stop when our own clock says that it is about to, counted from before we asked. So a process that
is cut off from the database has stopped before another begins.
"""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from storage.errors import StorageError
from storage.postgres import jobs as job_records
from storage.postgres.pool import Pool, connection

_log = structlog.get_logger("tailrace.jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """A dead holder is replaced after at most `lasts` + `ask_every`: 25 s.

    `safety` is how long before the end a holder that could not renew gives up: the time it has to
    cancel its pass.
    """

    lasts: dt.timedelta = dt.timedelta(seconds=20)
    renew_every: dt.timedelta = dt.timedelta(seconds=5)
    ask_every: dt.timedelta = dt.timedelta(seconds=5)
    safety: dt.timedelta = dt.timedelta(seconds=5)


@dataclass(slots=True)
class PassTimes:
    """When the holder's last pass began and when the next is due; told to others on renewal."""

    last: dt.datetime | None = None
    next: dt.datetime | None = None


def new_holder() -> str:
    """A name for this process that no other one has, now or later."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"


@contextlib.asynccontextmanager
async def try_lease(
    pool: Pool, name: str, holder: str, times: LeaseTimes, passes: PassTimes | None = None
) -> AsyncIterator[asyncio.Event | None]:
    """Hold the lease during the block and release it after. None when another process has it.

    The event is set when the lease is lost or about to be: the block must then stop its work
    within `times.safety`.

    Raises:
        StorageError: the lease could not be asked for.
    """
    asked = time.monotonic()
    async with connection(pool) as conn:
        acquired = await job_records.acquire_job_lease(conn, name, holder, times.lasts)
    if not acquired:
        yield None
        return
    lost = asyncio.Event()
    renewal = asyncio.create_task(
        _renew(pool, name, holder, times, asked, lost, passes or PassTimes()),
        name=f"lease-{name}",
    )
    try:
        yield lost
    finally:
        held = not lost.is_set()
        renewal.cancel()
        await asyncio.wait({renewal})
        if held:
            await _release(pool, name, holder)


async def _renew(
    pool: Pool,
    name: str,
    holder: str,
    times: LeaseTimes,
    asked: float,
    lost: asyncio.Event,
    passes: PassTimes,
) -> None:
    usable = (times.lasts - times.safety).total_seconds()
    pause = times.renew_every.total_seconds()
    try:
        while True:
            await asyncio.sleep(max(0.0, min(pause, asked + usable - time.monotonic())))
            asking = time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, asked + usable - asking)):
                    async with connection(pool) as conn:
                        held = await job_records.renew_job_lease(
                            conn, name, holder, times.lasts, passes.last, passes.next
                        )
            except (StorageError, TimeoutError) as error:
                if time.monotonic() >= asked + usable:
                    _log.warning("lease could not be renewed", job=name, error=str(error))
                    return
                await asyncio.sleep(min(1.0, pause))
                continue
            if not held:
                _log.warning("lease was taken over", job=name)
                return
            asked = asking
    finally:
        lost.set()


async def _release(pool: Pool, name: str, holder: str) -> None:
    try:
        async with asyncio.timeout(5), connection(pool) as conn:
            await job_records.release_job_lease(conn, name, holder)
    except (StorageError, TimeoutError) as error:
        _log.warning("lease was not released and will expire", job=name, error=str(error))
