"""`tailrace` as a user types it: real processes, a data directory and a port of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest

from tests.processes import free_port

ROOT = Path(__file__).parent.parent.parent
READY_SECONDS = 60.0
STOP_SECONDS = 60.0


def environment(**variables: str) -> dict[str, str]:
    """Ours without any setting, and with `variables`."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("TAILRACE_")}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def tailrace(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )


class Up:
    """`tailrace up` in a process group of its own, as a shell starts it."""

    def __init__(self, directory: Path, *arguments: str, port: int, **variables: str) -> None:
        self.port = port
        self.directory = directory
        self._output = directory.parent / f"{directory.name}-{port}.out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.cli", "up", *arguments],
                env=environment(
                    TAILRACE_DATA_DIR=str(directory),
                    TAILRACE_PORT=str(port),
                    TAILRACE_WORKERS="1",
                    **variables,
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Ends in `/api`."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._process.pid

    def output(self) -> str:
        """What it printed so far, on either stream."""
        return self._output.read_text("utf-8")

    def wait_until_ready(self) -> Self:
        """Until it prints its `ready` line."""
        deadline = time.monotonic() + READY_SECONDS
        while f"\nready: http://127.0.0.1:{self.port}\n" not in self.output():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)
        return self

    def wait_until_says(self, text: str, *, after: int = 0) -> None:
        """Until `text` is in its output, behind the first `after` characters."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.output()[after:]:
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def children(self) -> list[psutil.Process]:
        """All processes below it."""
        return psutil.Process(self.pid).children(recursive=True)

    def healthy(self) -> bool:
        """Whether the API answers."""
        return httpx.get(f"{self.url}/health", timeout=10).json() is True

    def interrupt(self) -> int:
        """Ctrl+C: SIGINT to the whole group. Gives the exit status."""
        os.killpg(self.pid, signal.SIGINT)
        return self._process.wait(STOP_SECONDS)

    def terminate(self) -> int:
        """SIGTERM to the supervisor alone. Gives the exit status."""
        self._process.terminate()
        return self._process.wait(STOP_SECONDS)

    def wait(self) -> int:
        """Until it ends by itself. Gives the exit status."""
        return self._process.wait(READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the supervisor alone."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Clean up after a test."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()


class Starter:
    """Starts instances and ends them after the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[Up] = []

    def up(self, *arguments: str, port: int | None = None, **variables: str) -> Up:
        """One more `tailrace up` on the test's data directory, not waited for."""
        one = Up(self.directory, *arguments, port=port or free_port(), **variables)
        self._started.append(one)
        return one

    def end(self) -> None:
        """End all that still run."""
        for one in self._started:
            one.end()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    """Instances of this test, on one data directory."""
    one = Starter(tmp_path / "data")
    try:
        yield one
    finally:
        one.end()


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether they end within some seconds."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    return not alive
