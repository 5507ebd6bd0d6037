"""Who gets in: by header on requests, by the first frame on websockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
import websockets
from websockets.asyncio.client import connect

from app.api.access import Access
from app.api.download_tickets import VALID_SECONDS

if TYPE_CHECKING:
    from app.services import ServicesConfig
    from tests.processes import ApiProcess

PREFECT = websockets.Subprotocol("prefect")


@contextlib.asynccontextmanager
async def serving(config: ServicesConfig, *, auth_string: str) -> AsyncIterator[int]:
    """The API on a port of this process."""
    from app.server import create_app

    app = create_app(config, auth_string=auth_string)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def guarded(services_config: ServicesConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to an API with a secret."""
    from app.server import create_app
    from tests.conftest import running_lifespan

    app = create_app(services_config, auth_string="admin:pass")
    async with running_lifespan(app):
        transport = httpx.ASGITransport(app)  # pyrefly: ignore
        async with httpx.AsyncClient(transport=transport, base_url="http://t/api") as client:
            yield client


async def test_every_route_but_health_and_readiness_asks_for_the_secret(
    guarded: httpx.AsyncClient,
) -> None:
    assert (await guarded.get("/health")).status_code == 200
    assert (await guarded.get("/ready")).status_code == 200
    for method, path in (("GET", "/version"), ("GET", "/nowhere"), ("POST", "/logs/")):
        answer = await guarded.request(method, path)
        assert answer.status_code == 401
        assert answer.json() == {"exception_message": "Unauthorized"}
    assert (await guarded.get("/version", auth=("admin", "pass"))).json() == "0.8.4"
    assert (await guarded.get("/version", auth=("admin", "passe"))).status_code == 401
    preflight = {"Origin": "http://ui", "Access-Control-Request-Method": "POST"}
    assert (await guarded.options("/logs/filter", headers=preflight)).status_code == 204
    settings = await guarded.get("/admin/settings", auth=("admin", "pass"))
    assert "pass" not in settings.text
    assert settings.json()["server"]["api"]["auth_string"] == "********"


async def test_the_protocol_version_must_be_readable_and_not_too_old(
    client: httpx.AsyncClient,
) -> None:
    for version in ("0.8.4", "0.8.0", "1.0.0", ""):
        answer = await client.get("/hello", headers={"X-PREFECT-API-VERSION": version})
        assert answer.status_code == 200
    for version in ("0.7.9", "0.9", "abc", "0.8.4 "):
        answer = await client.get("/hello", headers={"X-PREFECT-API-VERSION": version})
        assert answer.status_code == 400
        assert version in answer.json()["detail"]


def test_a_secret_is_compared_whole() -> None:
    access = Access("user:ünï")
    assert access.admits_token("user:ünï")
    assert not access.admits_token("user:ün")
    assert not access.admits_token("\ud800")
    assert not access.admits_token(None)
    assert not access.admits_header(b"")
    assert access.admits_header(b"basic dXNlcjrDvG7Drw==")
    assert not access.admits_header(b"bearer dXNlcjrDvG7Drw==")
    assert Access(None).admits_token(None)


async def test_a_socket_must_begin_with_auth(server: ApiProcess) -> None:
    url = server.url.replace("http://", "ws://") + "/events/in"
    for first in ('{"type":"filter"}', "{", "{}"):
        socket = await connect(url, subprotocols=[PREFECT])
        assert socket.subprotocol == "prefect"
        await socket.send(first)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            1008,
            "Expected 'auth' message",
        )


async def test_an_old_client_needs_no_handshake(server: ApiProcess) -> None:
    url = server.url.replace("http://", "ws://") + "/events/in"
    async with connect(url) as socket:
        await (await socket.ping())
        assert socket.subprotocol is None


async def test_a_guarded_socket_wants_the_token(services_config: ServicesConfig) -> None:
    async with serving(services_config, auth_string="admin:pass") as port:
        url = f"ws://127.0.0.1:{port}/api/events/in"
        for token, reason in (
            (None, "Auth required but no token provided"),
            ("admin:wrong", "Invalid token"),
        ):
            socket = await connect(url, subprotocols=[PREFECT])
            await socket.send(json.dumps({"type": "auth", "token": token}))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, reason)
        socket = await connect(url, subprotocols=[PREFECT])
        await socket.send(json.dumps({"type": "auth", "token": "admin:pass"}))
        assert json.loads(await socket.recv()) == {"type": "auth_success"}
        await socket.close()
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 403


async def test_a_ticket_admits_to_its_download_alone_and_not_for_long(
    guarded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = ("admin", "pass")
    line = {
        "name": "app",
        "level": 20,
        "message": "kept for who may",
        "timestamp": "2026-11-24T06:00:00Z",
    }
    assert (await guarded.post("/logs/", json=[line], auth=secret)).status_code == 201
    wanted = {"format": "ndjson", "logs": {"text": {"query": '"kept for who may"'}}}
    path = "/tailrace/logs/download/tickets"
    assert (await guarded.post(path, json=wanted)).status_code == 401
    wrong = await guarded.post(path, json={"regex": "("}, auth=secret)
    assert wrong.status_code == 422
    ticket = (await guarded.post(path, json=wanted, auth=secret)).json()["ticket"]

    by_ticket = "/tailrace/logs/download/by-ticket"
    lines = (await guarded.get(f"{by_ticket}/{ticket}")).text.splitlines()
    assert [json.loads(each)["message"] for each in lines] == ["kept for who may"]
    # The ticket is in no place where it would open anything else.
    assert (await guarded.get(f"{by_ticket}/{ticket}/../../download")).status_code == 401
    assert (await guarded.get(f"/tailrace/logs/download?ticket={ticket}")).status_code == 401
    for forged in (ticket[::-1], ticket[:-4] + "AAAA", "nothing"):
        assert (await guarded.get(f"{by_ticket}/{forged}")).status_code == 404
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + VALID_SECONDS + 1)
    assert (await guarded.get(f"{by_ticket}/{ticket}")).status_code == 404
