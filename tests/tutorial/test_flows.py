"""What a user sees of a flow run: states, counts, times, and every line that it logged."""

import datetime as dt
import re
import signal
import uuid
from collections.abc import Awaitable, Callable

import pytest

from tests.tutorial.conftest import FlowProcess, LogLine, Prefect


async def assert_logs_are_those(
    prefect: Prefect, run: FlowProcess, flow_run_ids: list[str]
) -> None:
    """The server has what the process logged for these runs, line for line, ordered by time."""
    logged = run.logged()
    assert {line.flow_run_id for line in logged} == set(flow_run_ids)
    for flow_run_id in flow_run_ids:
        found = await prefect.logs(flow_run_id)
        assert sorted(found) == [line for line in logged if line.flow_run_id == flow_run_id]
        assert [line.timestamp for line in found] == sorted(line.timestamp for line in found)


def messages(lines: list[LogLine]) -> list[str]:
    """What the lines say."""
    return [line.message for line in lines]


async def test_a_flow_with_tasks_mapped_tasks_and_a_subflow(prefect: Prefect) -> None:
    process = await prefect.run("orders")
    run = await prefect.flow_run("orders")
    child = await prefect.flow_run("invoice")

    assert run["name"] == "orders-of-today"
    assert (run["state_type"], run["state_name"], run["run_count"]) == ("COMPLETED", "Completed", 1)
    assert run["parameters"] == {"count": 20}
    assert await prefect.states("flow", run["id"]) == ["Pending", "Running", "Completed"]

    # One task that sleeps 0.3 s, twenty mapped ones, and the subflow's stand-in.
    tasks = await prefect.settled_task_runs(run["id"], 22)
    names = {task["name"] for task in tasks}
    assert {f"price-{number}" for number in range(20)} <= names
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    assert {task["run_count"] for task in tasks if task["name"].startswith("price-")} == {1}
    [fetch] = [task for task in tasks if task["name"].startswith("fetch-")]
    assert await prefect.states("task", fetch["id"]) == ["Pending", "Running", "Completed"]
    assert 0.3 <= fetch["total_run_time"] < 10
    assert 0.3 <= run["total_run_time"] < 60
    started, ended = (dt.datetime.fromisoformat(run[name]) for name in ("start_time", "end_time"))
    assert abs((ended - started).total_seconds() - run["total_run_time"]) < 0.5
    fetch_started = dt.datetime.fromisoformat(fetch["start_time"])
    assert started <= fetch_started <= ended

    [stand_in] = [task for task in tasks if task["id"] == child["parent_task_run_id"]]
    assert stand_in["flow_run_id"] == run["id"]
    assert child["state_type"] == "COMPLETED"
    assert child["parameters"] == {"total": 1900}

    await assert_logs_are_those(prefect, process, [run["id"], child["id"]])
    said = messages(await prefect.logs(run["id"]))
    assert "orders begin" in said
    assert "a line\nand another\n\ttabbed\n" in said
    assert "naïve ✓ 日本語 \U0001f980" in said
    assert "invoice over 1900" in messages(await prefect.logs(child["id"]))


async def test_the_command_line_shows_runs_and_logs(prefect: Prefect) -> None:
    await prefect.run("retries")
    run = max(await prefect.flow_runs("retries"), key=lambda run: run["created"])

    assert run["name"] in await prefect.command("flow-run", "ls", "--limit", "50")
    assert run["id"] in await prefect.command("flow-run", "inspect", run["id"])
    shown = await prefect.command("flow-run", "logs", run["id"])
    for line in await prefect.logs(run["id"]):
        assert line.message.splitlines()[0] in shown
    assert (
        await prefect.command("flow-run", "logs", run["id"], "--head", "--num-logs", "2")
    ).count("Flow run '") == 2


async def test_retries_of_tasks_and_flows(prefect: Prefect) -> None:
    before = {run["id"] for run in await prefect.flow_runs("retries")}
    process = await prefect.run("retries")
    [run] = [run for run in await prefect.flow_runs("retries") if run["id"] not in before]

    assert (run["state_type"], run["run_count"]) == ("COMPLETED", 2)
    assert await prefect.states("flow", run["id"]) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Running",
        "Completed",
    ]
    # The second attempt of the flow runs the task anew.
    for task in await prefect.settled_task_runs(run["id"], 2):
        assert (task["state_type"], task["run_count"]) == ("COMPLETED", 3)
        assert await prefect.states("task", task["id"]) == [
            "Pending",
            "Running",
            "Retrying",
            "Retrying",
            "Completed",
        ]
    await assert_logs_are_those(prefect, process, [run["id"]])


async def test_a_failing_task_fails_its_flow(prefect: Prefect) -> None:
    process = await prefect.run("failing", returncode=1)
    run = await prefect.flow_run("failing")

    assert run["state_type"] == "FAILED"
    assert "division by zero" in run["state"]["message"]
    # One that never began has no end.
    tasks = await prefect.settled_task_runs(run["id"], 3, never_began=1)
    by_name = sorted((task["name"].split("-")[0], task["state_name"]) for task in tasks)
    assert by_name == [("after", "NotReady"), ("divide", "Failed"), ("divide", "Failed")]

    await assert_logs_are_those(prefect, process, [run["id"]])
    errors = await prefect.logs(run["id"], level={"ge_": 40})
    assert all(line.level >= 40 for line in errors)
    tracebacks = [line for line in errors if "Traceback (most recent call last)" in line.message]
    assert tracebacks
    assert all("ZeroDivisionError: division by zero" in line.message for line in tracebacks)


async def test_a_cancelled_run_stops(
    prefect: Prefect, eventually: Callable[..., Awaitable[None]]
) -> None:
    started = await prefect.start("waiting")

    async def in_its_third_step() -> bool:
        return any(line.message == "step 2" for line in started.logged())

    await eventually(in_its_third_step, within=60)
    run = await prefect.flow_run("waiting")

    # What a worker does: the user asks, the process gets SIGTERM, the worker tells the end.
    shown = await prefect.command("flow-run", "cancel", run["id"])
    assert "scheduled for cancellation" in shown
    signalled = dt.datetime.now(dt.UTC)
    started.process.send_signal(signal.SIGTERM)
    finished = await started.finish()
    assert finished.returncode != 0
    response = await prefect.api.post(
        f"/flow_runs/{run['id']}/set_state",
        json={"state": {"type": "CANCELLED", "message": "enough"}, "force": True},
    )
    assert response.json()["status"] == "ACCEPT", response.text

    run = await prefect.flow_run("waiting")
    assert (run["state_type"], run["state"]["message"]) == ("CANCELLED", "enough")
    assert run["end_time"] is not None
    assert await prefect.states("flow", run["id"]) == [
        "Pending",
        "Running",
        "Cancelling",
        "Crashed",
        "Cancelled",
    ]
    shown = await prefect.command("flow-run", "cancel", run["id"], returncode=1)
    assert "already in terminal state CANCELLED" in shown

    # A client that is killed does not send its last lines; what it sent is there.
    found = await prefect.logs(run["id"])
    logged = started.logged()
    assert set(found) <= set(logged)
    assert len(set(found)) == len(found)
    sent = signalled - dt.timedelta(seconds=1)
    assert [line for line in sorted(found) if line.timestamp < sent] == [
        line for line in logged if line.timestamp < sent
    ]
    assert "step 2" in messages(found)
    assert "step 299" not in messages(logged)


async def test_variables(prefect: Prefect) -> None:
    await prefect.run("settings_and_limits", "variables")
    run = await prefect.flow_run("variables")
    said = messages(await prefect.logs(run["id"]))
    first = said.index("missing: none")
    assert said[first : first + 5] == [
        "missing: none",
        "set: blue",
        "refused: ValueError",
        "overwritten: green",
        "unset: none",
    ]


async def test_a_concurrency_limit_lets_one_in_at_a_time(prefect: Prefect) -> None:
    await prefect.command("global-concurrency-limit", "create", "one-at-a-time", "--limit", "1")
    running = [await prefect.start("settings_and_limits", "limited") for _ in range(2)]
    for process in running:
        finished = await process.finish()
        assert finished.returncode == 0, finished.output

    times = [
        (float(found[2]), found[1])
        for process in running
        for line in process.logged()
        if (found := re.fullmatch(r"(enter|leave) ([\d.]+)", line.message))
    ]
    assert [what for _, what in sorted(times)] == ["enter", "leave"] * 6
    shown = await prefect.command("global-concurrency-limit", "inspect", "one-at-a-time")
    assert re.search(r"active_slots\D+0\b|Active Slots\D+0\b", shown), shown


async def test_what_is_not_there_raises_the_clients_own_exception(prefect: Prefect) -> None:
    shown = await prefect.command("flow-run", "inspect", str(uuid.uuid4()), returncode=1)
    assert "not found" in shown.lower()
    shown = await prefect.command("variable", "inspect", "nobody_set_it", returncode=1)
    assert "not found" in shown.lower()


@pytest.mark.parametrize("level", [10, 30, 50])
async def test_the_level_filter_counts_what_the_flow_logged(prefect: Prefect, level: int) -> None:
    before = {run["id"] for run in await prefect.flow_runs("chatty")}
    process = await prefect.run("chatty", "2", "60")
    [run] = [run for run in await prefect.flow_runs("chatty") if run["id"] not in before]
    found = await prefect.logs(run["id"], level={"ge_": level})
    assert sorted(found) == [line for line in process.logged() if line.level >= level]
