"""Start everything in order, keep it running, stop it in reverse.

    port ─▶ data directory ─▶ PostgreSQL, SeaweedFS ─▶ migrations ─▶ API and jobs ─▶ "ready: …"

Whatever fails before `ready` is `CannotStart` with one line for the operator, and what was started
by then is stopped. Whatever dies afterwards is started again.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Literal, TypeVar

import click
import httpx
import structlog

from app.listening import api_url, reserve_port
from app.process_config import ProcessConfig
from app.server_process import ServerProcess
from app.settings import LoadedSettings, Settings, variable
from app.stores import (
    Stores,
    check_stores,
    configured_archive,
    find_stores,
    migrate_database,
    open_stores,
)
from storage.embedded.data_directory import Instance, open_data_directory
from storage.embedded.errors import CannotStart
from storage.embedded.postgres import EmbeddedPostgres
from storage.embedded.seaweedfs import EmbeddedSeaweedFS

# A dead process is started again after this, doubled each time up to the maximum.
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 15.0
# One that ran this long counts as healthy: the back-off starts over.
HEALTHY_SECONDS = 30.0

_T = TypeVar("_T")
_log = structlog.get_logger("tailrace.supervisor")


async def run_all(loaded: LoadedSettings, *, insecure: bool) -> None:
    """`tailrace up`: everything on this machine, until SIGINT or SIGTERM.

    Raises:
        CannotStart: nothing is left running.
    """
    settings = loaded.values
    async with _until_stopped() as stop, contextlib.AsyncExitStack() as stack:
        stack.enter_context(reserve_port(settings, insecure=insecure))
        directory = stack.enter_context(open_data_directory(settings.data_dir))
        _say("starting PostgreSQL and SeaweedFS" if not settings.database_url else "starting")
        stores_stack = await stack.enter_async_context(contextlib.AsyncExitStack())
        # They load their code while the stores start, and stop before the stores do.
        processes = await stack.enter_async_context(_processes(settings, ["api", "jobs"]))
        stores = await _unless(stop, open_stores(settings, directory, stores_stack))
        if stores is None:
            return
        await check_stores(stores)
        await migrate_database(stores.database_url)
        await _configure(processes, loaded, stores)
        if await _unless(stop, _wait_until_ready(settings, processes)) is None:
            return
        directory.write_instance(
            Instance(
                pid=os.getpid(),
                api_url=api_url(settings),
                database_url=stores.database_url,
                s3=stores.s3,
                api_auth_string=_secret(settings),
                encryption_key=stores.encryption_key,
            )
        )
        _welcome(settings, stores)
        await _keep_running([*processes, *_embedded(stores)], stop)
        _say("stopping")
    _say("stopped")


async def run_some(loaded: LoadedSettings, kind: Literal["api", "jobs"], *, insecure: bool) -> None:
    """`tailrace api` or `tailrace jobs` over stores that run elsewhere, until SIGINT or SIGTERM.

    Raises:
        CannotStart: a store cannot be reached, or the port is taken.
    """
    settings = loaded.values
    async with _until_stopped() as stop, contextlib.AsyncExitStack() as stack:
        if kind == "api":
            stack.enter_context(reserve_port(settings, insecure=insecure))
        stores = find_stores(settings)
        await check_stores(stores)
        processes = await stack.enter_async_context(_processes(settings, [kind]))
        await _configure(processes, loaded, stores)
        if await _unless(stop, _wait_until_ready(settings, processes)) is None:
            return
        _say(f"ready: {api_url(settings).removesuffix('/api')}" if kind == "api" else "ready: jobs")
        await _keep_running(processes, stop)


class _EmbeddedServer:
    """PostgreSQL or SeaweedFS, seen as something to keep running."""

    def __init__(self, name: str, server: EmbeddedPostgres | EmbeddedSeaweedFS) -> None:
        self.name = name
        self._server = server

    async def start(self) -> None:
        await self._server.start()

    async def wait_until_ready(self) -> None:
        """`start` has waited already."""

    async def wait(self) -> int:
        return await self._server.process.wait()


async def _keep_running(
    parts: "Sequence[ServerProcess | _EmbeddedServer]", stop: asyncio.Event
) -> None:
    """Start what dies again, with back-off, until `stop`."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_keep_one(part), name=part.name) for part in parts]
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _keep_one(part: "ServerProcess | _EmbeddedServer") -> None:
    backoff = BACKOFF_SECONDS
    while True:
        started = time.monotonic()
        status = await part.wait()
        if time.monotonic() - started > HEALTHY_SECONDS:
            backoff = BACKOFF_SECONDS
        while True:
            _log.error(
                "process died, starting it again", name=part.name, status=status, seconds=backoff
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            try:
                await part.start()
                await part.wait_until_ready()
            except CannotStart as error:
                _log.error("process does not start", name=part.name, error=str(error))
                continue
            _log.info("process runs again", name=part.name)
            break


@contextlib.asynccontextmanager
async def _processes(
    settings: Settings, kinds: list[Literal["api", "jobs"]]
) -> AsyncIterator[list[ServerProcess]]:
    """Processes that have been started and wait to be configured."""
    processes: list[ServerProcess] = []
    for kind in kinds:
        count = settings.workers if kind == "api" else 1
        names = [f"{kind}-{number}" for number in range(1, count + 1)] if count > 1 else [kind]
        processes += [ServerProcess(name, kind) for name in names]
    try:
        for process in processes:
            await process.start()
        yield processes
    finally:
        await asyncio.gather(*(process.stop() for process in processes))


async def _configure(
    processes: list[ServerProcess], loaded: LoadedSettings, stores: Stores
) -> None:
    settings = loaded.values
    for process in processes:
        await process.configure(
            ProcessConfig(
                kind=process.kind,
                database_url=stores.database_url,
                s3=stores.s3,
                database_pool_size=settings.database_pool_size,
                hot_limit_bytes=settings.hot_limit_bytes,
                event_retention_days=settings.event_retention_days,
                log_retention_days=settings.log_retention_days,
                sql_seconds=settings.sql_seconds,
                sql_memory_bytes=settings.sql_memory_bytes,
                late_after_seconds=settings.late_after_seconds,
                cancelling_timeout_seconds=settings.cancelling_timeout_seconds,
                recovery=settings.recovery,
                scheduling=settings.scheduling,
                archive=configured_archive(settings, stores),
                log_cache=settings.log_cache,
                encryption_key=stores.encryption_key,
                host=settings.host,
                port=settings.port,
                api_auth_string=_secret(settings),
                log_level=settings.log_level,
                log_format=settings.log_format,
                settings=loaded.told(),
            )
        )


async def _wait_until_ready(settings: Settings, processes: list[ServerProcess]) -> bool:
    await asyncio.gather(*(process.wait_until_ready() for process in processes))
    if any(process.kind == "api" for process in processes):
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            try:
                answer = await client.get(f"{api_url(settings)}/health")
            except httpx.TransportError as error:
                raise CannotStart(
                    f"the API does not answer: {error or type(error).__name__}"
                ) from error
        if answer.status_code != 200:
            raise CannotStart(f"the API is not healthy: it answers {answer.status_code}")
    return True


@contextlib.asynccontextmanager
async def _until_stopped() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or the end of the terminal sets."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        # Until here: a second Ctrl+C must not cut the stop short.
        for number in numbers:
            loop.remove_signal_handler(number)


async def _unless(stop: asyncio.Event, work: Coroutine[object, object, _T]) -> _T | None:
    """The result of `work`; None, with `work` cancelled, if `stop` is set before it ends."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.wait((task, stopped))


def _embedded(stores: Stores) -> list[_EmbeddedServer]:
    servers = (("postgres", stores.postgres), ("seaweedfs", stores.seaweedfs))
    return [_EmbeddedServer(name, server) for name, server in servers if server is not None]


def _secret(settings: Settings) -> str | None:
    return settings.api_auth_string.get_secret_value() if settings.api_auth_string else None


def _say(text: str) -> None:
    click.echo(text)


def _welcome(settings: Settings, stores: Stores) -> None:
    url = api_url(settings)
    lines = ["", f"  API         {url}", f"  data        {settings.data_dir.absolute()}"]
    if stores.postgres is not None:
        host = stores.database_url.rpartition("@")[2].partition("/")[0]
        lines.append(f"  PostgreSQL  {host} (embedded)")
    else:
        lines.append(f"  PostgreSQL  as {variable('database_url')} says")
    embedded = " (embedded)" if stores.seaweedfs is not None else ""
    lines.append(
        f"  S3          {stores.s3.endpoint_url or 'AWS'}, bucket {stores.s3.bucket}{embedded}"
    )
    lines += ["", "Point Prefect at it:", f"  export PREFECT_API_URL={url}"]
    if settings.api_auth_string:
        lines.append(
            f"  export PREFECT_API_AUTH_STRING=...  (the value of {variable('api_auth_string')})"
        )
    lines += ["", f"ready: {url.removesuffix('/api')}"]
    _say("\n".join(lines))
