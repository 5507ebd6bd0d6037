"""Flow runs: made, read, changed, found, counted; their inputs."""

import base64
from typing import Any

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _flow(server: Conversation, name: str) -> str:
    flow = await server.post("/flows/", {"name": name})
    id: str = flow["id"]
    return id


async def made_and_read(server: Conversation) -> None:
    flow_id = await _flow(server, "fr made 1")
    for body in (
        {},
        {"state": {"type": "RUNNING"}},
        {"state": {"type": "SCHEDULED"}},
        {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(3600)}}},
        {
            "state": {
                "type": "PENDING",
                "name": "Mine",
                "message": "m",
                "data": {"type": "unpersisted"},
            }
        },
        {"state": {"type": "COMPLETED"}},
        {"state": None},
        {
            "name": "run 1",
            "flow_version": "v1",
            "parameters": {"b": [1, 2.5, None, {"x": "y"}], "a": "naïve"},
            "context": {"c": 1},
            "tags": ["b", "a", "b"],
            "labels": {"k": 1},
            "empirical_policy": {"retries": 2, "retry_delay": 3},
        },
        {"empirical_policy": {"max_retries": 3, "retry_delay_seconds": 2.0, "pause_keys": ["k"]}},
        {"idempotency_key": "once"},
        {"idempotency_key": "once", "name": "another 1"},
        {"job_variables": {"image": "x"}},
    ):
        run = await server.post("/flow_runs/", {"flow_id": flow_id, **body})
        await server.get(f"/flow_runs/{run['id']}")
        await server.get("/flow_run_states/", params={"flow_run_id": run["id"]})
    await server.get(f"/flow_run_states/{run['state_id']}")


async def bad_to_make(server: Conversation) -> None:
    flow_id = await _flow(server, "fr bad 1")
    for body in (
        {"flow_id": NOBODY},
        {"flow_id": "no"},
        {"flow_id": None},
        {"state": {}},
        {"state": {"type": "NO"}},
        {"state": {"type": "PENDING", "more": 1}},
        {"state": {"type": "PENDING", "state_details": {"more": 1}}},
        {"state": {"type": "PENDING", "state_details": {"scheduled_time": "no"}}},
        {"name": None},
        {"name": 5},
        {"parameters": []},
        {"parameters": None},
        {"tags": "a"},
        {"tags": None},
        {"labels": {"a": []}},
        {"empirical_policy": {"retries": "x"}},
        {"empirical_policy": None},
        {"parent_task_run_id": "no"},
        {"parent_task_run_id": NOBODY},
        {"deployment_id": "no"},
        {"idempotency_key": 5},
        {"unknown": 1},
    ):
        await server.post("/flow_runs/", {"flow_id": flow_id, **body})
    await server.post("/flow_runs/", {})


async def changed_labelled_and_deleted(server: Conversation) -> None:
    flow_id = await _flow(server, "fr changed 1")
    run = await server.post("/flow_runs/", {"flow_id": flow_id, "labels": {"a": 1}})
    path = f"/flow_runs/{run['id']}"
    for body in (
        {"name": "renamed 1"},
        {"flow_version": "v2", "empirical_policy": {"retries": 1, "retry_delay": 5}},
        {"parameters": {"x": 1}},
        {"tags": ["t"]},
        {"infrastructure_pid": "123"},
        {},
        {"name": None},
        {"tags": None},
        {"parameters": "x"},
        {"job_variables": {"a": 1}},
        {"unknown": 1},
    ):
        await server.patch(path, body)
        await server.get(path)
    for labels in ({"a": 2, "b": "x"}, {}, {"c": None}, [], {"d": {"e": 1}}, {"f": 1.5}):
        await server.patch(f"{path}/labels", labels)
        await server.get(path)
    await server.patch(f"/flow_runs/{NOBODY}/labels", {"a": 1})
    await server.patch(f"/flow_runs/{NOBODY}", {"name": "x 1"})
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    await server.patch("/flow_runs/no-id", {"name": "x 1"})
    await server.get("/flow_runs/no-id")
    await server.get(f"/flow_run_states/{NOBODY}")
    await server.get("/flow_run_states/no-id")
    await server.get("/flow_run_states/")
    await server.get("/flow_run_states/", params={"flow_run_id": "no"})
    await server.get("/flow_run_states/", params={"flow_run_id": NOBODY})


async def _some(server: Conversation, name: str) -> tuple[str, list[str]]:
    """Runs of many kinds."""
    flow_id = await _flow(server, name)
    bodies: list[dict[str, Any]] = [
        {"name": "one 1", "tags": ["a", "b"], "state": {"type": "RUNNING"}},
        {"name": "two 2", "tags": ["a"], "state": {"type": "COMPLETED"}},
        {"name": "Three 3", "state": {"type": "FAILED", "name": "Mine"}, "flow_version": "v1"},
        {
            "name": "four 4",
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(7200)}},
        },
        {
            "name": "five 5",
            "tags": ["b"],
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(-7200)}},
        },
        {"name": "six 6", "idempotency_key": "six", "state": {"type": "PENDING"}},
    ]
    ids = []
    for body in bodies:
        run = await server.post("/flow_runs/", {"flow_id": flow_id, **body})
        ids.append(run["id"])
    task = {"flow_run_id": ids[0], "task_key": "t", "dynamic_key": "1", "name": "task 1"}
    made = await server.post("/task_runs/", {**task, "state": {"type": "RUNNING"}})
    child = {"flow_id": flow_id, "name": "child 1", "parent_task_run_id": made["id"]}
    run = await server.post("/flow_runs/", {**child, "state": {"type": "RUNNING"}})
    return flow_id, [*ids, run["id"]]


async def found_and_counted(server: Conversation) -> None:
    flow_id, ids = await _some(server, "fr found 1")
    filters: list[dict[str, Any]] = [
        {"name": {"any_": ["one 1"]}},
        {"name": {"like_": "THREE"}},
        {"tags": {"all_": ["a"]}},
        {"tags": {"any_": ["a", "b"]}},
        {"tags": {"is_null_": True}},
        {"state": {"type": {"any_": ["RUNNING", "FAILED"]}}},
        {"state": {"type": {"not_any_": ["RUNNING"]}}},
        {"state": {"name": {"any_": ["Mine"]}}},
        {"state": {"name": {"not_any_": ["Mine", "Pending"]}}},
        {
            "state": {
                "operator": "or_",
                "name": {"any_": ["Mine"]},
                "type": {"any_": ["PENDING"]},
            }
        },
        {"flow_version": {"any_": ["v1"]}},
        {"start_time": {"is_null_": True}},
        {"start_time": {"is_null_": False}},
        {"start_time": {"before_": server.at(-60)}},
        {"start_time": {"after_": server.at(60)}},
        {"end_time": {"is_null_": True}},
        {"end_time": {"before_": server.at(60)}},
        {"expected_start_time": {"before_": server.at(-60)}},
        {"expected_start_time": {"after_": server.at(60)}},
        {"next_scheduled_start_time": {"after_": server.at(60)}},
        {"parent_flow_run_id": {"any_": [ids[0]]}},
        {"parent_task_run_id": {"is_null_": False}},
        {"parent_task_run_id": {"is_null_": True}},
        {"id": {"not_any_": ids[:3]}},
        {"id": {"any_": []}},
        {"idempotency_key": {"any_": ["six"]}},
        {"idempotency_key": {"not_any_": ["six"]}},
        {"deployment_id": {"is_null_": True}},
        {"work_queue_name": {"is_null_": True}},
        {"work_queue_name": {"any_": ["x"]}},
        {"operator": "or_", "name": {"any_": ["one 1"]}, "tags": {"any_": ["b"]}},
        {"created_by": {"is_null_": True}},
        {},
    ]
    for filter in filters:
        body = {"flows": {"id": {"any_": [flow_id]}}, "flow_runs": filter, "sort": "NAME_ASC"}
        await server.post("/flow_runs/filter", body)
        await server.post("/flow_runs/count", body)
    for more in (
        {"task_runs": {"name": {"any_": ["task 1"]}}},
        {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
        {"deployments": {"name": {"any_": ["x"]}}},
        {"work_pools": {"name": {"any_": ["x"]}}},
        {"work_pool_queues": {"name": {"any_": ["x"]}}},
    ):
        body = {"flows": {"name": {"any_": ["fr found 1"]}}, "sort": "NAME_ASC", **more}
        await server.post("/flow_runs/filter", body)
        await server.post("/flow_runs/count", body)


async def sorted_and_paged(server: Conversation) -> None:
    flow_id, _ = await _some(server, "fr sorted 1")
    mine = {"flows": {"id": {"any_": [flow_id]}}}
    for sort in (
        "START_TIME_ASC",
        "START_TIME_DESC",
        "EXPECTED_START_TIME_ASC",
        "EXPECTED_START_TIME_DESC",
        "NAME_ASC",
        "NAME_DESC",
        "NO",
    ):
        await server.post("/flow_runs/filter", {**mine, "sort": sort})
    next_first = {"sort": "NEXT_SCHEDULED_START_TIME_ASC", "limit": 2}
    await server.post("/flow_runs/filter", {**mine, **next_first})
    await server.post("/flow_runs/filter", {**mine, "sort": "ID_DESC", "limit": 0})
    await server.post("/flow_runs/filter", {**mine, "sort": "END_TIME_DESC", "limit": 0})
    for page in (
        {"limit": 3},
        {"limit": 3, "page": 2},
        {"limit": 3, "page": 9},
        {"limit": 0},
        {"limit": 201},
        {"page": 0},
        {"offset": 2, "limit": 2},
        {"offset": -1},
    ):
        await server.post("/flow_runs/paginate", {**mine, "sort": "NAME_ASC", **page})
        await server.post("/flow_runs/filter", {**mine, "sort": "NAME_ASC", **page})


async def lateness_and_history(server: Conversation) -> None:
    flow_id, ids = await _some(server, "fr history 1")
    mine = {"flows": {"id": {"any_": [flow_id]}}}
    await server.post("/flow_runs/lateness", mine)
    await server.post("/flow_runs/lateness", {"flow_runs": {"id": {"any_": []}}})
    await server.post("/flow_runs/lateness", {"flow_runs": {"id": {"any_": [ids[4]]}}})
    span = {
        "history_start": server.at(-3 * 3600),
        "history_end": server.at(3 * 3600),
        "history_interval_seconds": 3600,
    }
    for path in ("/flow_runs/history", "/task_runs/history"):
        await server.post(path, {**span, **mine})
        for bad in (
            {"history_interval_seconds": 0.5},
            {"history_interval_seconds": "x"},
            {"history_interval_seconds": 1},
            {"history_start": "no"},
            {"history_end": None},
            {"history_end": server.at(-4 * 3600)},
        ):
            await server.post(path, {**span, **mine, **bad})


async def inputs(server: Conversation) -> None:
    flow_id = await _flow(server, "fr inputs 1")
    run = await server.post("/flow_runs/", {"flow_id": flow_id})
    path = f"/flow_runs/{run['id']}/input"
    for body in (
        {"key": "a-1", "value": '{"x": 1}'},
        {"key": "a-1", "value": "2"},
        {"key": "a-2", "value": '"text"', "sender": "somebody"},
        {"key": "b-1", "value": "not json"},
        {"key": "A_1", "value": "1"},
        {"key": "a 1", "value": "1"},
        {"key": "c-1", "value": 5},
        {"key": "c-1"},
        {"value": "1"},
        {"key": "c-1", "value": "1", "unknown": 1},
    ):
        await server.post(path, body)
    for key in ("a-1", "a-2", "b-1", "nothing"):
        await server.get(f"{path}/{key}")
    for body in (
        {"prefix": "a"},
        {"prefix": "a", "limit": 5},
        {"prefix": "a", "limit": 5, "exclude_keys": ["a-1"]},
        {"prefix": "", "limit": 5},
        {"prefix": "z"},
        {"limit": 5},
        {"prefix": "a", "limit": "x"},
        {"prefix": "a", "limit": 300},
        {"prefix": 5},
    ):
        await server.post(f"{path}/filter", body)
    await server.delete(f"{path}/a-1")
    await server.delete(f"{path}/a-1")
    nobodys = f"/flow_runs/{NOBODY}/input"
    await server.post(nobodys, {"key": "a", "value": "1"})
    await server.get(f"{nobodys}/a")
    await server.post(f"{nobodys}/filter", {"prefix": "a"})
    await server.delete(f"{nobodys}/a")


async def made_by_an_automation(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "fr automated 1", "tags": ["of flow"]})
    headers = {
        "prefect-automation-id": NOBODY,
        "prefect-automation-name": base64.b64encode(b"my automation").decode(),
    }
    body = {"flow_id": flow["id"], "name": "automated 1", "tags": ["own"]}
    made = await server.post("/flow_runs/", body, headers=headers)
    await server.post(f"/flow_runs/{made['id']}/set_state", {"state": {"type": "RUNNING"}})
    await server.get(f"/flow_runs/{made['id']}")
