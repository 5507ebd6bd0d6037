"""A jobs process that offloads all the time: `python -m tests.chaos.eager_jobs`.

It is the real driver with the real offload, but whatever is hot is due at once, and the lease of
one that was killed ends within a second. Its configuration is JSON on stdin; it writes `ready`.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
from collections.abc import AsyncIterator

import msgspec

from app.services import Services, ServicesConfig, open_services
from jobs.driver import DriverTimes, run_jobs
from jobs.job import Job, Report
from jobs.lease import LeaseTimes
from storage.logs.offload import offload_pass
from tests.processes import ROOT

READY = b"ready\n"
TIMES = DriverTimes(
    lease=LeaseTimes(
        lasts=dt.timedelta(seconds=1),
        renew_every=dt.timedelta(seconds=0.25),
        ask_every=dt.timedelta(seconds=0.1),
        safety=dt.timedelta(seconds=0.3),
    )
)


async def offload_everything(services: Services) -> Report:
    """One segment of whatever is hot."""
    done = await offload_pass(services.pool, services.objects, force=True)
    return {"rows": done.rows} if done.rows else {}


EAGER_OFFLOAD = Job(name="log-offload", every=dt.timedelta(milliseconds=20), run=offload_everything)


@contextlib.asynccontextmanager
async def eager_jobs(config: ServicesConfig) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Run this module as a process during the block; killed at the end."""
    process = await start_eager_jobs(config)
    try:
        yield process
    finally:
        await kill(process)


async def start_eager_jobs(config: ServicesConfig) -> asyncio.subprocess.Process:
    """Start this module as a process and wait until it works."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(config))
    process.stdin.close()
    async with asyncio.timeout(30):
        said = await process.stdout.readline()
    assert said == READY, process.returncode
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.communicate()


async def _serve(config: ServicesConfig) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_services(config) as services:
        os.write(sys.stdout.fileno(), READY)
        # The pipe has no reader from now on.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        await run_jobs(services, stop, jobs=[EAGER_OFFLOAD], times=TIMES)


if __name__ == "__main__":
    asyncio.run(_serve(msgspec.json.decode(sys.stdin.buffer.read(), type=ServicesConfig)))
