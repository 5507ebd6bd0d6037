"""A run that is tried again after a while, and what it does wholly or not at all."""

import datetime as dt
import os
import signal

import pytest

from tests.tutorial.conftest import Prefect

# Each step has its own time-out; a busy machine takes its time over the processes of a client.
pytestmark = pytest.mark.timeout(300)


async def test_attempts_wait_for_their_delays_and_transactions_are_rolled_back(
    prefect: Prefect,
) -> None:
    await prefect.run("careful")
    run = await prefect.flow_run("careful")
    assert (run["state_type"], run["run_count"]) == ("COMPLETED", 2)
    response = await prefect.api.get("/flow_run_states/", params={"flow_run_id": run["id"]})
    states = sorted(response.json(), key=lambda state: state["timestamp"])
    names = [state["name"] for state in states]
    assert names == ["Pending", "Running", "AwaitingRetry", "Running", "Completed"]
    failed, again = (dt.datetime.fromisoformat(state["timestamp"]) for state in states[2:4])
    due = dt.datetime.fromisoformat(states[2]["state_details"]["scheduled_time"])
    assert dt.timedelta(seconds=1.9) < due - failed < dt.timedelta(seconds=2.1)
    # The client is told to wait for whole seconds.
    assert again > due - dt.timedelta(seconds=0.6)

    tasks = {
        task["name"].split("-")[0]: task for task in await prefect.settled_task_runs(run["id"], 3)
    }
    flaky = tasks["flaky"]
    policy = flaky["empirical_policy"]
    assert (policy["retries"], policy["retry_delay"], policy["retry_jitter_factor"]) == (
        2,
        [0.5, 1],
        0.5,
    )
    assert (flaky["state_type"], flaky["run_count"]) == ("COMPLETED", 3)
    assert await prefect.states("task", flaky["id"]) == [
        *("Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry", "Retrying"),
        "Completed",
    ]
    assert tasks["pay"]["state_type"] == "FAILED"
    assert await prefect.states("task", tasks["book"]["id"]) == [
        *("Pending", "Running", "Completed"),
        "RolledBack",
    ]
    assert tasks["book"]["state_type"] == "COMPLETED"

    said = [line.message for line in await prefect.logs(run["id"])]
    said = [
        message
        for message in said
        if message.startswith(("books", "unbooks", "rolled", "goes", "has been"))
    ]
    assert said == [
        "books a flight",
        "unbooks",
        "rolled back: no money",
        "goes",
        "has been: {'to': 'Rome'}",
    ]


async def test_a_run_whose_process_was_killed_is_tried_again_when_somebody_asks(
    on_call: Prefect,
) -> None:
    parameters = {"number": 6, "seconds": 100}
    run_id = await on_call.run_deployment("deployed/on-call", parameters=parameters)
    await on_call.says(run_id, "work 6 begins")
    process = await on_call.says(run_id, "process ")
    os.kill(int(process.message.split()[1]), signal.SIGKILL)
    crashed = await on_call.reaches(run_id, "Crashed")
    assert "SIGKILL" in crashed["state"]["message"]

    shown = await on_call.command("flow-run", "retry", run_id)
    assert "has been scheduled for retry" in shown
    await on_call.says(run_id, "work 6 begins", times=2)
    again = await on_call.read_run(run_id)
    assert (again["state_name"], again["run_count"]) == ("Running", 2)

    await on_call.cancel(run_id)
    await on_call.reaches(run_id, "Cancelled")
    begun = ("Pending", "Submitting", "Running")
    assert await on_call.states("flow", run_id) == [
        *("Scheduled", *begun, "Crashed"),
        *("Scheduled", *begun, "Cancelling", "Cancelled"),
    ]
