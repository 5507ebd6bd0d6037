"""Somebody cancels a run, and whoever has its process ends it."""

import asyncio
import datetime as dt
import shutil
from pathlib import Path

import pytest

from tests.tutorial.conftest import FLOWS, Prefect

# Each step has its own time-out; a busy machine takes its time over the processes of a client.
pytestmark = pytest.mark.timeout(300)

# The first takes its time over fetching its code, so its runs are pending meanwhile.
PREFECT_YAML = """\
name: project
deployments:
  - name: slow-to-fetch
    entrypoint: deployed.py:deployed
    work_pool: {{name: ended}}
    pull:
      - prefect.deployments.steps.run_shell_script:
          script: sleep 100
  - name: quick-to-fetch
    entrypoint: deployed.py:deployed
    work_pool: {{name: ended}}
    pull:
      - prefect.deployments.steps.set_working_directory:
          directory: {directory}
"""


async def ends(prefect: Prefect, run_id: str) -> None:
    """Wait until the process is gone of which a run has logged that it is in it."""
    line = await prefect.says(run_id, "process ")
    process = Path("/proc") / line.message.split()[1]
    async with asyncio.timeout(40):
        while True:
            if not process.exists():
                return
            await asyncio.sleep(0.1)


async def test_what_nobody_has_started_is_cancelled_at_once(on_call: Prefect) -> None:
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    run_id = await on_call.run_deployment(
        "deployed/on-call",
        parameters={"number": 1},
        state={"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}},
    )
    shown = await on_call.command("flow-run", "cancel", run_id)
    assert "scheduled for cancellation" in shown
    run = await on_call.read_run(run_id)
    assert (run["state_type"], run["run_count"]) == ("CANCELLED", 0)


async def test_a_served_run_ends_with_its_subflow_and_with_the_run_it_asked_for(
    on_call: Prefect,
) -> None:
    run_id = await on_call.run_deployment("around/on-call", parameters={"seconds": 100})
    asked_for, within = await on_call.subflow_runs(run_id, 2)
    await on_call.says(within["id"], "work 1 begins")
    await on_call.says(asked_for["id"], "work 2 begins")

    assert (await on_call.cancel(run_id))["status"] == "ACCEPT"

    await on_call.reaches(run_id, "Cancelled")
    assert (await on_call.states("flow", run_id))[-3:] == ["Running", "Cancelling", "Cancelled"]
    # What the process of the cancelled run cannot end, or not any more, the service does.
    await on_call.run_job("cancellation-cleanup")
    for run in (within, asked_for):
        run = await on_call.reaches(run["id"], "Cancelled")
        assert run["end_time"] is not None
        await ends(on_call, run["id"])
        said = [line.message for line in await on_call.logs(run["id"])]
        assert f"work {run['parameters']['number']} ends" not in said
    states = await on_call.states("flow", asked_for["id"])
    assert states[-3:] == ["Running", "Cancelling", "Cancelled"]


async def test_a_worker_ends_what_runs_and_what_is_not_yet_running(
    on_call: Prefect, tmp_path: Path
) -> None:
    for file in ("deployed.py", "witness.py"):
        shutil.copy(FLOWS / file, tmp_path)
    (tmp_path / "prefect.yaml").write_text(PREFECT_YAML.format(directory=tmp_path))
    await on_call.command("work-pool", "create", "ended", "--type", "process")
    await on_call.command("--no-prompt", "deploy", "--all", directory=tmp_path)
    pending, running = [
        await on_call.run_deployment(f"deployed/{name}", parameters={"number": 3, "seconds": 100})
        for name in ("slow-to-fetch", "quick-to-fetch")
    ]
    async with on_call.worker("ended"):
        await on_call.says(pending, "Running 1 deployment pull step")
        await on_call.says(running, "work 3 begins")
        assert (await on_call.read_run(pending))["state_type"] == "PENDING"

        await on_call.cancel(pending)
        await on_call.cancel(running)

        for run_id, before in ((pending, "Submitting"), (running, "Running")):
            run = await on_call.reaches(run_id, "Cancelled")
            states = await on_call.states("flow", run_id)
            assert states[-3:] == [before, "Cancelling", "Cancelled"]
            assert run["infrastructure_pid"]
        await ends(on_call, running)
    assert (await on_call.read_run(pending))["run_count"] == 0
