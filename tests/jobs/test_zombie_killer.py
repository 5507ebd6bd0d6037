"""The zombie killer and Lazarus against a real database, with a shifted clock."""

import datetime as dt

import httpx
import pytest
from litestar import Litestar

from app.orchestration import recovery
from app.rules.recovery import Recovery
from app.services import Services
from app.wire.base import new_id, utc_now
from jobs.lazarus import preview_the_dead, raise_the_dead
from jobs.zombie_killer import kill_zombies, preview_zombies
from storage.postgres.pool import connection
from tests.api.deployed import a_deployment, a_pool

MINUTE = dt.timedelta(minutes=1)
LATER = dt.timedelta(hours=1)


@pytest.fixture
def services(app: Litestar) -> Services:
    """Of the application that the clients talk to."""
    opened: Services = app.state.services
    return opened


async def running(client: httpx.AsyncClient, **said: object) -> str:
    """A run that is RUNNING, and its id."""
    flow = (await client.post("/flows/", json={"name": "sleeper"})).json()
    body = {"flow_id": flow["id"], "state": {"type": "RUNNING"}, **said}
    made = await client.post("/flow_runs/", json=body)
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


async def a_task_run(client: httpx.AsyncClient, run_id: str, type: str = "RUNNING") -> str:
    """A task run of a flow run in that state, and its id."""
    body = {
        "flow_run_id": run_id,
        "task_key": "t",
        "dynamic_key": str(new_id()),
        "state": {"type": type},
    }
    made = await client.post("/task_runs/", json=body)
    assert made.status_code == 201, made.text
    task_run_id: str = made.json()["id"]
    return task_run_id


async def beat(client: httpx.AsyncClient, services: Services, run_id: str) -> None:
    """A heartbeat of the run, written down."""
    event = {
        "event": "prefect.flow-run.heartbeat",
        "occurred": utc_now().isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
        "id": str(new_id()),
    }
    answer = await client.post("/events", json=[event])
    assert answer.status_code == 204, answer.text
    assert services.signs is not None
    await services.signs.write()


async def state_of(client: httpx.AsyncClient, run_id: str, kind: str = "flow_runs") -> str:
    """The type of its state."""
    state: str = (await client.get(f"/{kind}/{run_id}")).json()["state_type"]
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


async def test_a_dry_run_says_who_would_be_crashed_and_why_and_changes_nothing(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client, name="sleepy")
    await beat(client, services, run_id)
    [told] = await preview_zombies(services, utc_now() + LATER)
    assert told.startswith(
        f"{run_id} sleepy: would become CRASHED, because it sent heartbeats every 3 min and"
        " missed 3 of them; it was last heard at "
    )
    assert await state_of(client, run_id) == "RUNNING"
    services.recovery = Recovery(zombie_killer=False)
    assert await preview_zombies(services, utc_now() + LATER) == [
        "the zombie killer is off (TAILRACE_ZOMBIE_KILLER)"
    ]
    assert await kill_zombies(services, utc_now() + LATER) == {}
    assert await state_of(client, run_id) == "RUNNING"


async def test_while_nobody_listens_nobody_is_silent(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client)
    await beat(client, services, run_id)
    # As after a crash of PostgreSQL.
    async with connection(services.pool) as conn:
        await conn.execute("TRUNCATE flow_run_watch, flow_run_sign")
    assert await preview_zombies(services, utc_now() + LATER) == [
        "no API process listens, so no run can be called silent"
    ]
    assert await preview_the_dead(services) == [
        "no API process listens, so no run can be called silent"
    ]
    assert await kill_zombies(services, utc_now() + LATER) == {}
    assert services.signs is not None
    await services.signs.write()
    # What it promised is known from the events; its silence began anew.
    assert await kill_zombies(services, utc_now() + 8 * MINUTE) == {}
    assert await kill_zombies(services, utc_now() + 10 * MINUTE) == {"crashed": 1}


async def test_a_silent_run_that_promised_nothing_dies_with_its_worker(
    client: httpx.AsyncClient, services: Services
) -> None:
    pool = await a_pool(client)
    deployment = await a_deployment(client, work_pool_name=pool, job_variables={"s": "text"})
    run = await client.post(
        f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": {"x": 1}}
    )
    run_id = run.json()["id"]
    heartbeat = {"name": "w", "heartbeat_interval_seconds": 30}
    assert (await client.post(f"/work_pools/{pool}/workers/heartbeat", json=heartbeat)).is_success
    await client.patch(f"/flow_runs/{run_id}/labels", json={"prefect.worker.name": "w"})
    for type in ("PENDING", "RUNNING"):
        await client.post(f"/flow_runs/{run_id}/set_state", json={"state": {"type": type}})
    assert await kill_zombies(services, utc_now() + LATER) == {}

    async with connection(services.pool) as conn:
        await conn.execute("UPDATE worker SET status = 'OFFLINE'")
    assert await kill_zombies(services, utc_now() + 9 * MINUTE) == {}
    assert await kill_zombies(services, utc_now() + 11 * MINUTE) == {"crashed": 1}
    run = await client.get(f"/flow_runs/{run_id}")
    assert "its worker 'w' has been offline since" in run.json()["state"]["message"]


async def test_with_a_dead_run_all_that_its_process_ran_is_crashed_and_nothing_else(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client)
    at_work, done = await a_task_run(client, run_id), await a_task_run(client, run_id, "COMPLETED")
    inside_task, elsewhere_task = [await a_task_run(client, run_id) for _ in range(2)]
    inside = await running(client, parent_task_run_id=inside_task)
    deep_task = await a_task_run(client, inside)
    deployment = await a_deployment(client)
    elsewhere = await running(
        client, parent_task_run_id=elsewhere_task, deployment_id=deployment["id"]
    )
    await beat(client, services, run_id)
    # A process is heard through its subflows too.
    await beat(client, services, inside)
    assert await kill_zombies(services, utc_now() + LATER) == {"crashed": 1}

    for id, kind, type in (
        (run_id, "flow_runs", "CRASHED"),
        (at_work, "task_runs", "CRASHED"),
        (done, "task_runs", "COMPLETED"),
        (inside, "flow_runs", "CRASHED"),
        (inside_task, "task_runs", "CRASHED"),
        (deep_task, "task_runs", "CRASHED"),
        (elsewhere, "flow_runs", "RUNNING"),
        (elsewhere_task, "task_runs", "RUNNING"),
    ):
        assert (id, await state_of(client, id, kind)) == (id, type)


async def test_many_task_runs_of_one_dead_run_are_all_crashed(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LEFT_BEHIND", 2)
    run_id = await running(client)
    tasks = [await a_task_run(client, run_id) for _ in range(5)]
    await beat(client, services, run_id)
    assert await kill_zombies(services, utc_now() + LATER) == {"crashed": 1}
    assert {await state_of(client, task, "task_runs") for task in tasks} == {"CRASHED"}


async def test_a_run_whose_subflow_speaks_is_alive(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await running(client)
    await beat(client, services, run_id)
    inside = await running(client, parent_task_run_id=await a_task_run(client, run_id))
    async with connection(services.pool) as conn:
        await conn.execute("UPDATE flow_run SET updated = updated - interval '1 hour'")
        await conn.execute("UPDATE flow_run_sign SET last_heard = last_heard - interval '1 hour'")
        await conn.execute("UPDATE flow_run_watch SET since = since - interval '1 hour'")
        for table in ("flow_run_sign", "flow_run_state"):
            column = "last_beat" if table == "flow_run_sign" else "created"
            await conn.execute(f"UPDATE {table} SET {column} = {column} - interval '1 hour'")
    [told] = await preview_zombies(services)
    assert run_id in told
    await beat(client, services, inside)
    assert await kill_zombies(services) == {}
