"""What only the user interface asks."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _made(server: Conversation, name: str) -> tuple[str, str, list[str]]:
    flow = await server.post("/flows/", {"name": name})
    body = {"flow_id": flow["id"], "name": "run 1", "state": {"type": "RUNNING"}}
    run = await server.post("/flow_runs/", body)
    tasks = []
    for number, (type, inputs) in enumerate((("COMPLETED", False), ("FAILED", True))):
        task = {
            "flow_run_id": run["id"],
            "task_key": "t",
            "dynamic_key": str(number),
            "name": f"task {number}",
            "state": {"type": type},
            "task_inputs": {"x": [{"input_type": "task_run", "id": tasks[0]}]} if inputs else {},
        }
        tasks.append((await server.post("/task_runs/", task))["id"])
    return flow["id"], run["id"], tasks


async def flows_and_their_runs(server: Conversation) -> None:
    flow, run, tasks = await _made(server, "ui 1")
    deployment = await server.post("/deployments/", {"name": "dep 1", "flow_id": flow})
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(9000)}}
    path = f"/deployments/{deployment['id']}/create_flow_run"
    await server.post(path, {"state": later, "name": "next 1"})
    for path in ("/ui/flows/count-deployments", "/ui/flows/next-runs"):
        for ids in ([flow], [flow, NOBODY], [], ["no"], "x", [flow] * 201):
            await server.post(path, {"flow_ids": ids})
        await server.post(path, {})
    for ids in ([run], [run, NOBODY], [], ["no"], [run] * 201):
        await server.post("/ui/flow_runs/count-task-runs", {"flow_run_ids": ids})
    mine = {"flows": {"id": {"any_": [flow]}}}
    for more in (
        {},
        {"sort": "EXPECTED_START_TIME_ASC"},
        {"limit": 1},
        {"limit": 1001},
        {"sort": "NO"},
        {"offset": -1},
    ):
        await server.post("/ui/flow_runs/history", {**mine, **more})
    await server.get(f"/ui/task_runs/{tasks[0]}")
    await server.get(f"/ui/task_runs/{NOBODY}")
    await server.post("/ui/task_runs/count", mine)
    await server.post("/ui/task_runs/count", {"flow_runs": {"id": {"any_": []}}})
    since = {"task_runs": {"start_time": {"after_": server.at(-3600)}}}
    await server.post("/ui/task_runs/dashboard/counts", {**mine, **since})
    await server.post("/ui/task_runs/dashboard/counts", mine)
    await server.post("/ui/task_runs/dashboard/counts", {**mine, "task_runs": {}})


async def schemas_validated(server: Conversation) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "o": {"$ref": "#/definitions/O"}},
        "required": ["n"],
        "definitions": {"O": {"type": "object", "properties": {"x": {"type": "string"}}}},
    }
    for values in (
        {"n": 1},
        {},
        {"n": "x"},
        {"n": 1, "o": {"x": 5}},
        {"n": {"__prefect_kind": "json", "value": "1"}},
        {"n": {"__prefect_kind": "json", "value": "{"}},
        {"n": {"__prefect_kind": "none", "value": 1}},
    ):
        await server.post("/ui/schemas/validate", {"schema": schema, "values": values})
    for bad in (
        {},
        {"schema": schema},
        {"schema": "x", "values": {}},
        {"schema": schema, "values": []},
        {"schema": {"type": "no"}, "values": {}},
    ):
        await server.post("/ui/schemas/validate", bad)


async def templates_validated(server: Conversation) -> None:
    for template in (
        "",
        "only text",
        "{{ x }}",
        "{{ x",
        "{{ x | upper }} {% if y %}{{ z.a[0] }}{% endif %}",
        "{% for a in b %}",
        "{% for a in b %}{{ a }}{% endfor %}",
        "{% nothing %}",
        "first\nsecond {{ x",
        None,
        5,
        {"a": 1},
    ):
        await server.post("/templates/validate", template)
        await server.post("/automations/templates/validate", template)
    await server.post("/templates/validate")
    await server.post("/templates/validate", content=b"no json")


async def graphs(server: Conversation) -> None:
    _, run, tasks = await _made(server, "ui 2")
    child = await server.post("/flows/", {"name": "ui 2 child"})
    body = {"flow_id": child["id"], "name": "child 1", "parent_task_run_id": tasks[0]}
    await server.post("/flow_runs/", body)
    await server.post("/artifacts/", {"flow_run_id": run, "key": "graph", "data": 1})
    path = f"/flow_runs/{run}/graph-v2"
    await server.get(path)
    await server.get(path, params={"since": server.at(-100)})
    await server.get(path, params={"since": server.at(900)})
    await server.get(path, params={"since": "no"})
    await server.get(f"/flow_runs/{NOBODY}/graph-v2")
    # The old graph has its task runs in any order: one.
    alone = await server.post("/flow_runs/", {"flow_id": child["id"], "name": "alone 1"})
    task = {"flow_run_id": alone["id"], "task_key": "t", "dynamic_key": "1", "name": "task 1"}
    await server.post("/task_runs/", {**task, "state": {"type": "COMPLETED"}})
    await server.get(f"/flow_runs/{alone['id']}/graph")
    await server.get(f"/flow_runs/{NOBODY}/graph")


async def saved_searches(server: Conversation) -> None:
    filters = [
        {
            "object": "flow_run",
            "property": "state",
            "type": "string",
            "operation": "equals",
            "value": "FAILED",
        }
    ]
    made = await server.put("/saved_searches/", {"name": "search 1", "filters": filters})
    await server.put("/saved_searches/", {"name": "search 1", "filters": []})
    await server.get(f"/saved_searches/{made['id']}")
    for bad in ({}, {"name": 5}, {"name": "s", "filters": "x"}, {"name": "s", "more": 1}):
        await server.put("/saved_searches/", bad)
    await server.post("/saved_searches/filter", {})
    await server.post("/saved_searches/filter", {"limit": 201})
    await server.delete(f"/saved_searches/{made['id']}")
    await server.delete(f"/saved_searches/{made['id']}")
    await server.get(f"/saved_searches/{made['id']}")


async def task_workers(server: Conversation) -> None:
    await server.post("/task_workers/filter", {})
    await server.post("/task_workers/filter", {"task_worker_filter": {"task_keys": ["nothing"]}})
    await server.post("/task_workers/filter", {"task_worker_filter": "x"})
