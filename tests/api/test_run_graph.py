"""The graph of a flow run over HTTP."""

import uuid
from typing import Any

import httpx
import pytest

from app.services import Services


@pytest.fixture
def client(shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Each test looks only at runs of its own."""
    return shared_client


async def made_run(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    flow = (await client.post("/flows/", json={"name": f"flow-{uuid.uuid4()}"})).json()
    answer = await client.post("/flow_runs/", json={"flow_id": flow["id"], **fields})
    run: dict[str, Any] = answer.json()
    return {**run, "flow_name": flow["name"]}


async def made_task(client: httpx.AsyncClient, flow_run_id: str, name: str, **inputs: Any) -> str:
    body = {
        "flow_run_id": flow_run_id,
        "task_key": name,
        "dynamic_key": "0",
        "name": name,
        "task_inputs": inputs,
    }
    answer = await client.post("/task_runs/", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def result(id: str) -> dict[str, str]:
    return {"input_type": "task_run", "id": id}


def ids(edges: list[dict[str, str]]) -> list[str]:
    return [edge["id"] for edge in edges]


async def test_edges_follow_the_results_that_tasks_took(client: httpx.AsyncClient) -> None:
    run = await made_run(client)
    first = await made_task(
        client, run["id"], "first", n=[{"input_type": "parameter", "name": "n"}]
    )
    second = await made_task(client, run["id"], "second", x=[result(first)], y=[result(first)])
    last = await made_task(
        client, run["id"], "last", z=[result(second), result(first), result(str(uuid.uuid4()))]
    )
    inner = await made_task(client, run["id"], "inner", __parents__=[result(second)])
    graph = (await client.get(f"/flow_runs/{run['id']}/graph-v2")).json()
    nodes = dict(graph["nodes"])
    assert list(nodes) == [first, second, last, inner]
    assert [nodes[id]["label"] for id in nodes] == ["first", "second", "last", "inner"]
    assert graph["root_node_ids"] == [first, inner]
    assert ids(nodes[second]["parents"]) == [first]
    assert ids(nodes[last]["parents"]) == [first, second]
    assert ids(nodes[first]["children"]) == [second, last]
    assert ids(nodes[inner]["encapsulating"]) == [second]
    assert nodes[inner]["parents"] == nodes[inner]["children"] == []
    assert (nodes[first]["kind"], nodes[first]["state_type"]) == ("task-run", "PENDING")
    assert (nodes[first]["end_time"], graph["end_time"]) == (None, None)
    assert [state["name"] for state in graph["states"]] == ["Pending"]
    assert graph["start_time"] == run["expected_start_time"]

    old = (await client.get(f"/flow_runs/{run['id']}/graph")).json()
    taken = {each["name"]: each["upstream_dependencies"] for each in old}
    assert taken["first"] == []
    assert taken["second"] == [result(first)]
    assert {first, second} < set(ids(taken["last"]))
    assert (old[0]["state"]["type"], old[0]["untrackable_result"]) == ("PENDING", False)


async def test_a_subflow_run_is_shown_for_the_task_run_that_stands_for_it(
    client: httpx.AsyncClient,
) -> None:
    run = await made_run(client)
    dummy = await made_task(client, run["id"], "sub")
    child = await made_run(client, parent_task_run_id=dummy, name="small")
    after = await made_task(
        client, run["id"], "after", x=[{"input_type": "flow_run", "id": child["id"]}]
    )
    nodes = dict((await client.get(f"/flow_runs/{run['id']}/graph-v2")).json()["nodes"])
    assert set(nodes) == {child["id"], after}
    assert nodes[child["id"]]["kind"] == "flow-run"
    assert nodes[child["id"]]["label"] == f"{child['flow_name']} / small"
    assert ids(nodes[after]["parents"]) == [child["id"]]


async def test_artifacts_lie_on_their_task_runs(client: httpx.AsyncClient) -> None:
    run = await made_run(client)
    task = await made_task(client, run["id"], "t")
    key = f"k-{uuid.uuid4()}"
    for fields in (
        {"key": key, "type": "markdown", "data": "old", "task_run_id": task},
        {"key": key, "type": "markdown", "data": "new", "task_run_id": task},
        {"type": "progress", "data": 0.5},
        {"type": "result", "data": "hidden"},
    ):
        answer = await client.post("/artifacts/", json={"flow_run_id": run["id"], **fields})
        assert answer.status_code == 201
    graph = (await client.get(f"/flow_runs/{run['id']}/graph-v2")).json()
    (node,) = dict(graph["nodes"]).values()
    assert [(each["is_latest"], each["data"]) for each in node["artifacts"]] == [
        (False, None),
        (True, None),
    ]
    assert [(each["type"], each["data"], each["is_latest"]) for each in graph["artifacts"]] == [
        ("progress", 0.5, True)
    ]


async def test_since_leaves_out_what_had_ended(client: httpx.AsyncClient) -> None:
    run = await made_run(client)
    ended = await made_task(client, run["id"], "ended")
    going = await made_task(client, run["id"], "going", x=[result(ended)])
    state = {"state": {"type": "COMPLETED"}, "force": True}
    await client.post(f"/task_runs/{ended}/set_state", json=state)
    path = f"/flow_runs/{run['id']}/graph-v2"
    later = (await client.get(path, params={"since": "2100-01-01T00:00:00Z"})).json()
    assert [id for id, _ in later["nodes"]] == [going]
    assert later["root_node_ids"] == []
    earlier = (await client.get(path, params={"since": "2000-01-01 00:00:00+00:00"})).json()
    assert len(earlier["nodes"]) == 2


async def test_inputs_of_any_shape_draw_no_edge(
    client: httpx.AsyncClient, shared_services: Services
) -> None:
    run = await made_run(client)
    task = await made_task(client, run["id"], "t")
    odd: Any = {"a": 1, "b": {"id": task}, "c": [1, None, "x", [task], {"id": 5}, {"id": "no"}]}
    await shared_services.pool.execute(
        "UPDATE task_run SET task_inputs = $2 WHERE id = $1", uuid.UUID(task), odd
    )
    graph = (await client.get(f"/flow_runs/{run['id']}/graph-v2")).json()
    assert graph["root_node_ids"] == [task]
    old = await client.get(f"/flow_runs/{run['id']}/graph")
    assert (old.status_code, old.json()[0]["upstream_dependencies"]) == (200, [])


async def test_more_than_10_000_nodes_are_refused(
    client: httpx.AsyncClient, shared_services: Services
) -> None:
    run = await made_run(client)
    await shared_services.pool.execute(
        "INSERT INTO task_run (id, created, updated, name, flow_run_id, task_key, dynamic_key,"
        " empirical_policy, task_inputs, tags, labels, expected_start_time)"
        " SELECT gen_random_uuid(), now(), now(), n::text, $1, 'many', n::text, '{}', '{}', '{}',"
        " '{}', now() FROM generate_series(1, 10000) n",
        uuid.UUID(run["id"]),
    )
    full = await client.get(f"/flow_runs/{run['id']}/graph-v2")
    assert (full.status_code, len(full.json()["nodes"])) == (200, 10_000)
    await made_task(client, run["id"], "one more")
    refused = await client.get(f"/flow_runs/{run['id']}/graph-v2")
    assert refused.status_code == 400
    assert refused.json()["detail"] == (
        f"The graph of flow run {run['id']} has more than 10000 nodes."
    )
    assert (await client.get(f"/flow_runs/{run['id']}/graph")).status_code == 400


async def test_what_cannot_be_drawn_is_said(client: httpx.AsyncClient) -> None:
    nobody = uuid.uuid4()
    missing = await client.get(f"/flow_runs/{nobody}/graph-v2")
    assert missing.status_code == 404
    assert missing.json() == {"exception_message": f"Flow run {nobody} not found"}
    missing = await client.get(f"/flow_runs/{nobody}/graph")
    assert missing.json() == {"exception_message": f"Flow run with id {nobody} not found"}
    for since in ("yesterday", "0001-01-01T00:00:00+01:00"):
        bad = await client.get(f"/flow_runs/{nobody}/graph-v2", params={"since": since})
        assert bad.status_code == 422, bad.text
        assert bad.json()["exception_detail"][0]["loc"][-1] == "since"
