"""An API or jobs process of ours, seen from the process that starts it."""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Literal

import msgspec

from app.process_config import READY, ProcessConfig
from app.settings import PREFIX
from storage.embedded.child_process import launch_command
from storage.embedded.errors import CannotStart
from storage.logs.memory import ALLOCATION

# What each kind loads while it waits to be configured.
_CODE = {"api": "app.server", "jobs": "jobs.driver"}
READY_SECONDS = 60.0
# Longer than the graceful limits of uvicorn and of the jobs.
STOP_SECONDS = 20.0


class ServerProcess:
    """One API or jobs process of ours, which may be started again and again."""

    def __init__(self, name: str, kind: Literal["api", "jobs"]) -> None:
        self.name = name
        self.kind: Literal["api", "jobs"] = kind
        self._document: bytes | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. It loads its code, then waits for `configure`, which a second start needs not."""
        # -P: an `app` in the working directory is not ours.
        command = [sys.executable, "-P", "-m", "app.process", _CODE[self.kind]]
        self._process = await asyncio.create_subprocess_exec(
            *launch_command(command, death_signal=signal.SIGKILL),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=process_environment(),
            # Ctrl+C in the terminal is for this process, which stops the others in order.
            start_new_session=True,
        )
        if self._document is not None:
            await self._send(self._process, self._document)

    async def configure(self, config: ProcessConfig) -> None:
        """Tell it what to serve; `wait_until_ready` says when it does."""
        assert self._process is not None
        self._document = msgspec.json.encode(config)
        await self._send(self._process, self._document)

    async def _send(self, process: asyncio.subprocess.Process, document: bytes) -> None:
        assert process.stdin is not None
        # One that has ended already is noticed by whoever waits for it.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(document)
            await process.stdin.drain()
        process.stdin.close()

    async def wait_until_ready(self) -> None:
        """Raise `CannotStart` if it ends instead of serving, or takes too long."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise CannotStart(
                f"process {self.name} does not serve after {READY_SECONDS:g} s; its log is above"
            ) from error
        if line != READY:
            raise CannotStart(f"process {self.name} ended while starting; its log is above")

    async def wait(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that takes too long."""
        if self._process is None:
            return
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            if self._process.returncode is not None:
                return
            # Not `send_signal`, which polls the process and so takes its status from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._process.wait()


def process_environment() -> dict[str, str]:
    """Ours without our settings, which reach a process on its stdin alone. What it says of allocators
    holds."""
    ours = {key: text for key, text in os.environ.items() if not key.startswith(PREFIX)}
    return {**ALLOCATION, **ours}
