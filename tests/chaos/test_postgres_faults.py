"""A PostgreSQL that refuses for a while: everybody is told so, and it needs no restart afterwards."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.services import ServicesConfig
from storage.errors import Unavailable
from storage.postgres.pool import Pool, connection
from tests.chaos import ledger
from tests.conftest import EmbeddedServers, client_of, started_app


@pytest.fixture
async def client(services_config: ServicesConfig) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to an application that has its own connections."""
    async with started_app(services_config) as app, client_of(app) as opened:
        yield opened


async def _become_standby(servers: EmbeddedServers, database_url: str, standby: str) -> None:
    """Let connections be to a server that cannot be written to, from now on, or no more."""
    name = urlsplit(database_url).path[1:]
    await servers.execute(
        f"ALTER DATABASE {name} SET default_transaction_read_only = {standby}",
    )


async def test_a_failover_heals_without_a_restart(
    client: httpx.AsyncClient, database_url: str, embedded_servers: EmbeddedServers, pool: Pool
) -> None:
    run = ledger.Run()
    assert await ledger.post_once(client, [run], 10) == 201
    await _become_standby(embedded_servers, database_url, "on")
    # The connections of before are gone with the server of before.
    await embedded_servers.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{urlsplit(database_url).path[1:]}'"
    )
    for method, path, body in (
        ("POST", "/logs/", [run.line(10)]),
        ("POST", "/flows/", {"name": "a flow"}),
    ):
        for _ in range(4):
            response = await client.request(method, path, json=body)
            assert response.status_code == 503, response.text
            assert float(response.headers["Retry-After"]) > 0
            assert "postgres" in response.text
    # A standby can be read.
    await ledger.check_page(client, run, 0)

    await _become_standby(embedded_servers, database_url, "off")
    # Each refusal lets the connections to the standby go.
    await client.post("/flows/", json={"name": "a flow"})
    assert (await client.post("/flows/", json={"name": "a flow"})).status_code == 201
    assert await ledger.post_once(client, [run], 10) == 201
    await ledger.check_whole(client, run)


@pytest.mark.parametrize(
    "state",
    ["53100", "53200", "53300", "57P01", "57P02", "57P03", "58030", "25006", "08006"],
)
async def test_what_heals_by_itself_is_unavailable(pool: Pool, state: str) -> None:
    """Disk or memory full, too many connections, shutdowns, I/O, a standby, a lost connection."""
    with pytest.raises(Unavailable) as caught:
        async with connection(pool) as conn:
            await conn.execute(
                f"DO $$ BEGIN RAISE EXCEPTION SQLSTATE '{state}' USING MESSAGE = 'as asked'; END $$"
            )
    assert caught.value.store == "postgres"
    async with connection(pool) as conn:
        assert await conn.fetchval("SELECT 1") == 1
