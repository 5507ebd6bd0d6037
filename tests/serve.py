"""Be an API or a jobs process: `python -m tests.serve api|jobs`.

The configuration is JSON in TAILRACE_TEST_CONFIG, the API's port a number in TAILRACE_TEST_PORT.
"""

import asyncio
import os
import signal
import sys

import msgspec
import uvicorn

from app.server import create_app
from app.services import ServicesConfig, open_services
from jobs.driver import run_jobs


def _serve_api(config: ServicesConfig) -> None:
    uvicorn.run(
        create_app(config),
        host="127.0.0.1",
        port=int(os.environ["TAILRACE_TEST_PORT"]),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


async def _serve_jobs(config: ServicesConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_services(config) as services:
        await run_jobs(services, stop)


def main() -> None:
    """Be the process that the first argument names, until SIGTERM."""
    config = msgspec.json.decode(os.environ["TAILRACE_TEST_CONFIG"], type=ServicesConfig)
    if sys.argv[1] == "api":
        _serve_api(config)
    else:
        asyncio.run(_serve_jobs(config))


if __name__ == "__main__":
    main()
