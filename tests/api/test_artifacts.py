"""Artifacts, and the newest of each key."""

from typing import Any

import httpx

from app.wire.base import new_id


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A new artifact."""
    answer = await client.post("/artifacts/", json=fields)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


async def test_an_artifact_is_made_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    run = str(new_id())
    made = await create(
        client,
        key="report",
        type="markdown",
        description="d",
        data="# hello",
        metadata_={"a": "b"},
        task_run_id=run,
    )
    assert (made["data"], made["flow_run_id"], made["task_run_id"]) == ("# hello", None, run)
    path = f"/artifacts/{made['id']}"
    assert (await client.get(path)).json() == made
    assert (await client.patch(path, json={"data": {"progress": 50.5}})).status_code == 204
    changed = (await client.get(path)).json()
    assert changed["data"] == {"progress": 50.5}
    assert changed["description"] == "d"
    assert (await client.patch(path, json={"description": None})).status_code == 204
    assert (await client.get(path)).json()["description"] is None
    assert (await client.delete(path)).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, path, content=b"{}")
        assert answer.status_code == 404
    answer = await client.post("/artifacts/", json={"kind": "table"})
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "kind"]


async def test_the_newest_of_a_key_is_shown_for_it(client: httpx.AsyncClient) -> None:
    first = await create(client, key="report", data=1)
    second = await create(client, key="report", data=2)
    other = await create(client, key="other", type="table")
    await create(client, data="without a key")
    assert (await client.get("/artifacts/report/latest")).json() == second
    assert (await client.get("/artifacts/nothing/latest")).status_code == 404

    answer = await client.post("/artifacts/latest/filter", json={"sort": "KEY_ASC"})
    shown = answer.json()
    assert [(c["key"], c["latest_id"]) for c in shown] == [
        ("other", other["id"]),
        ("report", second["id"]),
    ]
    assert shown[1]["created"] == first["created"]
    assert (await client.post("/artifacts/latest/count")).json() == 2
    table = {"artifacts": {"type": {"any_": ["table"]}}}
    assert (await client.post("/artifacts/latest/count", json=table)).json() == 1

    await client.delete(f"/artifacts/{second['id']}")
    assert (await client.get("/artifacts/report/latest")).json() == first
    again = (await client.post("/artifacts/latest/filter", json={"sort": "KEY_ASC"})).json()
    assert again[1]["latest_id"] == first["id"]
    assert again[1]["id"] == shown[1]["id"]


async def test_artifacts_are_found_by_filter(client: httpx.AsyncClient) -> None:
    run = str(new_id())
    one = await create(client, key="one", type="markdown", flow_run_id=run)
    two = await create(client, key="two", type="table")
    three = await create(client, type="result")

    async def found(**body: Any) -> list[str]:
        answer = await client.post("/artifacts/filter", json=body)
        assert answer.status_code == 200
        count = await client.post("/artifacts/count", json=body)
        ids = [artifact["id"] for artifact in answer.json()]
        assert count.json() == len(ids)
        return ids

    assert await found() == [three["id"], two["id"], one["id"]]
    assert await found(artifacts={"flow_run_id": {"any_": [run]}}) == [one["id"]]
    assert await found(artifacts={"type": {"not_any_": ["result"]}}) == [two["id"], one["id"]]
    assert await found(artifacts={"key": {"exists_": False}}) == [three["id"]]
    assert await found(artifacts={"key": {"like_": "TW"}}) == [two["id"]]
    assert await found(artifacts={"id": {"any_": [one["id"]]}}) == [one["id"]]
    # The run is not known here, so no filter on runs can hold for its artifact.
    assert await found(flow_runs={"name": {"like_": ""}}) == []
    assert await found(task_runs={"name": {"like_": ""}}) == []
