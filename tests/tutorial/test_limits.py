"""How many run at once: of a deployment, and of whoever shares a limit."""

import signal
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from tests.tutorial.conftest import Prefect

# Each step has its own time-out; a busy machine takes its time over the processes of a client.
pytestmark = pytest.mark.timeout(300)


async def slots_of(prefect: Prefect, deployment: str) -> int:
    """How many runs of a deployment hold a slot of its limit."""
    limit = (await prefect.deployment(deployment))["global_concurrency_limit"]
    slots: int = limit["active_slots"]
    return slots


async def test_a_deployments_limit_lets_the_next_run_wait_or_cancels_it(on_call: Prefect) -> None:
    one_by_one, only_one = "deployed/one-by-one", "deployed/only-one"
    working = {
        name: await on_call.run_deployment(name, parameters={"number": 4, "seconds": 100})
        for name in (one_by_one, only_one)
    }
    for name, run_id in working.items():
        await on_call.says(run_id, "work 4 begins")
        assert await slots_of(on_call, name) == 1

    waiting, refused = [
        await on_call.run_deployment(name, parameters={"number": 5}) for name in working
    ]
    await on_call.reaches(waiting, "AwaitingConcurrencySlot")
    run = await on_call.reaches(refused, "Cancelled")
    assert run["state"]["message"] == "Deployment concurrency limit reached."
    assert {await slots_of(on_call, name) for name in working} == {1}

    for name, run_id in working.items():
        await on_call.cancel(run_id)
        await on_call.reaches(run_id, "Cancelled")
        assert await slots_of(on_call, name) == 0

    # It would ask for a slot again half a minute later; somebody has it run now.
    now = {"state": {"type": "SCHEDULED"}}
    response = await on_call.api.post(f"/flow_runs/{waiting}/set_state", json=now)
    assert response.json()["status"] == "ACCEPT", response.text
    await on_call.reaches(waiting, "Completed")
    assert (await on_call.states("flow", waiting))[:2] == ["Scheduled", "AwaitingConcurrencySlot"]
    assert await slots_of(on_call, one_by_one) == 0


async def test_the_slot_of_a_killed_client_is_free_again_once_its_lease_has_run_out(
    prefect_with_jobs: Prefect, eventually: Callable[..., Awaitable[None]]
) -> None:
    prefect = prefect_with_jobs
    await prefect.command("gcl", "create", "held", "--limit", "1")

    async def slots() -> int:
        taken: int = (await prefect.api.get("/v2/concurrency_limits/held")).json()["active_slots"]
        return taken

    holder = await prefect.start("holding", "held", "100")

    async def holds() -> bool:
        return any(line.message == "holds a slot" for line in holder.logged())

    await eventually(holds, within=60)
    holder.process.send_signal(signal.SIGKILL)
    await holder.finish()
    assert await slots() == 1

    # The shortest lease lasts a minute; this one is over at once.
    connection = await asyncpg.connect(prefect.config.database_url)
    try:
        ended = await connection.execute(
            "UPDATE concurrency_lease SET expires = now()"
            " FROM concurrency_limit AS held WHERE held.name = 'held' AND limit_ids = ARRAY[held.id]"
        )
    finally:
        await connection.close()
    assert ended == "UPDATE 1"
    await prefect.run_job("concurrency-leases")

    assert await slots() == 0
    await prefect.run("holding", "held", "0")
    assert await slots() == 0


async def test_a_pool_of_one_slot_runs_the_queue_of_the_first_priority_first(
    prefect_with_jobs: Prefect,
) -> None:
    prefect = prefect_with_jobs
    for said in await prefect.commands(
        "work-pool create narrow --type process",
        "work-pool set-concurrency-limit narrow 1",
        "work-queue create urgent --pool narrow --priority 1",
    ):
        assert said.status == 0, said.text
    runs = {}
    # What can wait is due first.
    for queue in ("default", "urgent"):
        at = {"work_pool_name": "narrow", "work_queue_name": queue}
        await prefect.deploy("deployed", f"in-{queue}", **at)
        parameters = {"number": 9, "seconds": 1}
        runs[queue] = await prefect.run_deployment(f"deployed/in-{queue}", parameters=parameters)
    async with prefect.worker("narrow"):
        urgent, other = [
            await prefect.reaches(runs[queue], "Completed", within=60)
            for queue in ("urgent", "default")
        ]
    assert urgent["work_queue_name"] == "urgent"
    assert urgent["end_time"] < other["start_time"]
