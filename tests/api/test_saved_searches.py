"""Saved searches over HTTP."""

import uuid
from typing import Any

import httpx

CONDITION: dict[str, Any] = {
    "object": "flow",
    "property": "name",
    "type": "text",
    "operation": "is",
    "value": [1, None],
}


async def test_a_search_is_kept_under_its_name(shared_client: httpx.AsyncClient) -> None:
    name = f"s-{uuid.uuid4()}"
    first = await shared_client.put("/saved_searches/", json={"name": name, "filters": [CONDITION]})
    assert (first.status_code, first.json()["filters"]) == (201, [CONDITION])
    second = await shared_client.put("/saved_searches/", json={"name": name})
    assert (second.status_code, second.json()["filters"]) == (200, [])
    id = first.json()["id"]
    assert second.json()["id"] == id
    assert (await shared_client.get(f"/saved_searches/{id}")).json() == second.json()
    listed = (await shared_client.post("/saved_searches/filter")).json()
    assert id in [each["id"] for each in listed]
    assert (await shared_client.delete(f"/saved_searches/{id}")).status_code == 204
    for answer in (
        await shared_client.get(f"/saved_searches/{id}"),
        await shared_client.delete(f"/saved_searches/{id}"),
    ):
        assert (answer.status_code, answer.json()) == (404, {"detail": "Saved search not found"})


async def test_what_is_no_search_is_refused(shared_client: httpx.AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"name": 1},
        {"name": "a", "more": 1},
        {"name": "a", "filters": [{"object": "flow"}]},
    ]
    for body in bodies:
        answer = await shared_client.put("/saved_searches/", json=body)
        assert answer.status_code == 422, answer.text
    for query in ({"limit": 201}, {"limit": -1}, {"offset": -1}):
        answer = await shared_client.post("/saved_searches/filter", json=query)
        assert answer.status_code == 422, answer.text
