"""Flows."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def made_read_changed_and_deleted(server: Conversation) -> None:
    body = {"name": "flow 1 of life", "tags": ["b", "a"], "labels": {"x": 1, "y": "z", "t": True}}
    flow = await server.post("/flows/", body)
    await server.post("/flows/", {"name": body["name"], "tags": ["c"], "labels": {"new": 1}})
    await server.get(f"/flows/{flow['id']}")
    await server.get(f"/flows/name/{body['name']}")
    await server.patch(f"/flows/{flow['id']}", {"tags": ["d", "d"]})
    await server.patch(f"/flows/{flow['id']}", {})
    await server.get(f"/flows/{flow['id']}")
    await server.delete(f"/flows/{flow['id']}")
    await server.delete(f"/flows/{flow['id']}")
    await server.get(f"/flows/{flow['id']}")


async def missing(server: Conversation) -> None:
    for path in (f"/flows/{NOBODY}", "/flows/name/nobody", "/flows/no-id", "/flows/1"):
        await server.get(path)
    await server.patch(f"/flows/{NOBODY}", {"tags": []})
    await server.delete(f"/flows/{NOBODY}")
    await server.post("/flows", {"name": "without slash 1"})
    await server.put("/flows/", {})
    await server.get("/no-such-route")


async def bad_bodies(server: Conversation) -> None:
    for body in (
        {},
        {"name": None},
        {"name": 5},
        {"name": "a/b"},
        {"name": "a%b"},
        {"name": "a>b"},
        {"name": ""},
        {"name": "f 1", "other": 1},
        {"name": "f 1", "tags": "a"},
        {"name": "f 1", "tags": [1]},
        {"name": "f 1", "tags": None},
        {"name": "f 1", "labels": {"a": {"b": 1}}},
        {"name": "f 1", "labels": []},
        [],
        "x",
        None,
    ):
        await server.post("/flows/", body)
    for content in (b"", b"{", b"[1", b'{"name": "a"} x', b"\xff"):
        await server.post("/flows/", content=content)


async def found_counted_and_paged(server: Conversation) -> None:
    ids = []
    for name, tags in (("fp 1", ["x", "y"]), ("FP 2", []), ("fp 3", ["x"]), ("fp_10", ["y"])):
        flow = await server.post("/flows/", {"name": name, "tags": tags})
        ids.append(flow["id"])
    mine = {"id": {"any_": ids}}
    for more in (
        {},
        {"name": {"like_": "fp"}},
        {"name": {"like_": "FP_1"}},
        {"name": {"like_": "%"}},
        {"name": {"any_": ["fp 1", "no"]}},
        {"tags": {"all_": ["x"]}},
        {"tags": {"all_": ["x", "y"]}},
        {"tags": {"is_null_": True}},
        {"tags": {"is_null_": False}},
        {"deployment": {"is_null_": True}},
        {"deployment": {"is_null_": False}},
        {"name": {"any_": []}},
        {"name": {}},
        {"name": None},
    ):
        filter = {"flows": {**mine, **more}}
        await server.post("/flows/filter", filter)
        await server.post("/flows/count", {**filter, "sort": "x", "limit": "x"})
    either = {"operator": "or_", "name": {"any_": ["fp 1"]}, "tags": {"all_": ["y"]}}
    await server.post("/flows/filter", {"flows": either})
    for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC"):
        await server.post("/flows/filter", {"flows": mine, "sort": sort})
    for page in (
        {"limit": 3},
        {"limit": 3, "page": 2},
        {"limit": 3, "page": 3},
        {"limit": 0},
        {"limit": 200},
        {"limit": 201},
        {"limit": -1},
        {"page": 0},
        {"limit": 2, "offset": 1},
        {"offset": 9},
        {"offset": -1},
        {"sort": "NO"},
    ):
        await server.post("/flows/paginate", {"flows": mine, **page})
        await server.post("/flows/filter", {"flows": mine, **page})


async def found_by_their_runs(server: Conversation) -> None:
    ids = []
    for number in range(3):
        flow = await server.post("/flows/", {"name": f"by runs {number}"})
        ids.append(flow["id"])
    run = {"flow_id": ids[0], "name": "run 1", "tags": ["r"], "state": {"type": "RUNNING"}}
    made = await server.post("/flow_runs/", run)
    task = {"flow_run_id": made["id"], "task_key": "t", "dynamic_key": "1", "tags": ["k"]}
    await server.post("/task_runs/", {**task, "state": {"type": "COMPLETED"}})
    mine = {"id": {"any_": ids}}
    for more in (
        {"flow_runs": {"name": {"any_": ["run 1"]}}},
        {"flow_runs": {"name": {"any_": ["run 2"]}}},
        {"flow_runs": {"tags": {"all_": ["r"]}}},
        {"flow_runs": {}},
        {"flow_runs": None},
        {"task_runs": {"tags": {"all_": ["k"]}}},
        {"task_runs": {"state": {"type": {"any_": ["FAILED"]}}}},
        {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}, "task_runs": {}},
        {"deployments": {"name": {"like_": "x"}}},
        {"work_pools": {"name": {"any_": ["x"]}}},
        {"unknown": 1},
    ):
        await server.post("/flows/filter", {"flows": mine, **more})
        await server.post("/flows/count", {"flows": mine, **more})
    await server.delete(f"/flows/{ids[0]}")
    await server.get(f"/flow_runs/{made['id']}")
