"""What lists tell of runs, a page of the list at a time."""

import datetime as dt
from typing import Any

import httpx

from app.wire.base import new_id
from tests.api.deployed import NOTHING, a_flow, a_name

RECENT = "/tailrace/recent_runs"


async def _run(client: httpx.AsyncClient, flow_id: str, state: str, **more: object) -> str:
    body = {"flow_id": flow_id, "state": {"type": state, **more}, "name": a_name()}
    answer = await client.post("/flow_runs/", json=body)
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["name"]
    return name


async def _deployment_run(
    client: httpx.AsyncClient, deployment_id: str, hours: int, tag: str | None = None
) -> str:
    due = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    body = {"state": state, "tags": [tag] if tag else []}
    answer = await client.post(f"/deployments/{deployment_id}/create_flow_run", json=body)
    assert answer.status_code == 201, answer.text
    name: str = answer.json()["name"]
    return name


async def _recent(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await client.post(RECENT, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_each_flow_has_its_own_last_runs_and_none_takes_anothers_room(
    shared_client: httpx.AsyncClient,
) -> None:
    busy, calm, idle = [await a_flow(shared_client) for _ in range(3)]
    calmed = await _run(shared_client, calm, "FAILED")
    many = [await _run(shared_client, busy, "COMPLETED") for _ in range(3)]
    nobody = str(new_id())
    found = await _recent(shared_client, flow_ids=[busy, calm, idle, nobody], limit=2)
    assert [run["name"] for run in found[busy]["last"]] == [many[2], many[1]]
    [run] = found[calm]["last"]
    assert (run["name"], run["state_type"], run["state_name"]) == (calmed, "FAILED", "Failed")
    assert found[idle] == found[nobody] == {"last": [], "next": None}


async def test_the_next_run_is_the_one_that_is_due_first(shared_client: httpx.AsyncClient) -> None:
    flow_id = await a_flow(shared_client)
    answer = await shared_client.post("/deployments/", json={"name": a_name(), "flow_id": flow_id})
    deployment_id = answer.json()["id"]
    await _deployment_run(shared_client, deployment_id, hours=5)
    sooner = await _deployment_run(shared_client, deployment_id, hours=2)
    of_deployment = await _recent(shared_client, deployment_ids=[deployment_id])
    assert of_deployment[deployment_id]["next"]["name"] == sooner
    assert of_deployment[deployment_id]["last"] == []
    of_flow = await _recent(shared_client, flow_ids=[flow_id])
    assert of_flow[flow_id] == of_deployment[deployment_id]


async def test_whose_runs_are_asked_for_is_said_once(shared_client: httpx.AsyncClient) -> None:
    both: dict[str, list[str]] = {"flow_ids": [], "deployment_ids": []}
    for body in (NOTHING, both):
        answer = await shared_client.post(RECENT, json=body)
        assert answer.status_code == 422
        assert "either flow_ids or deployment_ids" in answer.text


async def test_tags_of_runs_and_deployments_are_found_by_a_part_in_any_case(
    shared_client: httpx.AsyncClient,
) -> None:
    word = a_name()
    flow_id = await a_flow(shared_client)
    body = {"name": a_name(), "flow_id": flow_id, "tags": [f"{word}-of-deployment"]}
    deployment_id = (await shared_client.post("/deployments/", json=body)).json()["id"]
    # Expected after all other runs, so that it is among the newest.
    await _deployment_run(shared_client, deployment_id, hours=9, tag=f"{word}-of-Run")
    found = await shared_client.get("/tailrace/run_tags", params={"text": word.upper()})
    assert found.json() == [f"{word}-of-Run", f"{word}-of-deployment"]
    one = await shared_client.get("/tailrace/run_tags", params={"text": word, "limit": 1})
    assert len(one.json()) == 1
