"""Task runs over HTTP."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest


@pytest.fixture
def client(shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Each test looks only at task runs whose names or flow runs are its own."""
    return shared_client


@pytest.fixture
async def flow_run_id(client: httpx.AsyncClient) -> str:
    """A running flow run."""
    flow = (await client.post("/flows/", json={"name": f"flow-{uuid.uuid4()}"})).json()
    body = {"flow_id": flow["id"], "state": {"type": "RUNNING"}, "labels": {"y": 1}}
    return str((await client.post("/flow_runs/", json=body)).json()["id"])


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"task_key": "t", "dynamic_key": str(uuid.uuid4()), **fields}
    answer = await client.post("/task_runs/", json=body)
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def proposed(
    client: httpx.AsyncClient, id: str, type: str, *, force: bool = False, **state: Any
) -> dict[str, Any]:
    body = {"state": {"type": type, **state}, "force": force}
    answer = await client.post(f"/task_runs/{id}/set_state", json=body)
    result: dict[str, Any] = answer.json()
    return result


async def test_a_task_run_is_made_once_by_its_key(
    client: httpx.AsyncClient, flow_run_id: str
) -> None:
    inputs = {"x": [{"input_type": "constant", "type": "int"}], "__parents__": []}
    key = str(uuid.uuid4())
    for flow_run in (flow_run_id, None):
        body = {
            "task_key": "t",
            "dynamic_key": key,
            "flow_run_id": flow_run,
            "name": "t-0",
            "task_inputs": inputs,
            "empirical_policy": {"retries": 1, "retry_delay": [1, 2.5]},
        }
        answers = await asyncio.gather(*(client.post("/task_runs/", json=body) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        run = answers[0].json()
        assert (run["state_type"], run["task_inputs"]) == ("PENDING", inputs)
        assert run["empirical_policy"]["retry_delay"] == [1, 2.5]
        if flow_run is not None:
            assert run["labels"]["prefect.flow-run.id"] == flow_run
            assert run["labels"]["y"] == 1


async def test_a_delay_that_no_run_could_wait_is_refused_in_its_older_field_too(
    client: httpx.AsyncClient,
) -> None:
    body = {"task_key": "t", "dynamic_key": "0", "flow_run_id": None}
    for delay in (-1, 1e12):
        policy = {"retries": 1, "retry_delay_seconds": delay}
        answer = await client.post("/task_runs/", json={**body, "empirical_policy": policy})
        assert answer.status_code == 422
        place = answer.json()["exception_detail"][0]["loc"]
        assert place == ["body", "empirical_policy", "retry_delay_seconds"]
    # A row that cannot be read would be an error of every list.
    assert (await client.post("/task_runs/filter", json={})).status_code == 200


async def test_conflicts(client: httpx.AsyncClient, flow_run_id: str) -> None:
    id = str(uuid.uuid4())
    assert (await made(client, id=id, flow_run_id=flow_run_id))["id"] == id
    same_id = {"task_key": "t", "dynamic_key": "other", "id": id}
    assert (await client.post("/task_runs/", json=same_id)).status_code == 409
    orphan = {"task_key": "t", "dynamic_key": "0", "flow_run_id": str(uuid.uuid4())}
    assert (await client.post("/task_runs/", json=orphan)).status_code == 409


async def test_states(client: httpx.AsyncClient, flow_run_id: str) -> None:
    policy = {"retries": 1, "retry_delay": 0}
    id = (await made(client, flow_run_id=flow_run_id, empirical_policy=policy))["id"]
    assert (await proposed(client, id, "RUNNING"))["status"] == "ACCEPT"
    retry = await proposed(client, id, "FAILED")
    assert (retry["status"], retry["state"]["name"]) == ("REJECT", "AwaitingRetry")
    assert (await proposed(client, id, "RUNNING"))["state"]["name"] == "Retrying"
    key = {"cache_key": str(uuid.uuid4())}
    done = await proposed(client, id, "COMPLETED", data={"r": 1}, state_details=key)
    assert done["status"] == "ACCEPT"
    run = (await client.get(f"/task_runs/{id}")).json()
    assert run["state"] == done["state"]
    assert (run["run_count"], run["flow_run_run_count"]) == (2, 1)
    states = (await client.get("/task_run_states/", params={"task_run_id": id})).json()
    assert [state["name"] for state in states] == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]
    assert (await client.get(f"/task_run_states/{states[0]['id']}")).json() == states[0]
    other = (await made(client, flow_run_id=flow_run_id))["id"]
    cached = await proposed(client, other, "RUNNING", state_details=key)
    assert (cached["status"], cached["state"]["name"]) == ("REJECT", "Cached")
    assert cached["state"]["data"] == {"r": 1}
    missing = await proposed(client, str(uuid.uuid4()), "RUNNING")
    assert list(missing) == ["exception_message"]


async def test_runs_share_the_slots_of_their_tags(
    client: httpx.AsyncClient, flow_run_id: str
) -> None:
    tag = f"tag-{uuid.uuid4()}"
    limit = {"tag": tag, "concurrency_limit": 1}
    assert (await client.post("/concurrency_limits/", json=limit)).is_success

    async def holders() -> list[str]:
        answer = await client.get(f"/concurrency_limits/tag/{tag}")
        ids: list[str] = answer.json()["active_slots"]
        return ids

    first = (await made(client, flow_run_id=flow_run_id, tags=[tag, "y"]))["id"]
    second = (await made(client, flow_run_id=flow_run_id, tags=[tag]))["id"]
    answers = await asyncio.gather(*(proposed(client, id, "RUNNING") for id in (first, second)))
    assert sorted(answer["status"] for answer in answers) == ["ACCEPT", "WAIT"]
    runs, waits = (first, second) if answers[0]["status"] == "ACCEPT" else (second, first)
    assert await holders() == [runs]
    await proposed(client, runs, "CANCELLING")
    assert (await proposed(client, waits, "RUNNING"))["status"] == "WAIT"
    await proposed(client, runs, "CANCELLED", force=True)
    assert await holders() == []
    assert (await proposed(client, waits, "RUNNING"))["status"] == "ACCEPT"
    assert await holders() == [waits]


async def test_task_runs_are_found_changed_and_deleted(
    client: httpx.AsyncClient, flow_run_id: str
) -> None:
    mine = str(uuid.uuid4())
    inside = await made(client, flow_run_id=flow_run_id, name=f"inside-{mine}", tags=["x"])
    outside = await made(client, name=f"outside-{mine}")

    async def found(body: dict[str, Any]) -> list[str]:
        named = {"name": {"like_": mine}, **body.get("task_runs", {})}
        body = {**body, "task_runs": named}
        answer = await client.post("/task_runs/filter", json=body)
        assert answer.status_code == 200, answer.text
        count = await client.post("/task_runs/count", json=body)
        assert count.json() == len(answer.json())
        return sorted(run["name"].split("-")[0] for run in answer.json())

    assert await found({}) == ["inside", "outside"]
    # Without a word about it, flow_run_id leaves out runs that have none.
    assert await found({"task_runs": {"flow_run_id": {}}}) == ["inside"]
    assert await found({"task_runs": {"flow_run_id": {"is_null_": True}}}) == ["outside"]
    assert await found({"task_runs": {"flow_run_id": {"is_null_": None}}}) == ["inside", "outside"]
    assert await found({"task_runs": {"flow_run_id": {"any_": [flow_run_id]}}}) == ["inside"]
    assert await found({"task_runs": {"tags": {"all_": ["x"]}}}) == ["inside"]
    assert await found({"flow_runs": {"id": {"any_": [flow_run_id]}}}) == ["inside"]
    assert await found({"flows": {"name": {"like_": "FLOW-"}}}) == ["inside"]
    assert await found({"flows": {"name": {"any_": ["other"]}}}) == []
    assert await found({"task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}) == []
    by_task = {"task_runs": {"name": {"like_": f"SIDE-{mine}"}}}
    assert (await client.post("/flow_runs/count", json=by_task)).json() == 1
    named = {"limit": 1, "task_runs": {"name": {"like_": mine}}}
    page = (await client.post("/task_runs/paginate", json=named)).json()
    assert (page["count"], page["pages"], len(page["results"])) == (2, 2, 1)

    url = f"/task_runs/{outside['id']}"
    assert (await client.patch(url, json={"name": "renamed"})).status_code == 204
    assert (await client.get(url)).json()["name"] == "renamed"
    assert (await client.patch(url, json={"name": "x", "tags": []})).status_code == 422
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).json() == {"detail": "Task not found"}
    assert (await client.get(f"/task_runs/{inside['id']}")).is_success
