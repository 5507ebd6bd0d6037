"""SQL over the logs and the runs answers what a plain list says, and nothing else can be done with it."""

import datetime as dt
import uuid
from typing import Any

import httpx
import pytest
from litestar import Litestar

from app.services import Services
from storage.logs.offload import offload_pass

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def services(app: Litestar) -> Services:
    found: Services = app.state.services
    return found


async def sql(client: httpx.AsyncClient, text: str, **more: object) -> list[list[Any]]:
    answer = await client.post("/tailrace/sql", json={"sql": text, **more})
    assert answer.status_code == 200, answer.text
    rows: list[list[Any]] = answer.json()["rows"]
    return rows


async def test_statements_read_hot_and_offloaded_lines(
    client: httpx.AsyncClient, services: Services
) -> None:
    run = uuid.uuid4()
    lines = [
        {
            "name": "app.orders",
            "level": 20 if number % 10 else 40,
            "message": f"order {number}",
            "timestamp": (START + dt.timedelta(seconds=number)).isoformat(),
            "flow_run_id": str(run),
        }
        for number in range(100)
    ]
    (await client.post("/logs/", json=lines[:60])).raise_for_status()
    await offload_pass(services.pool, services.objects, force=True)
    (await client.post("/logs/", json=lines[60:])).raise_for_status()
    counts = await sql(client, "SELECT level, count(*) FROM logs GROUP BY level ORDER BY level")
    assert counts == [[20, 90], [40, 10]]
