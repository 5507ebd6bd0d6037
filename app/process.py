"""One API or jobs process, as the supervisor starts it: `python -m app.process [MODULE…]`.

Its configuration is one JSON document on stdin, which no other user can see, unlike arguments. It
writes one line, `ready`, to stdout when it serves. SIGTERM ends it in order.
Modules that it is given are loaded before it reads stdin: while the stores start there is time.
"""

import asyncio
import importlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import msgspec
import uvicorn
import uvloop
from typing_extensions import override

from app.process_config import READY, ProcessConfig, bind
from app.services import Services, ServicesConfig, open_services
from app.telemetry import set_up_logging

if TYPE_CHECKING:
    from litestar import Litestar

# Requests that run when SIGTERM comes get this long; websockets are closed at once.
GRACEFUL_SECONDS = 10
BACKLOG = 2048


class _Server(uvicorn.Server):
    """Says `ready` when it listens, and ends streams of live lines, which have no end of their own, when
    it stops."""

    def __init__(self, config: uvicorn.Config, app: "Litestar") -> None:
        super().__init__(config)
        self._app = app

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and listen."""
        await super().startup(sockets)
        if self.started:
            _say_ready()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and end what is open."""
        services: Services = self._app.state.services
        services.tail.end()
        await super().shutdown(sockets)


async def _serve_api(config: ProcessConfig) -> None:
    # Here, because a jobs process has no use for the web framework.
    from app.server import create_app

    app = create_app(_services(config), auth_string=config.api_auth_string)
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Nobody asks for the client's address.
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ),
        app,
    )
    # uvicorn raises the signal that stopped it once more afterwards, to end the process by it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    with bind(config.host, config.port) as listening:
        await server.serve(sockets=[listening])
    if not server.started:
        sys.exit(1)


async def _serve_jobs(config: ProcessConfig) -> None:
    from jobs.driver import run_jobs

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_services(_services(config)) as services:
        _say_ready()
        await run_jobs(services, stop)


def _services(config: ProcessConfig) -> ServicesConfig:
    return ServicesConfig(
        database_url=config.database_url,
        s3=config.s3,
        pool_size=config.database_pool_size,
        hot_limit_bytes=config.hot_limit_bytes,
        sql_seconds=config.sql_seconds,
        sql_memory_bytes=config.sql_memory_bytes,
        event_retention_days=config.event_retention_days,
        log_retention_days=config.log_retention_days,
        late_after_seconds=config.late_after_seconds,
        cancelling_timeout_seconds=config.cancelling_timeout_seconds,
        recovery=config.recovery,
        scheduling=config.scheduling,
        archive=config.archive,
        encryption_key=config.encryption_key,
        log_cache=config.log_cache,
        serves_clients=config.kind == "api",
        settings=config.settings,
    )


def _say_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    # Nobody reads the pipe any more; what a library prints must not fill it.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def main() -> None:
    """Be the process that stdin describes, until SIGTERM."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessConfig)
    set_up_logging(level=config.log_level, form=config.log_format)
    uvloop.run(_serve_api(config) if config.kind == "api" else _serve_jobs(config))


if __name__ == "__main__":
    main()
