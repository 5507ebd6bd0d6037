"""Artifacts."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def made_read_changed_and_deleted(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "artifacts 1"})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1"})
    ids = []
    for body in (
        {},
        {"key": "art-life", "type": "markdown", "data": "# one", "description": "d"},
        {"key": "art-life", "type": "markdown", "data": "# two", "metadata_": {"a": "b"}},
        {"key": "art-life", "type": "table", "data": {"x": [1, None]}, "flow_run_id": run["id"]},
        {"type": "progress", "data": 5.5},
        {"data": [1, 2]},
        {"data": None, "task_run_id": NOBODY},
    ):
        made = await server.post("/artifacts/", body)
        ids.append(made["id"])
        await server.get(f"/artifacts/{made['id']}")
    await server.get("/artifacts/art-life/latest")
    path = f"/artifacts/{ids[3]}"
    for change in (
        {"data": "new"},
        {"description": "new"},
        {"metadata_": {"c": "d"}},
        {},
        {"data": None},
        {"key": "other"},
        {"description": 5},
    ):
        await server.patch(path, change)
        await server.get(path)
    await server.get("/artifacts/art-life/latest")
    await server.delete(path)
    await server.get("/artifacts/art-life/latest")
    await server.delete(f"/artifacts/{ids[1]}")
    await server.delete(f"/artifacts/{ids[2]}")
    await server.get("/artifacts/art-life/latest")
    await server.delete(path)
    await server.get(path)
    await server.patch(path, {"data": 1})
    await server.get("/artifacts/no-id")


async def bad_to_make(server: Conversation) -> None:
    for body in (
        {"key": 5},
        {"key": "Upper Case"},
        {"type": 5},
        {"metadata_": "x"},
        {"metadata_": {"a": {"b": 1}}},
        {"flow_run_id": "no"},
        {"unknown": 1},
        [],
    ):
        await server.post("/artifacts/", body)


async def found_counted_and_paged(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "artifacts 2"})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1"})
    task = {"flow_run_id": run["id"], "task_key": "t", "dynamic_key": "1", "name": "task 1"}
    made = await server.post("/task_runs/", task)
    ids = []
    for key, type in (("af-a", "table"), ("af-a", "table"), ("af-b", "markdown"), (None, None)):
        body = {"key": key, "type": type, "data": 1, "flow_run_id": run["id"]}
        ids.append((await server.post("/artifacts/", {**body, "task_run_id": made["id"]}))["id"])
    mine = {"flow_run_id": {"any_": [run["id"]]}}
    for more in (
        {},
        {"id": {"any_": ids[:2]}},
        {"key": {"any_": ["af-a"]}},
        {"key": {"like_": "F-B"}},
        {"key": {"exists_": False}},
        {"key": {"exists_": True}},
        {"type": {"any_": ["table"]}},
        {"type": {"not_any_": ["table"]}},
        {"task_run_id": {"any_": [made["id"]]}},
        {"operator": "or_", "key": {"any_": ["af-b"]}, "type": {"any_": ["none"]}},
    ):
        body = {"artifacts": {**mine, **more}}
        await server.post("/artifacts/filter", {**body, "sort": "CREATED_DESC"})
        await server.post("/artifacts/count", body)
    for more in (
        {},
        {"latest_id": {"any_": ids}},
        {"key": {"any_": ["af-a"]}},
        {"key": {"like_": "F-B"}},
        {"type": {"any_": ["table"]}},
    ):
        body = {"artifacts": {**mine, **more}}
        await server.post("/artifacts/latest/filter", {**body, "sort": "KEY_ASC"})
        await server.post("/artifacts/latest/count", body)
    for other in (
        {"flows": {"name": {"any_": ["artifacts 2"]}}},
        {"flow_runs": {"name": {"any_": ["run 1"]}}},
        {"task_runs": {"name": {"any_": ["task 1"]}}},
        {"deployments": {"name": {"any_": ["none"]}}},
    ):
        for path in ("/artifacts/filter", "/artifacts/latest/filter"):
            await server.post(path, {"artifacts": mine, **other, "sort": "CREATED_DESC"})
        for path in ("/artifacts/count", "/artifacts/latest/count"):
            await server.post(path, {"artifacts": mine, **other})
    for page in (
        {"sort": "UPDATED_DESC"},
        {"sort": "KEY_DESC", "limit": 0},
        {"sort": "NO"},
        {"sort": "CREATED_DESC", "limit": 2, "offset": 1},
        {"limit": 201},
        {"offset": -1},
    ):
        await server.post("/artifacts/filter", {"artifacts": mine, **page})
        await server.post("/artifacts/latest/filter", {"artifacts": mine, **page})
    await server.get("/artifacts/nothing/latest")
