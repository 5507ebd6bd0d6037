"""Live log lines over a websocket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest
import websockets

from app.wire.base import Json, new_id
from tests.api.test_events_in import open_socket

if TYPE_CHECKING:
    from app.services import ServicesConfig
    from tests.processes import ApiProcess


def line(message: str, *, run: str, level: int = 20) -> Json:
    """A line as a client posts it."""
    return {
        "name": "prefect.flow_runs",
        "level": level,
        "message": message,
        "timestamp": "2026-11-24T06:41:34.223263Z",
        "flow_run_id": run,
    }


async def test_matching_lines_come_from_every_process(
    server: ApiProcess, services_config: ServicesConfig
) -> None:
    from tests.processes import ApiProcess as Process

    run = str(new_id())
    async with (
        Process.run(services_config) as other,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await client.post("/logs/", json=[line("before", run=run)])
        socket = await open_socket(other, "/logs/out")
        on = {"flow_run_id": {"any_": [run]}, "level": {"ge_": 30}}
        await socket.send(json.dumps({"type": "filter", "filter": on}))
        seen: list[str] = []
        async with asyncio.timeout(10):
            # Nothing says when the filter has been taken, so post until something comes.
            while not seen:
                await client.post(
                    "/logs/",
                    json=[
                        line("quiet", run=run),
                        line("loud", run=run, level=40),
                        line("else", run=str(new_id()), level=40),
                    ],
                )
                try:
                    async with asyncio.timeout(0.5):
                        message = json.loads(await socket.recv())
                except TimeoutError:
                    continue
                assert message["type"] == "log"
                assert message["log"]["flow_run_id"] == run
                seen.append(message["log"]["message"])
        assert seen == ["loud"]
        await socket.close()


async def test_anything_but_a_filter_closes_the_socket(server: ApiProcess) -> None:
    for frame in ("{", '{"type":"log"}', '{"type":"filter","filter":{"name":"x"}}'):
        socket = await open_socket(server, "/logs/out")
        await socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1002
