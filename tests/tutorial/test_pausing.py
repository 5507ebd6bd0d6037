"""A run stops for somebody to let it go on: in its process, or with its process ended meanwhile."""

import asyncio
from typing import Any

import pytest

from tests.tutorial.conftest import Prefect

# Each step has its own time-out; a busy machine takes its time over the processes of a client.
pytestmark = pytest.mark.timeout(300)


async def resume(prefect: Prefect, run_id: str, **body: object) -> dict[str, Any]:
    """What the UI does; gives the answer."""
    response = await prefect.api.post(f"/flow_runs/{run_id}/resume", json=body)
    assert response.status_code in {200, 201}, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def asks(prefect: Prefect, run_id: str) -> None:
    """Wait until a paused run has told what it wants to know, which it does once it is paused."""
    keys = (await prefect.read_run(run_id))["state"]["state_details"]["run_input_keyset"]
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        response = await prefect.api.get(f"/flow_runs/{run_id}/input/{keys['schema']}")
        if response.status_code == 200:
            return
        assert asyncio.get_running_loop().time() < deadline, response.text
        await asyncio.sleep(0.1)


async def test_a_paused_run_goes_on_with_the_input_that_it_asked_for(on_call: Prefect) -> None:
    run_id = await on_call.run_deployment("pausing/on-call")
    await on_call.reaches(run_id, "Paused")
    assert (await resume(on_call, run_id))["status"] == "ACCEPT"
    assert (await resume(on_call, run_id))["status"] == "ABORT"

    await on_call.says(run_id, "goes on")
    paused = await on_call.reaches(run_id, "Paused")
    await asks(on_call, run_id)
    for run_input in (None, {"count": 2}, {"colour": 5}):
        answer = await resume(on_call, run_id, run_input=run_input)
        assert (answer["status"], answer["state"]["id"]) == ("REJECT", paused["state_id"])
    finished = await (await on_call.start("resume", run_id, '{"colour": ["red"]}')).finish()
    assert "Cannot resume this run: Reason: Validation failed for field 'colour'" in finished.output
    assert (await on_call.read_run(run_id))["state_id"] == paused["state_id"]

    await on_call.run("resume", run_id, '{"colour": "red", "count": 3}')

    await on_call.says(run_id, "answer: red 3")
    await on_call.reaches(run_id, "Completed")
    states = await on_call.states("flow", run_id)
    assert states[-6:] == ["Running", "Paused", "Running", "Paused", "Running", "Completed"]


async def test_a_suspended_run_is_started_again_and_does_nothing_twice(on_call: Prefect) -> None:
    run_id = await on_call.run_deployment("suspending/on-call")
    await on_call.reaches(run_id, "Suspended")
    await asks(on_call, run_id)
    await on_call.says(run_id, "Finished in state Suspended")
    assert (await resume(on_call, run_id, run_input={"count": 1}))["status"] == "REJECT"
    answer = await resume(on_call, run_id, run_input={"colour": "blue"})
    assert answer["state"]["name"] == "Resuming"

    # Then somebody else suspends it, at work; its process ends before the next task.
    await on_call.says(run_id, "works")
    state = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
    response = await on_call.api.post(f"/flow_runs/{run_id}/set_state", json={"state": state})
    assert response.json()["status"] == "ACCEPT", response.text
    await on_call.says(run_id, "Finished in state Suspended", times=2)
    await resume(on_call, run_id)

    run = await on_call.reaches(run_id, "Completed")
    assert run["run_count"] == 1
    started = ["Pending", "Submitting", "Running"]
    assert await on_call.states("flow", run_id) == [
        *("Scheduled", *started, "Suspended"),
        *("Resuming", *started, "Suspended"),
        *("Resuming", *started, "Completed"),
    ]
    await on_call.says(run_id, "step 3")
    said = [line.message for line in await on_call.logs(run_id)]
    assert "answer: blue 1" in said
    tasks = [message for message in said if message.startswith(("step", "works"))]
    assert tasks == ["step 1", "step 2", "works", "step 3"]
