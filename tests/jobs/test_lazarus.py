"""Lazarus puts back what should make progress and does not; with a shifted clock."""

import datetime as dt
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from app.rules.recovery import Recovery
from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.lazarus import preview_the_dead, raise_the_dead
from jobs.zombie_killer import kill_zombies
from storage.postgres.pool import connection
from tests.api.deployed import a_deployment, a_pool

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def services(app: Litestar) -> Services:
    """Of the application that the clients talk to."""
    opened: Services = app.state.services
    opened.recovery = Recovery(lazarus_crashed="always")
    return opened


async def a_deployed_run(client: httpx.AsyncClient, **said: Any) -> str:
    """A run of a deployment with a work pool, waiting to be taken."""
    deployment = await a_deployment(
        client, work_pool_name=await a_pool(client), job_variables={"s": "text"}, **said
    )
    made = await client.post(
        f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": {"x": 1}}
    )
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


async def to(client: httpx.AsyncClient, run_id: str, *types: str) -> dict[str, Any]:
    """Propose states one after another; the last answer."""
    answer: dict[str, Any] = {}
    for type in types:
        proposed = {"state": {"type": type}}
        answer = (await client.post(f"/flow_runs/{run_id}/set_state", json=proposed)).json()
    return answer


async def beat(client: httpx.AsyncClient, services: Services, run_id: str) -> None:
    """A heartbeat of the run, written down."""
    event = {
        "event": "prefect.flow-run.heartbeat",
        "occurred": utc_now().isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "id": str(new_id()),
    }
    assert (await client.post("/events", json=[event])).status_code == 204
    assert services.signs is not None
    await services.signs.write()


async def read(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """The run."""
    run: dict[str, Any] = (await client.get(f"/flow_runs/{run_id}")).json()
    return run


async def its_time_has_come(services: Services, run_id: str) -> None:
    """The run may be started now, although the clock that put it back was ahead."""
    async with connection(services.pool) as conn:
        await conn.execute(
            """UPDATE flow_run_state SET state_details = state_details - 'scheduled_time'
            WHERE flow_run_id = $1""",
            UUID(run_id),
        )


async def dies(client: httpx.AsyncClient, services: Services, run_id: str) -> None:
    """The run is taken, beats, and is found dead."""
    assert (await to(client, run_id, "PENDING", "RUNNING"))["status"] == "ACCEPT"
    await beat(client, services, run_id)
    assert await kill_zombies(services, utc_now() + HOUR) == {"crashed": 1}


async def test_a_run_found_dead_goes_back_to_scheduled_and_its_logs_say_why(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    await dies(client, services, run_id)
    [told] = await preview_the_dead(services)
    assert run_id in told
    assert "its process was found dead" in told
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {"rescheduled": 1}
    run = await read(client, run_id)
    assert (run["state_type"], run["state_name"]) == ("SCHEDULED", "AwaitingRetry")
    assert "Lazarus" in run["state"]["message"]
    logs = await client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run_id]}}})
    assert [line["name"] for line in logs.json()] == ["tailrace.zombie_killer", "tailrace.lazarus"]


async def test_the_same_death_is_dealt_with_once(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    await dies(client, services, run_id)
    later = utc_now() + 2 * HOUR
    assert await raise_the_dead(services, later) == {"rescheduled": 1}
    assert await raise_the_dead(services, later) == {}


async def test_a_run_goes_back_three_times_at_most(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    for attempt in range(4):
        await dies(client, services, run_id)
        put_back = await raise_the_dead(services, utc_now() + 2 * HOUR)
        assert put_back == ({"rescheduled": 1} if attempt < 3 else {})
        await its_time_has_come(services, run_id)
    assert (await read(client, run_id))["state_type"] == "CRASHED"


async def test_the_old_process_is_refused_and_a_new_one_is_let_in(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    await dies(client, services, run_id)
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {"rescheduled": 1}
    await its_time_has_come(services, run_id)
    for proposed in ("RUNNING", "COMPLETED", "FAILED", "CRASHED"):
        assert (await to(client, run_id, proposed))["status"] == "ABORT"
    assert (await to(client, run_id, "PENDING"))["status"] == "ACCEPT"
    assert (await to(client, run_id, "COMPLETED"))["status"] == "ABORT"
    assert (await to(client, run_id, "RUNNING"))["status"] == "ACCEPT"
    assert (await to(client, run_id, "COMPLETED"))["status"] == "ACCEPT"
    assert (await read(client, run_id))["run_count"] == 2


async def test_a_pending_run_of_which_nothing_is_heard_goes_back(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    await to(client, run_id, "PENDING")
    assert await raise_the_dead(services) == {}
    later = utc_now() + HOUR
    assert await raise_the_dead(services, later) == {"rescheduled": 1}
    assert (await read(client, run_id))["state_type"] == "SCHEDULED"


@pytest.mark.parametrize("states", [("CANCELLING",), ("PENDING", "RUNNING", "PAUSED"), ()])
async def test_what_was_cancelled_is_paused_or_only_waits_is_left_alone(
    client: httpx.AsyncClient, services: Services, states: tuple[str, ...]
) -> None:
    run_id = await a_deployed_run(client)
    await to(client, run_id, *states)
    before = await read(client, run_id)
    later = utc_now() + 24 * HOUR
    assert await kill_zombies(services, later) == {}
    assert await raise_the_dead(services, later) == {}
    assert (await read(client, run_id))["state_id"] == before["state_id"]


async def test_a_run_that_opted_out_stays_crashed(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client, tags=["tailrace.lazarus.off"])
    await dies(client, services, run_id)
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {}
    assert (await read(client, run_id))["state_type"] == "CRASHED"


async def test_without_retries_left_a_crashed_run_stays_unless_told_otherwise(
    client: httpx.AsyncClient, services: Services
) -> None:
    services.recovery = Recovery()
    without, with_retries = [await a_deployed_run(client) for _ in range(2)]
    policy = {"empirical_policy": {"retries": 1, "retry_delay": 0}}
    await client.patch(f"/flow_runs/{with_retries}", json=policy)
    for run_id in (without, with_retries):
        await dies(client, services, run_id)
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {"rescheduled": 1}
    assert (await read(client, without))["state_type"] == "CRASHED"
    assert (await read(client, with_retries))["state_type"] == "SCHEDULED"
