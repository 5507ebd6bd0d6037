"""A worker's side of the worker channel."""

import asyncio
import datetime as dt
import json
import uuid

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from app.wire.base import Json
from tests.api.test_events_in import open_socket
from tests.processes import ApiProcess

CONSUMER = "0198b7a4-0000-7000-8000-000000000001"
REQUIRED = ["worker_heartbeat.v1", "work_pool_snapshot.v1"]


def frame(type: str, payload: object, **more: object) -> Json:
    """A frame as a worker sends it."""
    sent_at = dt.datetime.now(dt.UTC).isoformat()
    return {"type": type, "id": str(uuid.uuid4()), "sent_at": sent_at, "payload": payload, **more}


def hello(**changes: object) -> Json:
    """The first frame of a worker."""
    payload: Json = {
        "consumer_id": CONSUMER,
        "worker_name": "w",
        "worker_type": "process",
        "heartbeat_interval_seconds": 30,
        "supported_channel_versions": ["work_pool_worker_channel.v1"],
        "requested_capabilities": REQUIRED,
        **changes,
    }
    return frame("worker.hello.v1", payload)


def heartbeat(**changes: object) -> Json:
    """The frame that a worker sends in every interval."""
    payload: Json = {
        "consumer_id": CONSUMER,
        "worker_name": "w",
        "heartbeat_interval_seconds": 30,
        **changes,
    }
    return frame("worker.heartbeat.v1", payload)


def path_of(pool: str) -> str:
    """Where workers of the pool connect."""
    return f"/work_pools/{pool}/workers/connect"


async def heard(socket: ClientConnection, *, within: float = 5.0) -> Json:
    """The next frame to the worker."""
    async with asyncio.timeout(within):
        received: Json = json.loads(await socket.recv())
    return received


async def connected(
    server: ApiProcess, pool: str, **changes: object
) -> tuple[ClientConnection, Json]:
    """A worker that said hello, and what it was answered."""
    socket = await open_socket(server, path_of(pool))
    await socket.send(json.dumps(hello(**changes)))
    answer = await heard(socket)
    assert answer["type"] == "worker.ready.v1"
    return socket, answer["payload"]


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """With what code and reason the server closes the socket, after nothing else."""
    async with asyncio.timeout(5):
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def silent(socket: ClientConnection) -> bool:
    """Whether nothing comes for a moment."""
    try:
        async with asyncio.timeout(0.4):
            await socket.recv()
    except TimeoutError:
        return True
    return False
