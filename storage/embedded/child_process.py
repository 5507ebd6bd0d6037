"""Start and stop one server as a child process."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from storage.embedded.errors import CannotStart

_LAUNCH = Path(__file__).with_name("launch.py")
# A log file larger than this is set aside as `.1` when its server starts.
LOG_LIMIT_BYTES = 16 * 1024**2
KILL_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """An account that a server runs as instead of root."""

    name: str
    uid: int
    gid: int


def launch_command(
    argv: Sequence[str], *, death_signal: signal.Signals, user: ServerUser | None = None
) -> list[str]:
    """The command that becomes `argv`, which gets `death_signal` when this process dies."""
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    numbers = (os.getpid(), int(death_signal), uid, gid)
    return [sys.executable, "-I", "-S", str(_LAUNCH), *map(str, numbers), "--", *argv]


class ChildProcess:
    """A running server. It gets `death_signal` from the kernel when this process dies."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, pid_file: Path) -> None:
        self.name = name
        self._process = process
        self._pid_file = pid_file

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        log_file: Path,
        pid_file: Path,
        cwd: Path,
        death_signal: signal.Signals,
        user: ServerUser | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> "ChildProcess":
        """Run `argv` with its output appended to `log_file`, both files readable by us alone."""
        log = _open_log(log_file)
        try:
            process = await asyncio.create_subprocess_exec(
                *launch_command(argv, death_signal=death_signal, user=user),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=dict(environment) if environment is not None else None,
                umask=0o077,
                # Ctrl+C in the terminal is for the supervisor, which stops servers in order.
                start_new_session=True,
            )
        finally:
            os.close(log)
        _write_pid(pid_file, process.pid)
        return cls(name, process, pid_file)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it exits, however long that takes."""
        return await self._process.wait()

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal in turn, giving it so many seconds to work; SIGKILL in the end."""
        for number, seconds in [*steps, (signal.SIGKILL, KILL_WAIT_SECONDS)]:
            if self._process.returncode is not None:
                break
            # Not `send_signal`, which polls the process and so takes its status from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._process.wait()
        self._pid_file.unlink(missing_ok=True)


async def end_leftover(pid_file: Path, directory: Path, signals: Sequence[signal.Signals]) -> None:
    """End the server that a killed instance left behind in `directory`.

    The caller holds the directory's lock, so nobody else can own that server. A process is taken
    for it only if its id is in `pid_file` and its command line names `directory`.

    Raises:
        CannotStart: it does not end.
    """
    process = _leftover(pid_file, directory)
    if process is None:
        return
    for number in [*signals, signal.SIGKILL]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        for _ in range(100):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
            await asyncio.sleep(0.1)
    raise CannotStart(f"process {process.pid} of an earlier start does not end; end it by hand")


def _leftover(pid_file: Path, directory: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        arguments = process.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process if any(str(directory) in argument for argument in arguments) else None


def _open_log(file: Path) -> int:
    if file.exists() and file.stat().st_size > LOG_LIMIT_BYTES:
        file.replace(file.with_name(f"{file.name}.1"))
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _write_pid(file: Path, pid: int) -> None:
    file.write_text(f"{pid}\n")


def last_lines(log_file: Path, count: int = 3) -> str:
    """The end of a server's log on one line, for an error message."""
    with contextlib.suppress(OSError):
        with log_file.open("rb") as file:
            file.seek(max(0, log_file.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-count:])
    return ""
