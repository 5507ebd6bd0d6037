"""Task runs: made, read, changed, found, counted."""

from typing import Any

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _flow_run(server: Conversation, name: str) -> str:
    flow = await server.post("/flows/", {"name": name, "tags": ["f"]})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1"})
    id: str = run["id"]
    return id


async def made_read_changed_and_deleted(server: Conversation) -> None:
    run = await _flow_run(server, "tr made 1")
    for body in (
        {"dynamic_key": "1"},
        {"dynamic_key": "1", "name": "again 1"},
        {"dynamic_key": "2", "state": {"type": "SCHEDULED"}},
        {"dynamic_key": "3", "state": {"type": "RUNNING"}, "name": "task 3"},
        {
            "dynamic_key": "4",
            "cache_key": "k",
            "cache_expiration": server.at(9000),
            "task_version": "v",
            "tags": ["b", "a"],
            "labels": {"x": 1},
            "empirical_policy": {
                "retries": 2,
                "retry_delay": [1, 2],
                "retry_jitter_factor": 0.5,
            },
            "task_inputs": {
                "x": [{"input_type": "task_run", "id": NOBODY}],
                "y": [{"input_type": "parameter", "name": "p"}],
                "z": [{"input_type": "constant", "type": "int"}],
                "w": [],
            },
        },
        {"dynamic_key": "5", "flow_run_id": None},
        {"dynamic_key": "6", "empirical_policy": {"retry_delay": 1.5}},
    ):
        made = await server.post("/task_runs/", {"flow_run_id": run, "task_key": "t", **body})
        if "id" in made:
            await server.get(f"/task_runs/{made['id']}")
    own = "22222222-2222-4222-8222-222222222222"
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "own", "name": "own 1"}
    made = await server.post("/task_runs/", {**body, "id": own})
    path = f"/task_runs/{made['id']}"
    for change in ({"name": "renamed 1"}, {}, {"name": None}, {"name": 5}, {"tags": []}):
        await server.patch(path, change)
        await server.get(path)
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    await server.patch(path, {"name": "x 1"})
    await server.get("/task_runs/no-id")
    await server.patch("/task_runs/no-id", {"name": "x 1"})


async def bad_to_make(server: Conversation) -> None:
    run = await _flow_run(server, "tr bad 1")
    for body in (
        {"flow_run_id": NOBODY},
        {"flow_run_id": "no"},
        {"task_key": None},
        {"task_key": 5},
        {"dynamic_key": 5},
        {"name": 5},
        {"tags": "a"},
        {"tags": [5]},
        {"cache_expiration": "no"},
        {"cache_key": 5},
        {"empirical_policy": {"retries": "x"}},
        {"empirical_policy": {"retry_delay": "x"}},
        {"empirical_policy": {"retry_delay": [1] * 51}},
        {"empirical_policy": {"retry_jitter_factor": -1}},
        {"task_inputs": {"x": [{"input_type": "no"}]}},
        {"task_inputs": {"x": {}}},
        {"task_inputs": {"x": [{"input_type": "task_run", "id": "no"}]}},
        {"state": {"type": "NO"}},
        {"labels": [1]},
        {"unknown": 1},
    ):
        base = {"flow_run_id": run, "task_key": "t", "dynamic_key": "1"}
        await server.post("/task_runs/", {**base, **body})
    for missing in ("task_key", "dynamic_key"):
        body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "1"}
        await server.post("/task_runs/", {key: body[key] for key in body if key != missing})


async def found_counted_sorted_and_paged(server: Conversation) -> None:
    run = await _flow_run(server, "tr found 1")
    kinds: list[dict[str, Any]] = [
        {"name": "one 1", "tags": ["a", "b"], "state": {"type": "RUNNING"}},
        {"name": "two 2", "tags": ["a"], "state": {"type": "COMPLETED"}},
        {"name": "Three 3", "state": {"type": "FAILED", "name": "Mine"}},
        {
            "name": "four 4",
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(7200)}},
        },
    ]
    ids = []
    for number, kind in enumerate(kinds):
        body = {"flow_run_id": run, "task_key": "t", "dynamic_key": str(number), **kind}
        ids.append((await server.post("/task_runs/", body))["id"])
    flow = await server.post("/flows/", {"name": "tr child 1"})
    child = {"flow_id": flow["id"], "parent_task_run_id": ids[0], "name": "child 1"}
    await server.post("/flow_runs/", child)
    mine = {"flow_runs": {"id": {"any_": [run]}}}
    for filter in (
        {},
        {"id": {"any_": ids[:2]}},
        {"name": {"any_": ["one 1"]}},
        {"name": {"like_": "THREE"}},
        {"tags": {"all_": ["a"]}},
        {"tags": {"is_null_": True}},
        {"state": {"type": {"any_": ["RUNNING", "FAILED"]}}},
        {"state": {"name": {"any_": ["Mine"]}}},
        {"start_time": {"is_null_": True}},
        {"start_time": {"before_": server.at(600)}},
        {"start_time": {"after_": server.at(600)}},
        {"expected_start_time": {"after_": server.at(600)}},
        {"subflow_runs": {"exists_": True}},
        {"subflow_runs": {"exists_": False}},
        {"flow_run_id": {"any_": [run]}},
        {"flow_run_id": {"is_null_": True}},
        {"operator": "or_", "name": {"any_": ["one 1"]}, "tags": {"all_": ["a"]}},
    ):
        body = {**mine, "task_runs": filter, "sort": "NAME_ASC"}
        await server.post("/task_runs/filter", body)
        await server.post("/task_runs/count", body)
    for other in (
        {"flows": {"name": {"any_": ["tr found 1"]}}},
        {"flows": {"tags": {"all_": ["f"]}}},
        {"flows": {"name": {"any_": ["none"]}}},
        {"deployments": {"name": {"any_": ["none"]}}},
    ):
        await server.post("/task_runs/filter", {**mine, **other, "sort": "NAME_ASC"})
        await server.post("/task_runs/count", {**mine, **other})
    for sort in (
        "EXPECTED_START_TIME_ASC",
        "EXPECTED_START_TIME_DESC",
        "NAME_ASC",
        "NAME_DESC",
        "NO",
    ):
        await server.post("/task_runs/filter", {**mine, "sort": sort})
    for sort in ("ID_DESC", "NEXT_SCHEDULED_START_TIME_ASC", "END_TIME_DESC"):
        await server.post("/task_runs/filter", {**mine, "sort": sort, "limit": 0})
    for page in (
        {"limit": 3},
        {"limit": 3, "page": 2},
        {"limit": 0},
        {"limit": 201},
        {"page": 0},
        {"offset": 2, "limit": 2},
        {"offset": -1},
    ):
        await server.post("/task_runs/paginate", {**mine, "sort": "NAME_ASC", **page})
        await server.post("/task_runs/filter", {**mine, "sort": "NAME_ASC", **page})
