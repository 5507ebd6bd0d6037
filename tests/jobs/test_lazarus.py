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
from jobs import lazarus, zombie_killer
from jobs.lazarus import preview_the_dead, raise_the_dead
from jobs.zombie_killer import kill_zombies
from storage.postgres.pool import connection
from tests.api.deployed import a_deployment, a_pool

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)
HOLDS = (
    "the pool is paused",
    "the queue is paused",
    "the deployment is paused",
    "the pool has no room",
    "the queue has no room",
    "the deployment has no room",
    "a run of the pool is at work",
    "nobody asks any more",
    "no worker is online",
    "it opted out",
)
WORKERS_LABELS = {"prefect.worker.name": "w", "prefect.worker.type": "process"}


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


async def pool_of(client: httpx.AsyncClient, run_id: str) -> str:
    """The name of the pool that the run waits in."""
    name: str = (await client.get(f"/flow_runs/{run_id}")).json()["work_pool_name"]
    return name


async def a_worker_asks(
    client: httpx.AsyncClient, services: Services, run_id: str, *, at: dt.datetime
) -> str:
    """A worker of the run's pool is online, and asked for runs at that time; gives the pool."""
    pool = await pool_of(client, run_id)
    heartbeat = {"name": "w", "heartbeat_interval_seconds": 30}
    assert (await client.post(f"/work_pools/{pool}/workers/heartbeat", json=heartbeat)).is_success
    asked = await client.post(f"/work_pools/{pool}/get_scheduled_flow_runs", json={})
    assert asked.status_code == 200, asked.text
    async with connection(services.pool) as conn:
        await conn.execute(
            """UPDATE work_queue SET last_polled = $2
            WHERE work_pool_id = (SELECT id FROM work_pool WHERE name = $1)""",
            pool,
            at,
        )
    return pool


async def lines_of(client: httpx.AsyncClient, run_id: str) -> list[dict[str, Any]]:
    """What Tailrace has written into the run's logs."""
    logs = await client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run_id]}}})
    lines: list[dict[str, Any]] = logs.json()
    return lines


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


async def a_served_run(client: httpx.AsyncClient) -> str:
    """A run of a deployment that a process of its own serves."""
    deployment = await a_deployment(client)
    made = await client.post(
        f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": {"x": 1}}
    )
    run_id: str = made.json()["id"]
    return run_id


async def outcomes(services: Services) -> list[tuple[str | None, str | None]]:
    """What became of the deaths there are, oldest first."""
    async with connection(services.pool) as conn:
        rows = await conn.fetch("SELECT outcome, reason FROM flow_run_death ORDER BY created")
    return [(row["outcome"], row["reason"]) for row in rows]


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


async def test_what_was_cancelled_is_paused_or_only_waits_is_left_alone(
    client: httpx.AsyncClient, services: Services
) -> None:
    before = {}
    for states in (
        ("CANCELLING",),
        ("PENDING", "CANCELLING"),
        ("PENDING", "RUNNING", "PAUSED"),
        (),
    ):
        run_id = await a_deployed_run(client)
        await to(client, run_id, *states)
        before[run_id] = (await read(client, run_id))["state_id"]
    later = utc_now() + 24 * HOUR
    assert await kill_zombies(services, later) == {}
    assert await raise_the_dead(services, later) == {}
    assert {run_id: (await read(client, run_id))["state_id"] for run_id in before} == before


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


# Due, and not taken -------------------------------------------------------------------------------


async def test_a_run_that_idle_workers_do_not_take_is_offered_anew_and_keeps_its_place(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    due = (await read(client, run_id))["next_scheduled_start_time"]
    later = utc_now() + HOUR
    pool = await a_worker_asks(client, services, run_id, at=later)
    assert await preview_the_dead(services) == []
    [told] = await preview_the_dead(services, later)
    assert f"workers of '{pool}' that have nothing else to do" in told
    assert told.endswith("would go back to Scheduled (attempt 1)")

    assert await raise_the_dead(services, later) == {"rescheduled": 1}

    run = await read(client, run_id)
    assert (run["state_type"], run["state_name"]) == ("SCHEDULED", "Scheduled")
    assert run["next_scheduled_start_time"] == due
    assert "do not take it" in run["state"]["message"]
    [line] = await lines_of(client, run_id)
    assert (line["name"], line["message"]) == ("tailrace.lazarus", run["state"]["message"])
    async with connection(services.pool) as conn:
        assert await conn.fetchval("SELECT count(*) FROM flow_run_offer") == 0
    # It has no old process, so whoever begins it may.
    assert (await to(client, run_id, "RUNNING"))["status"] == "ACCEPT"


async def test_a_run_is_offered_anew_three_times_at_most(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    later = utc_now()
    for attempt in range(1, 5):
        later += HOUR
        await a_worker_asks(client, services, run_id, at=later)
        report = await raise_the_dead(services, later)
        assert report == ({"rescheduled": 1} if attempt < 4 else {})
        assert await raise_the_dead(services, later) == {}
    [told] = await preview_the_dead(services, later)
    assert told.endswith("would be left, because it was put back 3 times already")


async def test_a_due_run_is_left_where_it_waits_when_something_holds_it_back(
    client: httpx.AsyncClient, services: Services
) -> None:
    later = utc_now() + HOUR

    async def waiting() -> tuple[str, str, str]:
        run_id = await a_deployed_run(client)
        pool = await a_worker_asks(client, services, run_id, at=later)
        return run_id, pool, (await read(client, run_id))["deployment_id"]

    async def change(path: str, **said: object) -> None:
        answer = await client.patch(path, json=said)
        assert answer.is_success, answer.text

    taken, _, _ = await waiting()
    held = {reason: await waiting() for reason in HOLDS}
    for reason, (run_id, pool, deployment) in held.items():
        match reason:
            case "the pool is paused":
                await change(f"/work_pools/{pool}", is_paused=True)
            case "the queue is paused":
                await change(f"/work_pools/{pool}/queues/default", is_paused=True)
            case "the deployment is paused":
                await change(f"/deployments/{deployment}", paused=True)
            case "the pool has no room":
                await change(f"/work_pools/{pool}", concurrency_limit=0)
            case "the queue has no room":
                await change(f"/work_pools/{pool}/queues/default", concurrency_limit=0)
            case "the deployment has no room":
                await change(f"/deployments/{deployment}", concurrency_limit=1)
                body = {"names": [f"deployment:{deployment}"], "slots": 1}
                filled = await client.post("/v2/concurrency_limits/increment", json=body)
                assert filled.status_code == 200, filled.text
            case "a run of the pool is at work":
                made = await client.post(
                    f"/deployments/{deployment}/create_flow_run", json={"parameters": {"x": 1}}
                )
                await to(client, made.json()["id"], "PENDING", "RUNNING")
            case "nobody asks any more":
                await a_worker_asks(client, services, run_id, at=later - 2 * MINUTE)
            case "no worker is online":
                assert (await client.delete(f"/work_pools/{pool}/workers/w")).status_code == 204
            case "it opted out":
                await change(f"/flow_runs/{run_id}", tags=["tailrace.lazarus.off"])
    before = {reason: await read(client, run_id) for reason, (run_id, _, _) in held.items()}

    assert await raise_the_dead(services, later) == {"rescheduled": 1}

    assert "Lazarus" in (await read(client, taken))["state"]["message"]
    after = {reason: await read(client, run_id) for reason, (run_id, _, _) in held.items()}
    moved = [reason for reason in HOLDS if after[reason]["state_id"] != before[reason]["state_id"]]
    assert moved == []


# Taken, and not begun ------------------------------------------------------------------------------


async def test_a_pending_run_of_a_worker_that_is_gone_goes_back_and_one_that_is_online_keeps_it(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    pool = await a_worker_asks(client, services, run_id, at=utc_now())
    await to(client, run_id, "PENDING")
    await client.patch(f"/flow_runs/{run_id}/labels", json=WORKERS_LABELS)
    await client.patch(f"/flow_runs/{run_id}", json={"infrastructure_pid": "job-1"})
    assert await raise_the_dead(services, utc_now() + 24 * HOUR) == {}

    async with connection(services.pool) as conn:
        await conn.execute("UPDATE worker SET status = 'OFFLINE'")
    # Offline, but not for long enough.
    assert await raise_the_dead(services, utc_now() + 5 * MINUTE) == {}
    assert await raise_the_dead(services, utc_now() + 11 * MINUTE) == {"rescheduled": 1}

    run = await read(client, run_id)
    assert "its worker 'w' has been offline since" in run["state"]["message"]
    assert run["infrastructure_pid"] is None
    assert not WORKERS_LABELS.keys() & run["labels"].keys()
    assert (await client.get(f"/work_pools/{pool}")).status_code == 200


async def test_a_pending_run_that_somebody_online_may_be_starting_waits_longer(
    client: httpx.AsyncClient, services: Services
) -> None:
    run_id = await a_deployed_run(client)
    await a_worker_asks(client, services, run_id, at=utc_now())
    await to(client, run_id, "PENDING")
    assert await raise_the_dead(services, utc_now() + 50 * MINUTE) == {}
    assert await raise_the_dead(services, utc_now() + 61 * MINUTE) == {"rescheduled": 1}


# Many ---------------------------------------------------------------------------------------------


async def test_deaths_that_wait_for_a_runner_do_not_keep_others_waiting(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazarus, "PAGE", 2)
    waiting = [await a_served_run(client) for _ in range(3)]
    for run_id in waiting:
        await dies(client, services, run_id)
    pooled = await a_deployed_run(client)
    await dies(client, services, pooled)
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {"rescheduled": 1}
    assert (await read(client, pooled))["state_type"] == "SCHEDULED"
    told = await preview_the_dead(services, utc_now() + 2 * HOUR)
    assert len(told) == 3
    assert all(line.endswith("would be looked at again later") for line in told)
    # After a day nobody is waited for.
    assert await raise_the_dead(services, utc_now() + 26 * HOUR) == {}
    assert await preview_the_dead(services, utc_now() + 26 * HOUR) == []


async def test_when_lazarus_is_off_deaths_are_settled_all_the_same(
    client: httpx.AsyncClient, services: Services
) -> None:
    services.recovery = Recovery(lazarus_attempts=0)
    run_id = await a_deployed_run(client)
    await dies(client, services, run_id)
    assert await preview_the_dead(services) == ["Lazarus is off (TAILRACE_LAZARUS_ATTEMPTS is 0)"]
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {}
    assert await outcomes(services) == [("left", "Lazarus is off")]
    services.recovery = Recovery(lazarus_crashed="always")
    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {}


async def test_a_dry_run_changes_nothing(client: httpx.AsyncClient, services: Services) -> None:
    run_id = await a_deployed_run(client)
    await dies(client, services, run_id)
    await to(client, run_id, "SCHEDULED")  # Somebody was faster.
    assert await preview_the_dead(services, utc_now() + HOUR) == []
    assert await outcomes(services) == [(None, None)]
    assert await raise_the_dead(services, utc_now() + HOUR) == {}
    assert await outcomes(services) == [("moved on", "its state was changed by somebody else")]


async def test_what_a_pass_of_the_zombie_killer_left_behind_is_crashed_before_the_run_goes_back(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await a_deployed_run(client)
    await to(client, run_id, "PENDING", "RUNNING")
    made = await client.post(
        "/task_runs/",
        json={
            "flow_run_id": run_id,
            "task_key": "t",
            "dynamic_key": "0",
            "state": {"type": "RUNNING"},
        },
    )
    task_run = made.json()["id"]
    await beat(client, services, run_id)

    async def cut_short(*said: object, **more: object) -> list[UUID]:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(zombie_killer, "crash_left_behind", cut_short)
        with pytest.raises(TimeoutError):
            await kill_zombies(services, utc_now() + HOUR)
    assert (await client.get(f"/task_runs/{task_run}")).json()["state_type"] == "RUNNING"

    assert await raise_the_dead(services, utc_now() + 2 * HOUR) == {"rescheduled": 1}

    state = (await client.get(f"/task_runs/{task_run}")).json()["state"]
    assert state["type"] == "CRASHED"
    assert run_id in state["message"]
