"""Real parts for every test: one PostgreSQL and one SeaweedFS per session, started by us.

Each test that asks for it gets a database of its own (cloned from a migrated template) and a
bucket of its own, so no test can see another's rows or objects. Fixtures build on one another:

    database_url, s3_config ─▶ services_config ─┬▶ services        in this process
      └▶ pool    └▶ objects                     ├▶ app ─▶ client   ASGI, no socket
                                                ├▶ server          an API process
                                                └▶ jobs_process    a jobs process
"""

import asyncio
import contextlib
import functools
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aioboto3
import asyncpg
import botocore.session
import httpx
import pytest
from botocore.loaders import create_loader
from litestar import Litestar

from app.services import Services, ServicesConfig, open_services
from storage.embedded.data_directory import open_data_directory
from storage.embedded.postgres import EmbeddedPostgres, open_postgres
from storage.embedded.seaweedfs import EmbeddedSeaweedFS, open_seaweedfs
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import S3Config
from storage.postgres.migrate import migrate
from storage.postgres.pool import Pool, open_pool
from tests.processes import ROOT, ApiProcess, JobsProcess

TEMPLATE = "template_migrated"
# Files, or what their paths begin with, that take half a minute or more; the longest first.
LONG = (
    "chaos/test_compaction_faults",
    "differential/",
    "storage/test_query_plans",
    "chaos/",
    "tutorial/",
    "ui/",
)
_ENDED_APPS: list[Litestar] = []
PREFECT_PYTHON = Path(
    os.environ.get("TAILRACE_TEST_PREFECT_PYTHON", ROOT / ".venv-prefect/bin/python")
)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Temporary files in a directory of this session's own.

    pytest's common one has its permissions reset by every session that starts, which would shut
    out the PostgreSQL of one that runs, for as root that one runs as another user.
    """
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="tailrace-tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first (their order is random otherwise): one that began last would
    have one worker busy alone at the end."""
    root = ROOT / "tests"

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(root).as_posix()
        return next((n for n, begin in enumerate(LONG) if path.startswith(begin)), len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def settings_of_the_developer() -> Iterator[None]:
    """Hide them: TAILRACE_* variables must not reach the program under test. The few that are for
    tests (TAILRACE_TEST_*) are read when the tests are imported."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TAILRACE_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def description_of_s3() -> Iterator[None]:
    """Read once: each session of botocore would read it anew, which takes 0.2 s of CPU, and a test has
    three or four of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServers:
    """The two servers of this test session."""

    postgres: EmbeddedPostgres
    seaweedfs: EmbeddedSeaweedFS

    def dsn_of(self, database: str) -> str:
        """How to reach one database of the session's PostgreSQL."""
        return urlunsplit(urlsplit(self.postgres.dsn)._replace(path=f"/{database}"))

    async def execute(self, *statements: str) -> None:
        """Run statements, each by itself, as the administrator."""
        conn = await asyncpg.connect(self.dsn_of("postgres"))
        try:
            for text in statements:
                await conn.execute(text)
        finally:
            await conn.close()


@pytest.fixture(scope="session")
async def embedded_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[EmbeddedServers]:
    """PostgreSQL and SeaweedFS below one data directory, with the migrated template in place."""
    path: Path = tmp_path_factory.mktemp("embedded")
    with open_data_directory(path) as directory:
        async with open_postgres(directory) as postgres, open_seaweedfs(directory) as seaweedfs:
            servers = EmbeddedServers(postgres=postgres, seaweedfs=seaweedfs)
            # Nobody pulls the plug of the machine here; processes die, and that needs neither.
            await servers.execute(
                "ALTER SYSTEM SET fsync = off",
                "ALTER SYSTEM SET full_page_writes = off",
                "SELECT pg_reload_conf()",
                f"CREATE DATABASE {TEMPLATE}",
            )
            await migrate(servers.dsn_of(TEMPLATE))
            yield servers
            # Asked to stop it would take ten seconds and more, for data that nobody reads again.
            await seaweedfs.process.stop([])


@contextlib.asynccontextmanager
async def empty_database(servers: EmbeddedServers) -> AsyncIterator[str]:
    """A new database in which nothing has been migrated yet, dropped at the end."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    await servers.execute(f"CREATE DATABASE {name}")
    yield servers.dsn_of(name)
    await servers.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_database_url(embedded_servers: EmbeddedServers) -> AsyncIterator[str]:
    """A database in which nothing has been migrated yet."""
    async with empty_database(embedded_servers) as url:
        yield url


@contextlib.asynccontextmanager
async def own_database(servers: EmbeddedServers) -> AsyncIterator[str]:
    """A new, up-to-date database, dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    # Without fsync it is cheaper to copy files than to write every page to the WAL, as is the default.
    await servers.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield servers.dsn_of(name)
    await servers.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(embedded_servers: EmbeddedServers) -> AsyncIterator[str]:
    """An up-to-date database without rows."""
    async with own_database(embedded_servers) as url:
        yield url


@contextlib.asynccontextmanager
async def own_bucket(server: S3Config) -> AsyncIterator[S3Config]:
    """A new bucket on `server`, deleted with its objects at the end."""
    config = replace(server, bucket=f"test-{uuid.uuid4().hex[:12]}")
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=config.endpoint_url,
        region_name=config.region,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key,
    ) as client:
        await client.create_bucket(Bucket=config.bucket)
    yield config
    async with S3ObjectStore.open(config) as objects:
        await objects.delete_many(list(await objects.list_objects("")))


@pytest.fixture
async def s3_config(embedded_servers: EmbeddedServers) -> AsyncIterator[S3Config]:
    """An empty bucket on the session's SeaweedFS."""
    async with own_bucket(embedded_servers.seaweedfs.s3) as config:
        yield config


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to this test's database."""
    pool = await open_pool(database_url, max_size=8)
    yield pool
    await pool.close()


@pytest.fixture
async def objects(s3_config: S3Config) -> AsyncIterator[S3ObjectStore]:
    """This test's bucket."""
    async with S3ObjectStore.open(s3_config) as store:
        yield store


def installation(database_url: str, s3: S3Config) -> ServicesConfig:
    """The configuration of an installation over this database and bucket."""
    return ServicesConfig(
        database_url=database_url, s3=s3, pool_size=8, encryption_key="the key of the tests"
    )


@pytest.fixture
def services_config(database_url: str, s3_config: S3Config) -> ServicesConfig:
    """What a process of this test's installation is given."""
    return installation(database_url, s3_config)


@pytest.fixture
async def services(services_config: ServicesConfig) -> AsyncIterator[Services]:
    """The services of one process, opened in this one."""
    async with open_services(services_config) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running_lifespan(app: Litestar) -> AsyncIterator[None]:
    """The lifespan of `app` in a task of its own: it must end in the task it began in, and a
    fixture's two halves run in two."""
    started = asyncio.Event()
    stop = asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(live())
    starting = asyncio.create_task(started.wait())
    await asyncio.wait((task, starting), return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            task.result()
        yield
    finally:
        starting.cancel()
        stop.set()
        await task


@contextlib.asynccontextmanager
async def started_app(config: ServicesConfig) -> AsyncIterator[Litestar]:
    """The ASGI application, started, in this process.

    To register its routes takes most of a second of CPU, so one that has ended is started again over
    another installation: all that it keeps of one is in the services that its lifespan opens.
    """
    # Here, so that tests of the stores run without the edge.
    from app.server import create_app

    app = _ENDED_APPS.pop() if _ENDED_APPS else create_app(config)
    app.state.services_config = config
    async with running_lifespan(app):
        yield app
    del app.state.services
    _ENDED_APPS.append(app)


def client_of(app: Litestar) -> httpx.AsyncClient:
    """Requests to an application without a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # pyrefly: ignore
    return httpx.AsyncClient(transport=transport, base_url="http://testserver/api")


@pytest.fixture
async def app(services_config: ServicesConfig) -> AsyncIterator[Litestar]:
    """The ASGI application, started. Its services are `app.state.services`."""
    async with started_app(services_config) as started:
        yield started


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to `app` without a socket: `await client.get("/health")`."""
    async with client_of(app) as opened:
        yield opened


@pytest.fixture(scope="session")
async def shared_app(embedded_servers: EmbeddedServers) -> AsyncIterator[Litestar]:
    """One application for all tests that look at nothing but what they made themselves; it starts
    once, where `app` starts for each test."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        started_app(installation(database_url, s3)) as started,
    ):
        yield started


@pytest.fixture(scope="session")
async def shared_client(shared_app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to `shared_app`."""
    async with client_of(shared_app) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_services(shared_app: Litestar) -> Services:
    """What `shared_app` works with."""
    services: Services = shared_app.state.services
    return services


@pytest.fixture
async def server(services_config: ServicesConfig) -> AsyncIterator[ApiProcess]:
    """An API process on a free loopback port, answering; `server.url` ends in `/api`."""
    async with ApiProcess.run(services_config) as process:
        yield process


@pytest.fixture
async def jobs_process(services_config: ServicesConfig) -> AsyncIterator[JobsProcess]:
    """A process that runs the jobs of this test's installation."""
    async with JobsProcess.run(services_config) as process:
        yield process


@pytest.fixture(scope="session")
def prefect_python() -> Path:
    """The interpreter of the environment that has `prefect`; `make test` makes it."""
    if not PREFECT_PYTHON.exists():
        pytest.fail(
            f"{PREFECT_PYTHON} is missing: `make test` makes it; or set TAILRACE_TEST_PREFECT_PYTHON"
        )
    return PREFECT_PYTHON


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait for a condition: `await eventually(lambda: f(), within=5)`; fails after `within` s."""

    async def wait(condition: Callable[[], Awaitable[bool]], *, within: float = 10.0) -> None:
        deadline = time.monotonic() + within
        while not await condition():
            if time.monotonic() > deadline:
                pytest.fail(f"did not become true within {within:g} s")
            await asyncio.sleep(0.05)

    return wait
