"""Many runs and flows at once."""

import uuid
from typing import Any

import httpx
import pytest

from tests.api.deployed import a_deployment


async def a_flow(client: httpx.AsyncClient) -> str:
    answer = await client.post("/flows/", json={"name": f"f{uuid.uuid4().hex}"})
    return str(answer.json()["id"])


async def runs_of(client: httpx.AsyncClient, tag: str, *types: str) -> list[str]:
    flow = await a_flow(client)
    made = [
        await client.post(
            "/flow_runs/", json={"flow_id": flow, "tags": [tag], "state": {"type": type}}
        )
        for type in types
    ]
    return [answer.json()["id"] for answer in made]


def tagged(tag: str) -> dict[str, Any]:
    return {"flow_runs": {"tags": {"all_": [tag]}}}


async def test_each_run_is_told_what_became_of_it(shared_client: httpx.AsyncClient) -> None:
    tag = uuid.uuid4().hex
    running, failed, cancelling = await runs_of(
        shared_client, tag, "RUNNING", "FAILED", "CANCELLING"
    )
    body = {**tagged(tag), "state": {"type": "CRASHED", "message": "m"}}
    answer = await shared_client.post("/flow_runs/bulk_set_state", json=body)
    assert answer.status_code == 200
    results = {result["flow_run_id"]: result for result in answer.json()["results"]}
    statuses = [results[run]["status"] for run in (running, failed, cancelling)]
    assert statuses == ["ACCEPT", "ABORT", "REJECT"]
    assert results[running]["state"]["message"] == "m"
    assert results[failed]["details"]["type"] == "abort_details"
    forced = await shared_client.post("/flow_runs/bulk_set_state", json={**body, "force": True})
    assert {result["status"] for result in forced.json()["results"]} == {"ACCEPT"}


async def test_chosen_runs_are_cancelled_retried_and_deleted(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = (await a_deployment(shared_client))["id"]
    chosen = []
    passed: list[list[str]] = [[], ["RUNNING"], ["RUNNING", "FAILED"]]
    for types in passed:
        made = await shared_client.post(f"/deployments/{deployment}/create_flow_run", json={})
        chosen.append(made.json()["id"])
        for type in types:
            state = {"state": {"type": type}, "force": True}
            await shared_client.post(f"/flow_runs/{chosen[-1]}/set_state", json=state)
    await runs_of(shared_client, uuid.uuid4().hex, "RUNNING")

    async def become(type: str, ids: list[str], **said: object) -> list[str]:
        body = {"flow_runs": {"id": {"any_": ids}}, "state": {"type": type, **said}}
        answer = await shared_client.post("/flow_runs/bulk_set_state", json=body)
        assert answer.status_code == 200, answer.text
        types = {each["flow_run_id"]: each["state"]["type"] for each in answer.json()["results"]}
        assert len(types) == len(ids)
        return [types[id] for id in ids]

    assert await become("CANCELLING", chosen) == ["CANCELLED", "CANCELLING", "FAILED"]
    waiting, cancelling, failed = chosen
    again = await become("SCHEDULED", [waiting, failed], name="AwaitingRetry")
    assert again == ["SCHEDULED", "SCHEDULED"]
    assert await become("CANCELLED", [cancelling]) == ["CANCELLED"]
    body = {"flow_runs": {"id": {"any_": chosen}}}
    answer = await shared_client.post("/flow_runs/bulk_delete", json=body)
    assert sorted(answer.json()["deleted"]) == sorted(chosen)


async def test_what_matches_is_deleted_and_named(shared_client: httpx.AsyncClient) -> None:
    tag = uuid.uuid4().hex
    runs = await runs_of(shared_client, tag, "PENDING", "PENDING", "PENDING")
    (other,) = await runs_of(shared_client, uuid.uuid4().hex, "PENDING")
    answer = await shared_client.post("/flow_runs/bulk_delete", json={**tagged(tag), "limit": 2})
    assert answer.status_code == 200
    assert sorted(answer.json()["deleted"]) == sorted(runs[1:])
    assert (await shared_client.get(f"/flow_runs/{runs[0]}")).status_code == 200
    assert (await shared_client.get(f"/flow_runs/{other}")).status_code == 200
    answer = await shared_client.post("/flow_runs/bulk_delete", json=tagged(uuid.uuid4().hex))
    assert answer.json() == {"deleted": []}


async def test_flows_are_deleted_with_their_runs(shared_client: httpx.AsyncClient) -> None:
    (run,) = await runs_of(shared_client, "t", "RUNNING")
    flow = (await shared_client.get(f"/flow_runs/{run}")).json()["flow_id"]
    body = {"flows": {"id": {"any_": [flow]}}}
    answer = await shared_client.post("/flows/bulk_delete", json=body)
    assert answer.json() == {"deleted": [flow]}
    assert (await shared_client.get(f"/flow_runs/{run}")).status_code == 404


@pytest.mark.parametrize("url", ["/flow_runs/bulk_delete", "/flows/bulk_delete"])
@pytest.mark.parametrize("limit", [0, 51, "many"])
async def test_more_than_fifty_at_once_are_refused(
    shared_client: httpx.AsyncClient, url: str, limit: object
) -> None:
    answer = await shared_client.post(url, json={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "limit"]


async def test_a_state_must_be_said(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.post("/flow_runs/bulk_set_state", json={"limit": 1})
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "state"]
