"""The reference: a Prefect server as its users run it, on the PostgreSQL that Tailrace embeds.

It lives in `.venv-prefect`, an environment of its own, so that no dependency is shared. It runs
with its defaults, background services included; only its UI and its telemetry are off.
"""

import asyncio
import contextlib
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
from storage.embedded.data_directory import open_data_directory
from storage.embedded.postgres import open_postgres

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".venv-prefect"
# Its migrations run at the first start.
START_SECONDS = 180.0


def find_reference(environment: Path = ENVIRONMENT) -> Path:
    """The program `prefect` of the environment, which `make bench` makes.

    Raises:
        CannotMeasure: it is not there.
    """
    program = environment / "bin" / "prefect"
    if not program.exists():
        raise CannotMeasure(f"there is no {program}; `make bench` installs it")
    return program


@contextlib.asynccontextmanager
async def running_reference(
    program: Path, directory: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[RunningServer]:
    """A Prefect server with a database of its own below `directory`, until the block ends.

    `settings` are further `PREFECT_…` variables.
    """
    await asyncio.to_thread(made_directory, directory)
    port = free_port()
    log_file = directory / "prefect-server.log"
    with open_data_directory(directory) as data_directory:
        async with open_postgres(data_directory) as postgres:
            environment = clean_environment(
                PREFECT_HOME=str(directory / "prefect-home"),
                PREFECT_API_DATABASE_CONNECTION_URL=postgres.dsn.replace(
                    "postgresql://", "postgresql+asyncpg://"
                ),
                PREFECT_SERVER_ANALYTICS_ENABLED="false",
                DO_NOT_TRACK="1",
                **(settings or {}),
            )
            argv = [str(program), "server", "start", "--no-ui"]
            argv += ["--host", "127.0.0.1", "--port", str(port)]
            async with running_command(
                argv, log_file=log_file, environment=environment, cwd=directory
            ) as process:
                seconds = await wait_until_healthy(
                    process, port, log_file=log_file, seconds=START_SECONDS
                )
                # Its services begin once it is up; their start is not what is measured.
                await asyncio.sleep(3)
                yield RunningServer(
                    name="reference",
                    target=Target(port=port),
                    database_url=postgres.dsn,
                    root_pids=[process.pid, postgres.process.pid],
                    start_seconds=seconds,
                )
