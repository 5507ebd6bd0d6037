"""Work queues over HTTP: those of a pool, and the routes of old agents."""

import uuid

import httpx
import pytest

from tests.api.test_work_pools import events_of


@pytest.fixture
async def pool_path(client: httpx.AsyncClient) -> str:
    """A pool with its default queue and no other."""
    await client.post("/work_pools/", json={"name": "p", "type": "process"})
    return "/work_pools/p/queues"


async def priorities(client: httpx.AsyncClient, path: str) -> list[tuple[int, str]]:
    answer = await client.post(f"{path}/filter", json={})
    return [(queue["priority"], queue["name"]) for queue in answer.json()]


async def test_a_new_queue_comes_last_or_where_it_says(
    client: httpx.AsyncClient, pool_path: str
) -> None:
    made = await client.post(pool_path, json={"name": "a", "concurrency_limit": 2})
    assert made.status_code == 201
    queue = made.json()
    assert (queue["priority"], queue["description"], queue["filter"]) == (2, "", None)
    assert (queue["work_pool_name"], queue["status"], queue["last_polled"]) == (
        "p",
        "NOT_READY",
        None,
    )
    assert (queue["concurrency_limit"], queue["active_slots"]) == (2, 0)
    # The command line says that there is no description; it is kept as an empty one.
    b = {"name": "b", "priority": 1, "description": None}
    assert (await client.post(pool_path, json=b)).json()["description"] == ""
    assert await priorities(client, pool_path) == [(1, "b"), (2, "default"), (3, "a")]
    await client.post(pool_path, json={"name": "c", "priority": 5})
    assert await priorities(client, pool_path) == [(1, "b"), (2, "default"), (3, "a"), (5, "c")]
    # Without a priority the first that is free.
    await client.post(pool_path, json={"name": "d"})
    assert (await priorities(client, pool_path))[3] == (4, "d")

    again = await client.post(pool_path, json={"name": "a"})
    assert (again.status_code, again.json()) == (
        409,
        {"detail": "A work queue with this name already exists in work pool 'p'."},
    )


async def test_who_stands_where_a_queue_moves_to_moves_back(
    client: httpx.AsyncClient, pool_path: str
) -> None:
    for name, priority in (("b", 1), ("a", 3), ("c", 5)):
        await client.post(pool_path, json={"name": name, "priority": priority})
    await client.patch(f"{pool_path}/c", json={"priority": 2})
    assert await priorities(client, pool_path) == [(1, "b"), (2, "c"), (3, "default"), (4, "a")]
    await client.patch(f"{pool_path}/b", json={"priority": 3})
    assert await priorities(client, pool_path) == [(2, "c"), (3, "b"), (4, "default"), (5, "a")]
    await client.patch(f"{pool_path}/b", json={"priority": 30})
    assert await priorities(client, pool_path) == [(2, "c"), (4, "default"), (5, "a"), (30, "b")]
    await client.delete(f"{pool_path}/c")
    assert await priorities(client, pool_path) == [(4, "default"), (5, "a"), (30, "b")]


async def test_a_queue_is_changed_in_what_the_body_names(
    client: httpx.AsyncClient, pool_path: str
) -> None:
    made = (await client.post(pool_path, json={"name": "a"})).json()
    change = {"name": "b", "concurrency_limit": 3, "description": "x"}
    assert (await client.patch(f"{pool_path}/a", json=change)).status_code == 204
    changed = (await client.get(f"{pool_path}/b")).json()
    assert changed.items() >= change.items()
    assert (changed["id"], changed["active_slots"]) == (made["id"], 0)
    await client.patch(f"{pool_path}/b", json={"is_paused": True})
    assert (await client.get(f"{pool_path}/b")).json()["status"] == "PAUSED"
    await client.patch(f"{pool_path}/b", json={"is_paused": False})
    assert (await client.get(f"{pool_path}/b")).json()["status"] == "NOT_READY"
    assert await events_of(client, f"prefect.work-queue.{made['id']}") == [
        "prefect.work-queue.created",
        "prefect.work-queue.updated",
        "prefect.work-queue.paused",
        "prefect.work-queue.not-ready",
    ]
    taken = await client.patch(f"{pool_path}/b", json={"name": "default", "description": "y"})
    assert taken.status_code == 409
    assert (await client.get(f"{pool_path}/b")).json()["description"] == "x"


async def test_the_default_queue_of_a_pool_stays(client: httpx.AsyncClient, pool_path: str) -> None:
    refused = await client.delete(f"{pool_path}/default")
    assert (refused.status_code, refused.json()) == (
        409,
        {"detail": "Can't delete a pool's default queue."},
    )
    assert await priorities(client, pool_path) == [(1, "default")]


async def test_queues_are_found_by_name(client: httpx.AsyncClient, pool_path: str) -> None:
    await client.post("/work_pools/", json={"name": "other", "type": "process"})
    for name in ("beta", "Better", "alpha"):
        await client.post(pool_path, json={"name": name})

    async def found(path: str, **name: object) -> list[str]:
        answer = await client.post(f"{path}/filter", json={"work_queues": {"name": name}})
        return [queue["name"] for queue in answer.json()]

    assert await found(pool_path, startswith_=["be"]) == ["beta", "Better"]
    assert await found(pool_path, any_=["alpha", "default"]) == ["default", "alpha"]
    assert await found("/work_queues", any_=["default"]) == ["default", "default"]
    page = await client.post(f"{pool_path}/filter", json={"limit": 2, "offset": 2})
    assert [queue["name"] for queue in page.json()] == ["Better", "alpha"]


async def test_a_queue_without_a_pool_belongs_to_the_old_agents(client: httpx.AsyncClient) -> None:
    body: dict[str, object] = {"name": "legacy", "filter": {"tags": ["x"], "deployment_ids": []}}
    made = await client.post("/work_queues/", json=body)
    assert made.status_code == 201
    queue = made.json()
    assert queue.items() >= body.items()
    assert (queue["work_pool_name"], queue["priority"]) == ("default-agent-pool", 2)
    pool = (await client.get("/work_pools/default-agent-pool")).json()
    assert (pool["id"], pool["type"], pool["status"]) == (
        queue["work_pool_id"],
        "prefect-agent",
        None,
    )
    path = f"/work_queues/{queue['id']}"
    assert (await client.get(path)).json() == queue
    assert (await client.get("/work_queues/name/legacy")).json() == queue
    again = await client.post("/work_queues/", json=body)
    assert (again.status_code, again.json()) == (
        409,
        {"detail": "A work queue with this name already exists."},
    )
    status = {"healthy": False, "late_runs_count": 0, "last_polled": None}
    policy = {"maximum_late_runs": 0, "maximum_seconds_since_last_polled": 60}
    assert (await client.get(f"{path}/status")).json() == {
        **status,
        "health_check_policy": policy,
    }
    assert (await client.patch(path, json={"is_paused": True, "priority": 1})).status_code == 204
    changed = (await client.get(path)).json()
    assert (changed["status"], changed["priority"]) == ("PAUSED", 1)
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_what_is_not_there_is_404(client: httpx.AsyncClient, pool_path: str) -> None:
    for answer in (
        await client.get(f"{pool_path}/nobody"),
        await client.patch(f"{pool_path}/nobody", json={}),
        await client.delete(f"{pool_path}/nobody"),
    ):
        assert (answer.status_code, answer.json()) == (
            404,
            {"detail": "Work pool queue 'p/nobody' not found."},
        )
    id = uuid.uuid4()
    for answer, body in (
        (await client.get(f"/work_queues/{id}"), {"detail": "work queue not found"}),
        (await client.delete(f"/work_queues/{id}"), {"detail": "work queue not found"}),
        (await client.get("/work_queues/name/a"), {"detail": "work queue not found"}),
        (
            await client.patch(f"/work_queues/{id}", json={}),
            {"detail": f"Work Queue {id} not found"},
        ),
        (
            await client.get(f"/work_queues/{id}/status"),
            {"exception_message": f"Work queue with id {id} not found"},
        ),
        (
            await client.post(f"/work_queues/{id}/concurrency_status", json={}),
            {"detail": "Work queue not found."},
        ),
    ):
        assert (answer.status_code, answer.json()) == (404, body)


async def test_bad_bodies_name_the_field_and_change_nothing(
    client: httpx.AsyncClient, pool_path: str
) -> None:
    cases_1: list[tuple[dict[str, object], list[str]]] = [
        ({}, ["body", "name"]),
        ({"name": "a/b"}, ["body", "name"]),
        ({"name": "a", "priority": 0}, ["body", "priority"]),
        ({"name": "a", "priority": 2**31}, ["body", "priority"]),
        ({"name": "a", "concurrency_limit": -1}, ["body", "concurrency_limit"]),
        ({"name": "a", "tags": ["x"]}, ["body", "tags"]),
    ]
    for body, loc in cases_1:
        for path in (pool_path, "/work_queues/"):
            answer = await client.post(path, json=body)
            assert answer.status_code == 422, body
            assert answer.json()["exception_detail"][0]["loc"] == loc, body
    assert len((await client.post("/work_queues/filter", json={})).json()) == 1

    before = (await client.get(f"{pool_path}/default")).json()
    cases_2: list[tuple[dict[str, object], list[str]]] = [
        ({"priority": None}, ["body", "priority"]),
        ({"priority": 0}, ["body", "priority"]),
        ({"is_paused": None}, ["body", "is_paused"]),
        ({"last_polled": "x"}, ["body", "last_polled"]),
        ({"x": 1}, ["body", "x"]),
    ]
    for change, loc in cases_2:
        answer = await client.patch(f"{pool_path}/default", json=change)
        assert answer.status_code == 422, change
        assert answer.json()["exception_detail"][0]["loc"] == loc, change
    nul = await client.patch(f"{pool_path}/default", json={"name": "a\u0000"})
    assert nul.status_code == 422
    assert (await client.get(f"{pool_path}/default")).json() == before

    cases_3: list[tuple[str, dict[str, object]]] = [
        (f"{pool_path}/filter", {"limit": 201}),
        (f"{pool_path}/filter", {"offset": -1}),
        (f"{pool_path}/filter", {"work_queues": {"x": 1}}),
        ("/work_queues/filter", {"limit": -1}),
        (f"/work_queues/{before['id']}/concurrency_status", {"page": 0}),
    ]
    for path, query in cases_3:
        assert (await client.post(path, json=query)).status_code == 422, query
