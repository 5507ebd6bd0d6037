"""API and jobs as processes of their own (`app.process`), that tests may stop, or kill outright."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal, Self

import msgspec

from app.process_config import READY, ProcessConfig
from app.services import ServicesConfig

ROOT = Path(__file__).parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 30.0


class ServerProcess:
    """One process of an installation under test. For the API, `url` ends in `/api`."""

    kind: Literal["api", "jobs"]

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}/api"

    @classmethod
    async def start(
        cls,
        config: ServicesConfig,
        *,
        port: int | None = None,
        auth_string: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start it, the API on `port` or a free one, and wait until it serves.

        Raises:
            RuntimeError: it ended instead.
        """
        port = port or free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.process",
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        started = cls(process, port)
        document = ProcessConfig(
            kind=cls.kind,
            database_url=config.database_url,
            s3=config.s3,
            database_pool_size=config.pool_size,
            hot_limit_bytes=config.hot_limit_bytes,
            event_retention_days=config.event_retention_days,
            log_retention_days=config.log_retention_days,
            late_after_seconds=config.late_after_seconds,
            cancelling_timeout_seconds=config.cancelling_timeout_seconds,
            recovery=config.recovery,
            archive=config.archive,
            log_cache=config.log_cache,
            scheduling=config.scheduling,
            settings=config.settings,
            host="127.0.0.1",
            port=port,
            api_auth_string=auth_string,
            encryption_key=config.encryption_key,
            log_level="warning",
            log_format="console",
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        process.stdin.write(msgspec.json.encode(document))
        process.stdin.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                said = await process.stdout.readline()
        except BaseException:
            await started.kill()
            raise
        if said != READY:
            await started.kill()
            raise RuntimeError(f"the {cls.kind} process ended with {process.returncode}")
        return started

    @classmethod
    @contextlib.asynccontextmanager
    async def run(
        cls, config: ServicesConfig, *, port: int | None = None, auth_string: str | None = None
    ) -> AsyncIterator[Self]:
        """`start` it, and stop it at the end of the block if it still runs."""
        process = await cls.start(config, port=port, auth_string=auth_string)
        try:
            yield process
        finally:
            await process.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def kill(self) -> None:
        """SIGKILL: it gets no chance to finish anything."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        # `communicate` also closes our ends of the pipes.
        await self._process.communicate()

    async def stop(self) -> int:
        """SIGTERM, and wait; gives the exit status.

        Raises:
            TimeoutError: it did not end in time and was killed.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.communicate()
        except TimeoutError:
            await self.kill()
            raise
        if self._process.returncode is None:
            raise RuntimeError("the process has no exit status although it has ended")
        return self._process.returncode


class ApiProcess(ServerProcess):
    """An API process."""

    kind = "api"


class JobsProcess(ServerProcess):
    """A process that runs all jobs."""

    kind = "jobs"


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
