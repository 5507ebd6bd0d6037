"""Deployments from a `prefect.yaml`, run by workers of a pool of processes."""

import asyncio
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.services import open_services
from jobs.cancellation_cleanup import clean_up_after_cancellation
from tests.tutorial.conftest import FLOWS, Prefect

# What a worker tells of a run before its process begins.
DISPATCHED = ("Scheduled", "Pending", "Submitting")

# What a worker says instead of posting a heartbeat.
ON_CHANNEL = "Skipping REST worker heartbeat because the worker channel is healthy."

PREFECT_YAML = """\
name: project
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: {directory}
deployments:
  - name: {name}
    entrypoint: deployed.py:deployed
    description: Numbers
    tags: [numbers]
    parameters: {{seconds: 0.5}}
    work_pool: {{name: {pool}, work_queue_name: default}}
"""


def project(directory: Path, *, name: str, pool: str) -> None:
    """A user's directory with a flow and how to deploy it."""
    for file in ("deployed.py", "witness.py"):
        shutil.copy(FLOWS / file, directory)
    text = PREFECT_YAML.format(directory=directory, name=name, pool=pool)
    (directory / "prefect.yaml").write_text(text)


@pytest.mark.timeout(300)
async def test_two_workers_of_a_pool_execute_each_run_once(
    prefect_with_jobs: Prefect, tmp_path: Path
) -> None:
    prefect = prefect_with_jobs
    project(tmp_path, name="by-two", pool="shared-pool")
    shown = await prefect.command("work-pool", "create", "shared-pool", "--type", "process")
    assert "Created work pool 'shared-pool'" in shown
    shown = await prefect.command("--no-prompt", "deploy", "--all", directory=tmp_path)
    assert "Deployment 'deployed/by-two' successfully created" in shown
    deployment = await prefect.deployment("deployed/by-two")
    assert deployment["work_pool_name"] == "shared-pool"
    assert deployment["work_queue_name"] == "default"
    assert (deployment["description"], deployment["tags"]) == ("Numbers", ["numbers"])
    assert deployment["status"] == "NOT_READY"

    asked = "--flow-run-name", "by-hand", "--tag", "hand", "--param", "number=0"
    shown = await prefect.command("deployment", "run", "deployed/by-two", *asked)
    assert "Created flow run 'by-hand'" in shown
    for number in range(1, 5):
        await prefect.run_deployment("deployed/by-two", parameters={"number": number})

    # Each takes two at a time, so that neither can take all.
    async with (
        prefect.worker("shared-pool", "--name", "first", "--limit", "2") as first,
        prefect.worker("shared-pool", "--name", "second", "--limit", "2") as second,
    ):
        runs = await prefect.runs_of("by-two")
        assert len(runs) == 5
        for run in runs:
            await prefect.reaches(run["id"], "Completed", "Failed", "Crashed", within=60)
            # Its process posts the last lines after the last state; who ends it before loses them.
            await posted(prefect, run["id"], "Finished in state Completed()")

        response = await prefect.api.post("/work_pools/shared-pool/workers/filter", json={})
        seen = {worker["name"]: worker["status"] for worker in response.json()}
        assert seen == {"first": "ONLINE", "second": "ONLINE"}
        pool = (await prefect.api.get("/work_pools/shared-pool")).json()
        assert (pool["status"], pool["type"]) == ("READY", "process")
        assert (await prefect.deployment("deployed/by-two"))["status"] == "READY"

        lines = first.logged() + second.logged()
        executed = Counter(line.flow_run_id for line in lines if line.message.startswith("number "))
        assert executed == {run["id"]: 1 for run in runs}
        assert first.logged()
        assert second.logged()

    # They are heard over the worker channel, which tells them of changes of the pool.
    for worker in (first, second):
        assert ON_CHANNEL in worker.said()
        assert "Worker channel disabled" not in worker.said()
        assert "Worker channel unhealthy" not in worker.said()

    runs = await prefect.runs_of("by-two")
    [by_hand] = [run for run in runs if run["name"] == "by-hand"]
    assert {"hand", "numbers"} <= set(by_hand["tags"])
    assert sorted(run["parameters"]["number"] for run in runs) == list(range(5))
    for run in runs:
        assert (run["state_type"], run["run_count"]) == ("COMPLETED", 1)
        assert run["parameters"]["seconds"] == 0.5
        assert run["infrastructure_pid"]
        states = await prefect.states("flow", run["id"])
        # On a busy machine a worker may need longer than a run may wait before it is called late.
        told = [name for name in states if name != "Late"]
        assert told == [*DISPATCHED, "Running", "Completed"]
        # The worker adds lines of its own to the run's.
        found = [line for line in await prefect.logs(run["id"]) if ".worker" not in line.name]
        logged = [line for line in lines if line.flow_run_id == run["id"]]
        assert set(logged) <= set(found)
        said = [line.message for line in found]
        for message in ("begins", "ends"):
            assert said.count(f"work {run['parameters']['number']} {message}") == 1


@pytest.mark.timeout(180)
async def test_a_worker_ends_the_process_of_a_run_whose_cancellation_timed_out(
    prefect: Prefect, eventually: Callable[..., Awaitable[None]]
) -> None:
    pool = {"name": "left-pool", "type": "cleaning-process"}
    (await prefect.api.post("/work_pools/", json=pool)).raise_for_status()
    flow = (await prefect.api.post("/flows/", json={"name": "left"})).json()
    deployment = {"name": "left", "flow_id": flow["id"], "work_pool_name": "left-pool"}
    (await prefect.api.post("/deployments/", json=deployment)).raise_for_status()
    run_id = await prefect.run_deployment("left/left")
    # A process that its worker has left behind, on this host.
    left = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        handle = {"infrastructure_pid": f"{socket.gethostname()}:{left.pid}"}
        (await prefect.api.patch(f"/flow_runs/{run_id}", json=handle)).raise_for_status()
        for state in ("PENDING", "RUNNING", "CANCELLING"):
            answer = await prefect.api.post(
                f"/flow_runs/{run_id}/set_state", json={"state": {"type": state}}
            )
            assert answer.json()["status"] == "ACCEPT"
        async with open_services(
            replace(prefect.config, cancelling_timeout_seconds=0, serves_clients=False)
        ) as services:
            await clean_up_after_cancellation(services)
            async with prefect.server_of("cleaning_worker", "left-pool") as worker:
                async with asyncio.timeout(60):
                    assert await left.wait() == -signal.SIGTERM, worker.said()

                async def nothing_to_do() -> bool:
                    return not await services.pool.fetchval("SELECT count(*) FROM worker_cleanup")

                await eventually(nothing_to_do, within=30)
    finally:
        if left.returncode is None:
            left.kill()
            await left.wait()


async def posted(prefect: Prefect, run_id: str, last: str) -> None:
    """Wait for the last line of a flow run itself."""
    async with asyncio.timeout(30):
        while True:
            lines = await prefect.logs(run_id)
            if any(line.message == last and line.task_run_id is None for line in lines):
                return
            await asyncio.sleep(0.2)
