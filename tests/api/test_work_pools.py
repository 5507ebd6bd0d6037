"""Work pools and workers over HTTP."""

import datetime as dt
import uuid
from typing import Any

import httpx
import pytest

from app.wire.base import new_id
from storage.postgres.pool import Pool

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}


async def events_of(client: httpx.AsyncClient, id: str) -> list[str]:
    """The names of the events about a resource, the oldest first."""
    body = {"filter": {"resource": {"id": [id]}, "order": "ASC"}}
    answer = await client.post("/events/filter", json=body)
    return [event["event"] for event in answer.json()["events"]]


async def test_a_pool_is_made_with_its_default_queue(client: httpx.AsyncClient) -> None:
    body = {"name": "p", "type": "process", "base_job_template": TEMPLATE, "description": "d"}
    made = await client.post("/work_pools/", json=body)
    assert made.status_code == 201
    pool = made.json()
    assert pool.items() >= body.items()
    assert pool["status"] == "NOT_READY"
    assert (pool["concurrency_limit"], pool["active_slots"], pool["is_paused"]) == (
        None,
        None,
        False,
    )
    queue = (await client.get("/work_pools/p/queues/default")).json()
    assert queue["id"] == pool["default_queue_id"]
    assert queue["description"] == "The work pool's default queue."
    assert (queue["priority"], queue["work_pool_name"], queue["status"]) == (1, "p", "NOT_READY")
    assert (await client.get("/work_pools/p")).json() == pool

    again = await client.post("/work_pools/", json=body)
    assert (again.status_code, again.json()) == (
        409,
        {"detail": "A work pool with this name already exists."},
    )
    assert await events_of(client, f"prefect.work-pool.{pool['id']}") == [
        "prefect.work-pool.created",
        "prefect.work-pool.not-ready",
    ]


async def test_names_that_begin_with_prefect_are_reserved(client: httpx.AsyncClient) -> None:
    for name in ("prefect-managed", "Prefect x"):
        made = await client.post("/work_pools/", json={"name": name, "type": "process"})
        assert made.status_code == 403
        assert made.json()["detail"] == (
            "Work pools starting with 'Prefect' are reserved for internal use."
        )
    assert (
        await client.patch("/work_pools/prefect-x", json={"description": ""})
    ).status_code == 403
    assert (
        await client.patch("/work_pools/prefect-x", json={"is_paused": True})
    ).status_code == 404
    assert (await client.delete("/work_pools/prefect-x")).status_code == 403


async def test_a_pool_is_changed_in_what_the_body_names(client: httpx.AsyncClient) -> None:
    made = (await client.post("/work_pools/", json={"name": "p", "type": "process"})).json()
    change = {"description": "new", "concurrency_limit": 4, "base_job_template": TEMPLATE}
    assert (await client.patch("/work_pools/p", json=change)).status_code == 204
    changed = (await client.get("/work_pools/p")).json()
    assert changed.items() >= change.items()
    assert (changed["active_slots"], changed["name"], changed["type"]) == (0, "p", "process")
    assert changed["updated"] > made["updated"]
    await client.patch("/work_pools/p", json={"concurrency_limit": None})
    assert (await client.get("/work_pools/p")).json()["concurrency_limit"] is None
    names = await events_of(client, f"prefect.work-pool.{made['id']}")
    assert names.count("prefect.work-pool.updated") == 2


async def test_a_pool_is_paused_and_ready_again_if_a_worker_is_online(
    client: httpx.AsyncClient,
) -> None:
    pool = (await client.post("/work_pools/", json={"name": "p", "type": "process"})).json()

    async def status() -> str:
        return str((await client.get("/work_pools/p")).json()["status"])

    await client.patch("/work_pools/p", json={"is_paused": True})
    assert await status() == "PAUSED"
    await client.patch("/work_pools/p", json={"is_paused": False})
    assert await status() == "NOT_READY"
    await client.post("/work_pools/p/workers/heartbeat", json={"name": "w"})
    assert await status() == "READY"
    await client.patch("/work_pools/p", json={"is_paused": True})
    assert await status() == "PAUSED"
    await client.post("/work_pools/p/workers/heartbeat", json={"name": "w"})
    assert await status() == "PAUSED"
    await client.patch("/work_pools/p", json={"is_paused": False})
    assert await status() == "READY"
    assert await events_of(client, f"prefect.work-pool.{pool['id']}") == [
        "prefect.work-pool.created",
        "prefect.work-pool.not-ready",
        "prefect.work-pool.paused",
        "prefect.work-pool.not-ready",
        "prefect.work-pool.ready",
        "prefect.work-pool.paused",
        "prefect.work-pool.ready",
    ]


async def test_a_pool_of_old_agents_has_no_status(client: httpx.AsyncClient) -> None:
    pool = (await client.post("/work_pools/", json={"name": "old", "is_paused": True})).json()
    assert (pool["type"], pool["status"]) == ("prefect-agent", None)


async def test_pools_are_found_and_counted(client: httpx.AsyncClient) -> None:
    for name, type in (("b", "process"), ("a", "docker"), ("c", "process")):
        await client.post("/work_pools/", json={"name": name, "type": type})

    async def found(filter: dict[str, object]) -> list[str]:
        answer = await client.post("/work_pools/filter", json={"work_pools": filter, "sort": "x"})
        count = await client.post("/work_pools/count", json={"work_pools": filter})
        assert count.json() == len(answer.json())
        return [pool["name"] for pool in answer.json()]

    assert await found({}) == ["a", "b", "c"]
    assert await found({"type": {"any_": ["process"]}}) == ["b", "c"]
    assert await found({"name": {"any_": ["a"]}, "type": {"any_": ["process"]}}) == []
    both: dict[str, object] = {
        "operator": "or_",
        "name": {"any_": ["a"]},
        "type": {"any_": ["process"]},
    }
    assert await found(both) == ["a", "b", "c"]
    page = await client.post("/work_pools/filter", json={"limit": 1, "offset": 1})
    assert [pool["name"] for pool in page.json()] == ["b"]
    assert (await client.post("/work_pools/filter")).status_code == 200


async def test_a_deleted_pool_takes_its_queues_and_workers_along(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    made = (await client.post("/work_pools/", json={"name": "p", "type": "process"})).json()
    await client.post("/work_pools/p/workers/heartbeat", json={"name": "w"})
    assert (await client.delete("/work_pools/p")).status_code == 204
    assert (await client.get("/work_pools/p")).status_code == 404
    assert await pool.fetchval("SELECT count(*) FROM work_queue") == 0
    assert await pool.fetchval("SELECT count(*) FROM worker") == 0
    assert (await events_of(client, f"prefect.work-queue.{made['default_queue_id']}"))[-1] == (
        "prefect.work-queue.deleted"
    )


async def test_what_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/work_pools/nobody"),
        await client.patch("/work_pools/nobody", json={}),
        await client.delete("/work_pools/nobody"),
        await client.post("/work_pools/nobody/workers/heartbeat", json={"name": "w"}),
        await client.post("/work_pools/nobody/workers/filter", json={}),
        await client.delete("/work_pools/nobody/workers/w"),
        await client.post("/work_pools/nobody/queues", json={"name": "q"}),
        await client.post("/work_pools/nobody/queues/filter", json={}),
    ):
        assert (answer.status_code, answer.json()) == (
            404,
            {"detail": 'Work pool "nobody" not found.'},
        )
    status = await client.post("/work_pools/nobody/concurrency_status")
    assert (status.status_code, status.json()) == (
        404,
        {"detail": "Work pool 'nobody' not found."},
    )


@pytest.mark.parametrize(
    ("variable", "status", "words"),
    [
        ({"type": "integer", "default": "x"}, 422, "Validation failed for field 'a'."),
        ({"type": "strange"}, 422, "The schema cannot be used."),
        ({"$ref": "#/properties/a", "default": 1}, 422, "circular"),
        ({"default": {"$ref": {"block_document_id": str(new_id())}}}, 404, "Block not found."),
        ({"default": {"$ref": {"block_document_id": "no"}}}, 404, "Block not found."),
        ({"type": "string", "default": None}, 422, "None is not of type 'string'"),
        ({"type": ["string", "null"], "default": None}, 201, ""),
    ],
)
async def test_defaults_of_job_variables_fit_their_own_schema(
    client: httpx.AsyncClient, variable: dict[str, Any], status: int, words: str
) -> None:
    variables = {"type": "object", "properties": {"a": variable}, "required": ["a"]}
    template = {"job_configuration": {"a": "{{ a }}"}, "variables": variables}
    body = {"name": "p", "type": "process", "base_job_template": template}
    answer = await client.post("/work_pools/", json=body)
    assert answer.status_code == status
    assert words in answer.text
    assert (await client.get("/work_pools/p")).status_code == (200 if status == 201 else 404)


async def test_bad_bodies_name_the_field_and_change_nothing(client: httpx.AsyncClient) -> None:
    no_variables: dict[str, object] = {"job_configuration": {"a": "{{ b }}"}, "variables": {}}
    undeclared = {"job_configuration": {"a": ["x {{ b }}"]}, "variables": {"type": "object"}}
    cases_1: list[tuple[dict[str, object], list[str]]] = [
        ({}, ["body", "name"]),
        ({"name": "a/b"}, ["body", "name"]),
        ({"name": "a", "other": 1}, ["body", "other"]),
        ({"name": "a", "concurrency_limit": -1}, ["body", "concurrency_limit"]),
        ({"name": "a", "base_job_template": {"x": 1}}, ["body", "base_job_template"]),
        ({"name": "a", "base_job_template": no_variables}, ["body", "base_job_template"]),
        ({"name": "a", "base_job_template": undeclared}, ["body", "base_job_template"]),
    ]
    for body, loc in cases_1:
        answer = await client.post("/work_pools/", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["exception_detail"][0]["loc"] == loc, body
    assert (await client.post("/work_pools/count")).json() == 0

    before = (await client.post("/work_pools/", json={"name": "p", "type": "process"})).json()
    cases_2: list[tuple[dict[str, object], list[str]]] = [
        ({"name": "z"}, ["body", "name"]),
        ({"is_paused": None}, ["body", "is_paused"]),
        ({"base_job_template": None}, ["body", "base_job_template"]),
        ({"base_job_template": {"x": 1}}, ["body", "base_job_template"]),
        ({"storage_configuration": {"x": 1}}, ["body", "storage_configuration", "x"]),
    ]
    for body, loc in cases_2:
        answer = await client.patch("/work_pools/p", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["exception_detail"][0]["loc"] == loc, body
    assert (await client.get("/work_pools/p")).json() == before

    cases_3: list[tuple[str, dict[str, object]]] = [
        ("/work_pools/filter", {"limit": 201}),
        ("/work_pools/filter", {"offset": -1}),
        ("/work_pools/filter", {"work_pools": {"x": 1}}),
        ("/work_pools/count", {"work_pools": {"id": {"any_": ["x"]}}}),
        ("/work_pools/p/concurrency_status", {"page": 0}),
        ("/work_pools/p/concurrency_status", {"flow_run_limit": 201}),
        ("/work_pools/p/workers/heartbeat", {}),
        ("/work_pools/p/workers/heartbeat", {"name": "w", "heartbeat_interval_seconds": "x"}),
        ("/work_pools/p/workers/heartbeat", {"name": "w\u0000"}),
        ("/work_pools/p/workers/filter", {"workers": {"status": {"any_": ["AWAY"]}}}),
        ("/work_pools/p/workers/filter", {"limit": 201}),
    ]
    for path, body in cases_3:
        assert (await client.post(path, json=body)).status_code == 422, (path, body)
    assert (await client.post("/work_pools/p/workers/filter", json={})).json() == []


async def test_workers_are_heard_and_found(client: httpx.AsyncClient) -> None:
    await client.post("/work_pools/", json={"name": "p", "type": "process"})
    path = "/work_pools/p/workers"
    for name in ("a", "b", "a/c"):
        beat = {"name": name, "heartbeat_interval_seconds": 5, "unknown": 1}
        assert (await client.post(f"{path}/heartbeat", json=beat)).status_code == 204
    await client.post(f"{path}/heartbeat", json={"name": "a"})

    found = (await client.post(f"{path}/filter", json={})).json()
    assert [worker["name"] for worker in found] == ["a", "a/c", "b"]
    assert {worker["status"] for worker in found} == {"ONLINE"}
    # It is kept from the first heartbeat of `a`: the second says nothing about it.
    assert {worker["heartbeat_interval_seconds"] for worker in found} == {5}

    async def names(workers: dict[str, object]) -> list[str]:
        answer = await client.post(f"{path}/filter", json={"workers": workers})
        return [worker["name"] for worker in answer.json()]

    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    assert await names({"status": {"any_": ["OFFLINE"]}}) == []
    assert await names({"status": {"not_any_": ["OFFLINE"]}}) == ["a", "a/c", "b"]
    assert await names({"last_heartbeat_time": {"after_": soon}}) == []
    assert await names({"last_heartbeat_time": {"before_": soon}}) == ["a", "a/c", "b"]
    either: dict[str, object] = {
        "operator": "or_",
        "status": {"any_": ["OFFLINE"]},
        "last_heartbeat_time": {"before_": soon},
    }
    assert await names(either) == ["a", "a/c", "b"]

    assert (await client.delete(f"{path}/a")).status_code == 204
    gone = await client.delete(f"{path}/a")
    assert (gone.status_code, gone.json()) == (404, {"detail": "Worker not found."})


async def test_a_pool_says_who_takes_up_its_room(client: httpx.AsyncClient, pool: Pool) -> None:
    made = {"name": "p", "type": "process", "concurrency_limit": 5}
    await client.post("/work_pools/", json=made)
    queue = (await client.post("/work_pools/p/queues", json={"name": "q"})).json()
    flow = (await client.post("/flows/", json={"name": "f"})).json()
    runs = [
        (await client.post("/flow_runs/", json={"flow_id": flow["id"], "name": name})).json()
        for name in ("r1", "r2", "r3")
    ]
    ids = [uuid.UUID(run["id"]) for run in runs]
    await pool.execute(
        "UPDATE flow_run SET work_queue_id = $1 WHERE id = ANY ($2)", uuid.UUID(queue["id"]), ids
    )
    for run in runs[:2]:
        state = {"state": {"type": "RUNNING"}}
        await client.post(f"/flow_runs/{run['id']}/set_state", json=state)

    status = (
        await client.post("/work_pools/p/concurrency_status", json={"flow_run_limit": 1})
    ).json()
    # The third is PENDING: it takes up room as well.
    assert (status["active_slots"], status["concurrency_limit"]) == (3, 5)
    assert (status["count"], status["pages"], status["page"], status["limit"]) == (2, 1, 1, 200)
    first, second = status["queues"]
    assert (first["queue_name"], first["active_slots"], first["flow_runs"]) == ("default", 0, [])
    assert (second["queue_name"], second["active_slots"], second["flow_run_count"]) == ("q", 3, 3)
    (holder,) = second["flow_runs"]
    assert (holder["name"], holder["state_type"]) == ("r1", "RUNNING")
    assert holder["time_in_current_state"] > 0
    assert (await client.get("/work_pools/p")).json()["active_slots"] == 3

    page = {"limit": 1, "page": 2, "flow_run_limit": 0}
    second_page = (await client.post("/work_pools/p/concurrency_status", json=page)).json()
    assert [each["queue_name"] for each in second_page["queues"]] == ["q"]
    assert second_page["queues"][0]["flow_runs"] == []
    assert (second_page["pages"], second_page["page"]) == (2, 2)

    of_queue = await client.post(
        f"/work_queues/{queue['id']}/concurrency_status", json={"limit": 2}
    )
    body = of_queue.json()
    assert (body["active_slots"], body["count"], body["pages"]) == (3, 3, 2)
    assert [run["name"] for run in body["flow_runs"]] == ["r1", "r2"]


async def test_the_registry_has_the_template_of_process_pools(client: httpx.AsyncClient) -> None:
    workers = (await client.get("/collections/views/aggregate-worker-metadata")).json()
    template = workers["prefect"]["process"]["default_base_job_configuration"]
    made = {"name": "p", "type": "process", "base_job_template": template}
    assert (await client.post("/work_pools/", json=made)).status_code == 201
    missing = await client.get("/collections/views/nobody")
    assert (missing.status_code, missing.json()) == (
        404,
        {"detail": "View nobody not found in registry"},
    )
