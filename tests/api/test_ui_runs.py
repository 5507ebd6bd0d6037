"""What the web UI asks about runs."""

import datetime as dt
import uuid
from typing import Any

import httpx
import pytest

from app.wire.base import utc_now
from tests.api.test_run_graph import made_run, made_task


@pytest.fixture
def client(shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Each test looks only at runs of its own."""
    return shared_client


async def answered(client: httpx.AsyncClient, path: str, body: Any) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def moved(client: httpx.AsyncClient, kind: str, id: str, *types: str) -> None:
    for type in types:
        body = {"state": {"type": type}, "force": True}
        answer = await client.post(f"/{kind}/{id}/set_state", json=body)
        assert answer.status_code == 201, answer.text


async def test_runs_are_drawn_as_bars(client: httpx.AsyncClient) -> None:
    run = await made_run(client)
    later = await made_run(client, state={"type": "SCHEDULED"})
    await moved(client, "flow_runs", run["id"], "RUNNING", "COMPLETED")
    only = {"flow_runs": {"id": {"any_": [run["id"], later["id"]]}}}
    bars = await answered(client, "/ui/flow_runs/history", only)
    assert [bar["id"] for bar in bars] == [later["id"], run["id"]]
    assert (bars[0]["state_type"], bars[0]["duration"]) == ("SCHEDULED", 0)
    assert bars[0]["timestamp"] == later["expected_start_time"]
    whole = (await client.get(f"/flow_runs/{run['id']}")).json()
    assert bars[1] == {
        "id": run["id"],
        "state_type": "COMPLETED",
        "timestamp": whole["start_time"],
        "duration": whole["total_run_time"],
        "lateness": whole["estimated_start_time_delta"],
    }
    paged = {**only, "sort": "ID_DESC", "limit": 1, "offset": 1}
    assert [bar["id"] for bar in await answered(client, "/ui/flow_runs/history", paged)] == [
        run["id"]
    ]


async def test_task_runs_are_counted_by_flow_run_without_subflows(
    client: httpx.AsyncClient,
) -> None:
    run = await made_run(client)
    await made_task(client, run["id"], "a")
    dummy = await made_task(client, run["id"], "sub")
    await made_run(client, parent_task_run_id=dummy)
    nobody = str(uuid.uuid4())
    body = {"flow_run_ids": [run["id"], nobody]}
    assert await answered(client, "/ui/flow_runs/count-task-runs", body) == {
        run["id"]: 1,
        nobody: 0,
    }


async def test_task_runs_are_counted_by_state_and_outcome(client: httpx.AsyncClient) -> None:
    run = await made_run(client)
    tasks = [await made_task(client, run["id"], name) for name in "abcd"]
    await moved(client, "task_runs", tasks[0], "RUNNING", "COMPLETED")
    await moved(client, "task_runs", tasks[1], "RUNNING", "FAILED")
    await moved(client, "task_runs", tasks[2], "RUNNING")
    only: dict[str, Any] = {"flow_run_id": {"any_": [run["id"]]}}
    counts = await answered(client, "/ui/task_runs/count", {"task_runs": only})
    assert {state: count for state, count in counts.items() if count} == {
        "COMPLETED": 1,
        "FAILED": 1,
        "RUNNING": 1,
        "PENDING": 1,
    }
    assert len(counts) == 9
    now = utc_now()
    body = {
        "task_runs": {**only, "start_time": {"after_": (now - dt.timedelta(hours=1)).isoformat()}}
    }
    buckets = await answered(client, "/ui/task_runs/dashboard/counts", body)
    assert len(buckets) == 20
    assert buckets[-1] == {"completed": 1, "failed": 1}
    assert all(bucket == {"completed": 0, "failed": 0} for bucket in buckets[:-1])


async def test_a_task_run_comes_with_the_name_of_its_flow_run(client: httpx.AsyncClient) -> None:
    run = await made_run(client, name="lively-otter")
    task = await made_task(client, run["id"], "a")
    shown = (await client.get(f"/ui/task_runs/{task}")).json()
    plain = (await client.get(f"/task_runs/{task}")).json()
    moving = {"estimated_start_time_delta": 0}
    assert {**shown, **moving} == {**plain, "flow_run_name": "lively-otter", **moving}
    missing = await client.get(f"/ui/task_runs/{uuid.uuid4()}")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Task not found"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ui/flow_runs/history", {"limit": 1001}),
        ("/ui/flow_runs/history", {"offset": -1}),
        ("/ui/flow_runs/history", {"sort": "SIDEWAYS"}),
        ("/ui/flow_runs/history", {"flow_runs": {"nonsense": 1}}),
        ("/ui/flow_runs/count-task-runs", {}),
        ("/ui/flow_runs/count-task-runs", {"flow_run_ids": ["x"]}),
        ("/ui/flow_runs/count-task-runs", {"flow_run_ids": [str(uuid.UUID(int=0))] * 201}),
        ("/ui/task_runs/count", {"task_runs": 1}),
        ("/ui/task_runs/dashboard/counts", {}),
        ("/ui/task_runs/dashboard/counts", {"task_runs": {}}),
    ],
)
async def test_bad_questions_are_refused(client: httpx.AsyncClient, path: str, body: Any) -> None:
    assert (await client.post(path, json=body)).status_code == 422
