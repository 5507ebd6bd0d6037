"""API and jobs as processes of their own (`tests.serve`), that tests may stop, or kill outright."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Self

import httpx
import msgspec

from app.services import ServicesConfig

ROOT = Path(__file__).parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 20.0


class ServerProcess:
    """One process of an installation under test."""

    role = ""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def _spawn(
        cls, config: ServicesConfig, *, environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.serve",
            cls.role,
            cwd=ROOT,
            env={
                **os.environ,
                "TAILRACE_TEST_CONFIG": msgspec.json.encode(config).decode(),
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
        )

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
        await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and wait; killed when it does not end in time. Gives the exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise

    async def wait(self) -> int:
        """Wait until it ends by itself; gives the exit status."""
        async with asyncio.timeout(START_SECONDS):
            return await self._process.wait()


class ApiProcess(ServerProcess):
    """An API process. `url` ends in `/api`."""

    role = "api"

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        super().__init__(process)
        self.port = port
        self.url = f"http://127.0.0.1:{port}/api"

    @classmethod
    async def start(cls, config: ServicesConfig, *, port: int | None = None) -> Self:
        """Start it on `port`, or a free one, and wait until it answers."""
        port = port or free_port()
        process = await cls._spawn(config, environment={"TAILRACE_TEST_PORT": str(port)})
        started = cls(process, port)
        try:
            async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
                while process.returncode is None:
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get(f"{started.url}/health")).status_code == 200:
                            return started
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await started.kill()
            raise
        raise RuntimeError(f"the API process ended with {process.returncode}")

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, config: ServicesConfig, *, port: int | None = None) -> AsyncIterator[Self]:
        """`start` it, and stop it at the end of the block if it still runs."""
        process = await cls.start(config, port=port)
        try:
            yield process
        finally:
            await process.stop()


class JobsProcess(ServerProcess):
    """A process that runs all jobs."""

    role = "jobs"

    @classmethod
    async def start(cls, config: ServicesConfig) -> Self:
        """Start it; it takes up its work by itself."""
        return cls(await cls._spawn(config, environment={}))

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, config: ServicesConfig) -> AsyncIterator[Self]:
        """`start` it, and stop it at the end of the block if it still runs."""
        process = await cls.start(config)
        try:
            yield process
        finally:
            await process.stop()


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
