"""What is made, changed and deleted is told as an event, with what it is then."""

import base64
import uuid
from typing import Any

import httpx

from tests.api.deployed import a_name


async def told_of(client: httpx.AsyncClient, resource_id: str) -> list[dict[str, Any]]:
    """The events about a resource, the oldest first."""
    body = {"filter": {"resource": {"id": [resource_id]}, "order": "ASC"}}
    answer = await client.post("/events/filter", json=body)
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


def payloads(events: list[dict[str, Any]], kind: str) -> list[tuple[str, Any]]:
    """What became of it, and what it then was."""
    return [(event["event"].removeprefix(f"prefect.{kind}."), event["payload"]) for event in events]


async def test_a_variable_tells_its_value(shared_client: httpx.AsyncClient) -> None:
    name = a_name()
    made = await shared_client.post("/variables/", json={"name": name, "value": [1], "tags": ["t"]})
    await shared_client.patch(f"/variables/name/{name}", json={"value": {"a": 2}})
    await shared_client.delete(f"/variables/{made.json()['id']}")
    events = await told_of(shared_client, f"prefect.variable.{made.json()['id']}")
    before = {"name": name, "value": [1], "tags": ["t"]}
    after = {"name": name, "value": {"a": 2}, "tags": ["t"]}
    assert payloads(events, "variable") == [
        ("created", before),
        ("updated", after),
        ("deleted", after),
    ]
    assert {event["resource"]["prefect.resource.name"] for event in events} == {name}


async def test_a_flow_is_told_when_it_is_made_and_not_when_it_is_asked_for(
    shared_client: httpx.AsyncClient,
) -> None:
    body = {"name": a_name(), "labels": {"team": "a"}}
    made = (await shared_client.post("/flows/", json=body)).json()
    assert (await shared_client.post("/flows/", json=body)).status_code == 200
    await shared_client.patch(f"/flows/{made['id']}", json={"tags": ["t"]})
    await shared_client.delete(f"/flows/{made['id']}")
    events = await told_of(shared_client, f"prefect.flow.{made['id']}")
    after = {**body, "tags": ["t"]}
    assert payloads(events, "flow") == [
        ("created", {**body, "tags": []}),
        ("updated", after),
        ("deleted", after),
    ]


async def test_a_limit_of_either_kind_is_told(shared_client: httpx.AsyncClient) -> None:
    name = a_name()
    made = (
        await shared_client.post("/v2/concurrency_limits/", json={"name": name, "limit": 1})
    ).json()
    await shared_client.patch(f"/v2/concurrency_limits/{name}", json={"limit": 2})
    await shared_client.delete(f"/v2/concurrency_limits/{name}")
    events = await told_of(shared_client, f"prefect.concurrency-limit.{made['id']}")
    assert [
        (what, payload["limit"]) for what, payload in payloads(events, "concurrency-limit")
    ] == [("created", 1), ("updated", 2), ("deleted", 2)]

    for limit in (1, 3):
        answer = await shared_client.post(
            "/concurrency_limits/", json={"tag": name, "concurrency_limit": limit}
        )
    await shared_client.delete(f"/concurrency_limits/tag/{name}")
    events = await told_of(shared_client, f"prefect.concurrency-limit.{answer.json()['id']}")
    assert [
        (what, payload["limit"]) for what, payload in payloads(events, "concurrency-limit")
    ] == [("created", 1), ("updated", 3), ("deleted", 3)]
    assert events[0]["payload"]["name"] == f"tag:{name}"


async def test_a_key_of_artifacts_tells_its_newest(shared_client: httpx.AsyncClient) -> None:
    key = a_name()
    ids = []
    for data in (1, 2):
        made = await shared_client.post("/artifacts/", json={"key": key, "data": data})
        ids.append(made.json()["id"])
    await shared_client.delete(f"/artifacts/{ids[1]}")
    await shared_client.delete(f"/artifacts/{ids[0]}")
    found = await shared_client.post(
        "/events/filter",
        json={
            "filter": {
                "any_resource": {"id": [f"prefect.artifact.{id}" for id in ids]},
                "order": "ASC",
            }
        },
    )
    events = found.json()["events"]
    assert [
        (
            event["event"].rpartition(".")[2],
            event["payload"]["data"],
            event["related"][0]["prefect.resource.id"].rpartition(".")[2],
        )
        for event in events
    ] == [
        ("created", 1, ids[0]),
        ("updated", 2, ids[1]),
        ("updated", 1, ids[0]),
        ("deleted", 1, ids[0]),
    ]


async def test_a_block_tells_nothing_of_what_it_holds(shared_client: httpx.AsyncClient) -> None:
    slug = a_name()
    block_type = (
        await shared_client.post("/block_types/", json={"name": slug, "slug": slug})
    ).json()
    schema = (
        await shared_client.post(
            "/block_schemas/",
            json={"block_type_id": block_type["id"], "fields": {"block_type_slug": slug}},
        )
    ).json()
    body = {
        "block_type_id": block_type["id"],
        "block_schema_id": schema["id"],
        "data": {"plain": "words of mine"},
    }
    made = (await shared_client.post("/block_documents/", json={**body, "name": "doc"})).json()
    hidden = await shared_client.post("/block_documents/", json={**body, "is_anonymous": True})
    path = f"/block_documents/{made['id']}"
    await shared_client.patch(path, json={"data": {"plain": "other words"}})
    await shared_client.delete(path)

    events = await told_of(shared_client, f"prefect.block-document.{made['id']}")
    assert [what for what, _ in payloads(events, "block-document")] == [
        "created",
        "updated",
        "deleted",
    ]
    assert "words" not in str(events)
    assert events[0]["payload"]["block_schema"]["block_type"]["name"] == slug
    assert {each["prefect.resource.role"] for each in events[0]["related"]} == {
        "block-type",
        "block-schema",
    }
    assert await told_of(shared_client, f"prefect.block-document.{hidden.json()['id']}") == []

    await shared_client.patch(f"/block_types/{block_type['id']}", json={"description": "d"})
    await shared_client.delete(f"/block_types/{block_type['id']}")
    events = await told_of(shared_client, f"prefect.block-type.{block_type['id']}")
    assert [(what, payload["description"]) for what, payload in payloads(events, "block-type")] == [
        ("created", None),
        ("updated", "d"),
        ("deleted", "d"),
    ]


async def test_what_fails_is_not_told(shared_client: httpx.AsyncClient) -> None:
    name = a_name()
    body = {"name": name, "value": 1}
    made = await shared_client.post("/variables/", json=body)
    assert (await shared_client.post("/variables/", json=body)).status_code == 409
    events = await told_of(shared_client, f"prefect.variable.{made.json()['id']}")
    assert [event["event"] for event in events] == ["prefect.variable.created"]


async def test_a_run_tells_the_tags_around_it(shared_client: httpx.AsyncClient) -> None:
    outer = (await shared_client.post("/flows/", json={"name": a_name(), "tags": ["outer"]})).json()
    outer_run = (await shared_client.post("/flow_runs/", json={"flow_id": outer["id"]})).json()
    task = {"flow_run_id": outer_run["id"], "task_key": "t", "dynamic_key": "1", "name": "call"}
    parent = (await shared_client.post("/task_runs/", json={**task, "tags": ["of-task"]})).json()
    inner = (await shared_client.post("/flows/", json={"name": a_name(), "tags": ["inner"]})).json()
    run = (
        await shared_client.post(
            "/flow_runs/",
            json={"flow_id": inner["id"], "tags": ["own"], "parent_task_run_id": parent["id"]},
        )
    ).json()
    running = {"state": {"type": "RUNNING"}}
    await shared_client.post(f"/flow_runs/{run['id']}/set_state", json=running)
    events = await told_of(shared_client, f"prefect.flow-run.{run['id']}")
    assert [event["event"] for event in events] == [
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
    ]
    for event in events:
        related = {
            (each["prefect.resource.role"], each.get("prefect.resource.name"))
            for each in event["related"]
        }
        assert ("task-run", "call") in related
        tags = [
            each["prefect.resource.id"].removeprefix("prefect.tag.")
            for each in event["related"]
            if each["prefect.resource.role"] == "tag"
        ]
        assert tags == ["inner", "of-task", "own"]


async def test_a_run_tells_which_automation_made_it(shared_client: httpx.AsyncClient) -> None:
    flow = (await shared_client.post("/flows/", json={"name": a_name()})).json()
    automation = uuid.uuid4()
    headers = {
        "prefect-automation-id": str(automation),
        "prefect-automation-name": base64.b64encode(b"mine").decode(),
    }
    made = await shared_client.post("/flow_runs/", json={"flow_id": flow["id"]}, headers=headers)
    run = made.json()["id"]
    await shared_client.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "RUNNING"}})
    events = await told_of(shared_client, f"prefect.flow-run.{run}")
    assert len(events) == 2
    for event in events:
        assert {
            "prefect.resource.id": f"prefect.automation.{automation}",
            "prefect.resource.role": "creator",
            "prefect.resource.name": "mine",
        } in event["related"]
