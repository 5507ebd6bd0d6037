"""A flow asks for runs of a deployment, waits for them or not, and is told what is wrong."""

import pytest

from tests.tutorial.conftest import Prefect

# Each step has its own time-out; a busy machine takes its time over the processes of a client.
pytestmark = pytest.mark.timeout(300)


async def test_a_flow_gets_the_runs_that_it_asks_for_and_hears_why_it_does_not(
    on_call: Prefect,
) -> None:
    await on_call.run("asking")
    run = await on_call.flow_run("asking")
    said = [line.message for line in await on_call.logs(run["id"])]
    ids = {kind: line.split()[2] for line in said for kind in ("awaited", "left") if kind in line}
    first = said.index(f"awaited: Completed {ids['awaited']}")
    assert said[first : first + 5] == [
        f"awaited: Completed {ids['awaited']}",
        f"left: Scheduled {ids['left']}",
        "refused: 409 Error creating flow run: Validation failed for field 'number'. Failure"
        " reason: 'many' is not of type 'integer'",
        "refused: 409 Error creating flow run: Validation failed. Failure reason: 'number' is a"
        " required property",
        "not found",
    ]

    # What it waited for is a subflow of its own, with a task run that stands for it.
    awaited = await on_call.read_run(ids["awaited"])
    assert awaited["parameters"] == {"number": 7}
    assert (await on_call.subflow_runs(run["id"]))[0]["id"] == awaited["id"]
    [stand_in] = await on_call.settled_task_runs(run["id"], 1)
    assert stand_in["id"] == awaited["parent_task_run_id"]
    assert stand_in["task_key"].endswith("run_deployment.deployed-on-call")
    state = stand_in["state"]
    assert (state["type"], state["state_details"]["child_flow_run_id"]) == (
        "COMPLETED",
        awaited["id"],
    )
    graph = (await on_call.api.get(f"/flow_runs/{run['id']}/graph-v2")).json()
    [[_, node]] = graph["nodes"]
    assert (node["kind"], node["id"]) == ("flow-run", awaited["id"])

    left = await on_call.reaches(ids["left"], "Completed")
    assert (left["name"], left["parent_task_run_id"]) == ("by-itself", None)
    assert "asked" in left["tags"]
