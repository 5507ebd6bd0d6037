"""What the benchmark needs to know of a running server, whichever it is."""

import asyncio
import contextlib
import http.client
import os
import signal
import socket
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.driver import Target

OUT_DIR = Path(__file__).parent / "out"
STOP_SECONDS = 60.0


class CannotMeasure(Exception):
    """A server does not start, stop or do what the benchmark needs. Says where its log is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers. `root_pids` are the processes whose descendants it consists of."""

    name: str
    target: Target
    database_url: str
    root_pids: Sequence[int]
    start_seconds: float


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Settings of the servers, and one that makes every start compile all code anew.
_DROPPED = ("PREFECT_", "TAILRACE_", "PYTHONDONTWRITEBYTECODE")


def clean_environment(**extra: str) -> dict[str, str]:
    """Our environment without settings of either server, so that both run with their defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    return {**kept, **extra}


@contextlib.asynccontextmanager
async def running_command(
    argv: Sequence[str], *, log_file: Path, environment: Mapping[str, str], cwd: Path
) -> AsyncIterator[Process]:
    """The command until the block ends; then SIGTERM to it and SIGKILL to what is left of it."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )
    finally:
        os.close(log)
    try:
        yield process
    finally:
        if process.returncode is None:
            descendants = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            for left in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()


async def wait_until_healthy(
    process: Process, port: int, *, log_file: Path, seconds: float
) -> float:
    """Wait for `GET /api/health` to answer 200; the seconds that took.

    Raises:
        CannotMeasure: the process ended, or the time is up.
    """
    began = time.monotonic()
    while process.returncode is None and time.monotonic() - began < seconds:
        if await asyncio.to_thread(_is_healthy, port):
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    if process.returncode is not None:
        raise CannotMeasure(f"the server ended with {process.returncode}; see {log_file}")
    raise CannotMeasure(f"no answer on port {port} after {seconds} s; see {log_file}")


def made_directory(path: Path) -> Path:
    """The directory, made with all above it."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
