"""One process that answers one statement (`storage.sql.child`), seen from the one that asks."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import storage
from storage.embedded.child_process import launch_command
from storage.logs.memory import ALLOCATION
from storage.sql.messages import HEADER, Kind

# A frame that is longer was not made by our code.
MAX_FRAME_BYTES = 16 * 1024**2
# How often its memory is looked at: so long it may take more than it is given.
WATCH_SECONDS = 0.05
_ROOT = str(Path(storage.__file__).parent.parent)


class ProcessEnded(Exception):
    """It ended, or was ended, before it said all that it had to say."""


class SqlProcess:
    """It inherits a socket and standard error, and nothing else: no variables but those of allocators, no
    descriptors. It is killed by the kernel when this process dies."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.took_too_much_memory = False

    @classmethod
    async def start(cls) -> "SqlProcess":
        """Start it; it takes a quarter of a second to be ready to be asked, which may be done before."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # -P: a `storage` in the working directory is not ours.
                command = [sys.executable, "-P", "-m", "storage.sql.child"]
                process = await asyncio.create_subprocess_exec(
                    *launch_command(command, death_signal=signal.SIGKILL),
                    stdin=theirs.fileno(),
                    stdout=asyncio.subprocess.DEVNULL,
                    env={"PYTHONPATH": _ROOT, **ALLOCATION},
                    start_new_session=True,
                )
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def send(self, kind: Kind, *parts: bytes) -> None:
        """Send one frame, and wait while the process does not take it.

        Raises:
            ProcessEnded: nobody takes it.
        """
        try:
            # One after the other, without giving way; together they would be copied.
            self._writer.write(HEADER.pack(kind, sum(map(len, parts))))
            for part in parts:
                self._writer.write(part)
            await self._writer.drain()
        except ConnectionError as error:
            raise ProcessEnded from error

    async def receive(self) -> tuple[Kind, bytes]:
        """The next frame.

        Raises:
            ProcessEnded: there will be none, or it is none.
        """
        try:
            kind, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            if length > MAX_FRAME_BYTES:
                raise ProcessEnded
            return Kind(kind), await self._reader.readexactly(length)
        except (EOFError, ConnectionError, ValueError) as error:
            raise ProcessEnded from error

    async def watch(self, *, memory_bytes: int, seconds: float) -> None:
        """Wait for its end; bring it about when it holds more memory or takes longer than this."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._process.wait()
            if _resident_bytes(self.pid) > memory_bytes:
                self.took_too_much_memory = True
                self.kill()
            if asyncio.get_running_loop().time() > deadline:
                self.kill()

    def kill(self) -> None:
        """End it now, whatever it does. `watch` waits for it."""
        if self._process.returncode is None:
            # Not `Process.kill`, which polls the process and so takes its status from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it if it lives, and wait until it is gone."""
        self.kill()
        self._writer.close()
        await self._process.wait()


def _resident_bytes(pid: int) -> int:
    """Memory that a process holds; 0 where the kernel does not say so, or when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return 0
    return int(fields[1]) * resource.getpagesize() if len(fields) > 1 else 0
