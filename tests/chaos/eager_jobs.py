"""A jobs process that works all the time: `python -m tests.chaos.eager_jobs offload|recovery`.

It is the real driver with the real jobs, but the lease of one that was killed ends within a second.
`offload`: whatever is hot is due at once. `recovery`: the jobs that find dead runs have a pass every
second. Its configuration is JSON on stdin; it writes `ready`.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from app.services import Services, ServicesConfig, open_services
from jobs.driver import DriverTimes, run_jobs
from jobs.job import Job, Report
from jobs.lease import LeaseTimes
from jobs.registry import ALL_JOBS
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


EAGER_OFFLOAD = Job(
    name="log-offload",
    description="Offload.",
    every=dt.timedelta(milliseconds=20),
    run=offload_everything,
)
RECOVERY = ("late-runs", "worker-liveness", "zombie-killer", "lazarus")
Which = Literal["offload", "recovery"]
JOBS: dict[str, Sequence[Job]] = {
    "offload": [EAGER_OFFLOAD],
    "recovery": [
        replace(job, every=dt.timedelta(seconds=1)) for job in ALL_JOBS if job.name in RECOVERY
    ],
}


@contextlib.asynccontextmanager
async def eager_jobs(
    config: ServicesConfig, which: Which = "offload"
) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Run this module as a process during the block; killed at the end."""
    process = await start_eager_jobs(config, which)
    try:
        yield process
    finally:
        await kill(process)


async def start_eager_jobs(
    config: ServicesConfig, which: Which = "offload"
) -> asyncio.subprocess.Process:
    """Start this module as a process and wait until it works."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        which,
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


async def _serve(which: str, config: ServicesConfig) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_services(config) as services:
        os.write(sys.stdout.fileno(), READY)
        # The pipe has no reader from now on.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        await run_jobs(services, stop, jobs=JOBS[which], times=TIMES)


if __name__ == "__main__":
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=ServicesConfig)
    asyncio.run(_serve(sys.argv[1], config))
