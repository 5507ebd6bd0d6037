"""The two servers, and sequences played to both at once."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bench.servers import clean_environment, free_port, running_command, wait_until_healthy
from tests.conftest import (
    EmbeddedServers,
    empty_database,
    installation,
    own_bucket,
    own_database,
)
from tests.differential.comparison import Difference, differences
from tests.differential.conversation import Conversation, Sequence
from tests.differential.routes import Routes
from tests.processes import ApiProcess

START_SECONDS = 90.0
# What would change rows behind the sequences' backs. The one that stores events stays.
_SERVICES = (
    "CANCELLATION_CLEANUP",
    "DB_VACUUM",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TASK_RUN_RECORDER",
    "TRIGGERS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of a sequence on the two servers. `broken` is how it ended before its end."""

    started: dt.datetime
    touched: frozenset[str]
    differences: tuple[Difference, ...]
    broken: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class BothServers:
    """The reference and Tailrace, both empty at first and told the same ever since."""

    reference: httpx.AsyncClient
    tailrace: httpx.AsyncClient
    routes: Routes
    shared_routes: set[str]
    _played: dict[str, Played] = field(default_factory=dict)

    async def play(self, name: str, sequence: Sequence) -> Played:
        """Play it to both, once a session."""
        if name not in self._played:
            self._played[name] = await self._play(sequence)
        return self._played[name]

    async def _play(self, sequence: Sequence) -> Played:
        started = dt.datetime.now(dt.UTC)
        now = started.replace(microsecond=0)
        theirs = Conversation(self.reference, now, self.routes, self.shared_routes)
        ours = Conversation(self.tailrace, now, self.routes, self.shared_routes)
        ended = await asyncio.gather(sequence(theirs), sequence(ours), return_exceptions=True)
        broken = [
            f"{side}: {error!r}"
            for side, error in zip(("theirs", "ours"), ended, strict=True)
            if error is not None
        ]
        if len(theirs.exchanges) != len(ours.exchanges):
            broken.append(f"{len(theirs.exchanges)} and {len(ours.exchanges)} requests")
        routes = [self.routes.of(asked.method, asked.path) for asked in theirs.exchanges]
        return Played(
            started=started,
            touched=frozenset(routes),
            differences=tuple(differences(theirs.exchanges, ours.exchanges, routes)),
            broken=tuple(broken),
        )


@contextlib.asynccontextmanager
async def _running_reference(python: Path, home: Path, database_url: str) -> AsyncIterator[str]:
    """A Prefect server that does nothing by itself but store events, on a PostgreSQL database of its own, for SQLite sorts
    and compares otherwise; gives the URL of its API."""
    port = free_port()
    log_file = home / "server.log"
    environment = clean_environment(
        PREFECT_HOME=str(home),
        PREFECT_API_DATABASE_CONNECTION_URL=database_url.replace(
            "postgresql://", "postgresql+asyncpg://"
        ),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _SERVICES},
    )
    argv = [str(python.with_name("prefect")), "server", "start", "--no-ui"]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    async with running_command(
        argv, log_file=log_file, environment=environment, cwd=home
    ) as process:
        await wait_until_healthy(process, port, log_file=log_file, seconds=START_SECONDS)
        yield f"http://127.0.0.1:{port}/api"


@pytest.fixture(scope="session")
async def both_servers(
    embedded_servers: EmbeddedServers,
    prefect_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[BothServers]:
    """Both, for all tests here."""
    async with contextlib.AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(own_database(embedded_servers))
        s3 = await stack.enter_async_context(own_bucket(embedded_servers.seaweedfs.s3))
        ours = await stack.enter_async_context(ApiProcess.run(installation(database_url, s3)))
        their_database = await stack.enter_async_context(empty_database(embedded_servers))
        theirs = await stack.enter_async_context(
            _running_reference(prefect_python, tmp_path_factory.mktemp("reference"), their_database)
        )
        # The reference closes a connection after an error.
        once = httpx.Limits(max_keepalive_connections=0)
        reference, tailrace = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=30, limits=once)
            )
            for url in (theirs, ours.url)
        ]
        routes = Routes((await reference.get("/openapi.json")).json())
        document = (await tailrace.get("/docs/openapi.json")).json()
        yield BothServers(
            reference=reference,
            tailrace=tailrace,
            routes=routes,
            shared_routes=routes.shared_with(document),
        )
