"""Tailrace as its users run it: `tailrace up` on a data directory, everything embedded."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from bench.driver import Target
from bench.servers import (
    CannotMeasure,
    RunningServer,
    clean_environment,
    free_port,
    made_directory,
    running_command,
    wait_until_healthy,
)
from storage.embedded.data_directory import find_instance

ROOT = Path(__file__).parent.parent
START_SECONDS = 90.0
COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]


@contextlib.asynccontextmanager
async def running_tailrace(
    directory: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[RunningServer]:
    """`tailrace up` with its data below `directory`, until the block ends.

    `settings` are further `TAILRACE_…` variables.
    """
    await asyncio.to_thread(made_directory, directory)
    port = free_port()
    log_file = directory / "tailrace.log"
    async with running_command(
        [*COMMAND, "up", "--data-dir", str(directory), "--port", str(port)],
        log_file=log_file,
        environment=clean_environment(**(settings or {})),
        cwd=ROOT,
    ) as process:
        seconds = await wait_until_healthy(process, port, log_file=log_file, seconds=START_SECONDS)
        instance = await _find(directory, log_file)
        yield RunningServer(
            name="tailrace",
            target=Target(port=port),
            database_url=instance,
            root_pids=[process.pid],
            start_seconds=seconds,
        )


async def _find(directory: Path, log_file: Path) -> str:
    """The database of the instance, which is made known just after it answers."""
    for _ in range(200):
        instance = find_instance(directory)
        if instance is not None:
            return instance.database_url
        await asyncio.sleep(0.05)
    raise CannotMeasure(f"tailrace does not get ready; see {log_file}")
