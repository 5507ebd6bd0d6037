"""The zombie killer and Lazarus against a real database, with a shifted clock."""

import datetime as dt

import httpx
import pytest
from litestar import Litestar

from app.services import Services
from app.wire.base import utc_now
from jobs.lazarus import preview_the_dead, raise_the_dead
from jobs.zombie_killer import kill_zombies, preview_zombies

LATER = dt.timedelta(hours=1)


@pytest.fixture
def services(app: Litestar) -> Services:
    """Of the application that the clients talk to."""
    opened: Services = app.state.services
    return opened


async def running(client: httpx.AsyncClient) -> str:
    """A run that is RUNNING, and its id."""
    flow = (await client.post("/flows/", json={"name": "sleeper"})).json()
    state = {"type": "RUNNING"}
    made = await client.post("/flow_runs/", json={"flow_id": flow["id"], "state": state})
    run_id: str = made.json()["id"]
    return run_id


async def beat(client: httpx.AsyncClient, services: Services, run_id: str) -> None:
    """A heartbeat of the run, written down."""
    event = {
        "event": "prefect.flow-run.heartbeat",
        "occurred": utc_now().isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "id": "0199f2d0-6d0a-7c5e-9d0a-1f2e3d4c5b6a",
    }
    answer = await client.post("/events", json=[event])
    assert answer.status_code == 204, answer.text
    assert services.signs is not None
    await services.signs.write()


async def state_of(client: httpx.AsyncClient, run_id: str) -> str:
    """The type of its state."""
    state: str = (await client.get(f"/flow_runs/{run_id}")).json()["state_type"]
    return state


async def test_a_run_that_promised_heartbeats_and_fell_silent_is_crashed(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client)
    await beat(client, services, run_id)
    assert await kill_zombies(services) == {}
    assert await preview_zombies(services) == []

    assert await kill_zombies(services, utc_now() + LATER) == {"crashed": 1}

    run = (await client.get(f"/flow_runs/{run_id}")).json()
    assert run["state_type"] == "CRASHED"
    assert "zombie killer" in run["state"]["message"]
    logs = await client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run_id]}}})
    assert [line["name"] for line in logs.json()] == ["tailrace.zombie_killer"]
    # Without a deployment nobody could run it again.
    assert await preview_the_dead(services)
    assert await raise_the_dead(services, utc_now() + LATER) == {}
    assert await state_of(client, run_id) == "CRASHED"


async def test_a_run_that_promised_nothing_is_left_alone(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client)
    assert await kill_zombies(services, utc_now() + LATER) == {}
    assert await state_of(client, run_id) == "RUNNING"
