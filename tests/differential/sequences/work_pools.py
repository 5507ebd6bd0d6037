"""Work pools, their queues and workers, and what they hand out."""

from typing import Any

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": "{{ env }}"},
    "variables": {
        "type": "object",
        "properties": {
            "command": {"type": "string"},
            "env": {"type": "object", "default": {"A": "b"}},
        },
    },
}
# Who only looks keeps nothing from who works (docs/decisions/007).
LOOKS = {"X-Prefect-UI": "true"}


async def made_read_changed_and_deleted(server: Conversation) -> None:
    await server.get("/work_pools/life-pool")
    body = {
        "name": "life-pool",
        "type": "process",
        "description": "d",
        "concurrency_limit": 5,
        "base_job_template": TEMPLATE,
    }
    await server.post("/work_pools/", body)
    await server.post("/work_pools/", body)
    await server.get("/work_pools/life-pool")
    await server.post("/work_pools/life-pool/queues/filter", {})
    for change in (
        {"is_paused": True},
        {"is_paused": False},
        {"concurrency_limit": 1},
        {"concurrency_limit": None},
        {"description": "e"},
        {"base_job_template": {}},
        {"base_job_template": {"job_configuration": {"x": "{{ gone }}"}, "variables": {}}},
        {"base_job_template": {"variables": {}}},
        {},
        {"concurrency_limit": -1},
        {"concurrency_limit": "x"},
        {"is_paused": "x"},
        {"name": "other"},
        {"more": 1},
    ):
        await server.patch("/work_pools/life-pool", change)
        await server.get("/work_pools/life-pool")
    for bad in (
        {},
        {"name": "a/b"},
        {"name": None},
        {"name": 5},
        {"name": "p", "type": 5},
        {"name": "p", "concurrency_limit": -1},
        {"name": "p", "base_job_template": "x"},
        {"name": "p", "base_job_template": {"job_configuration": {"a": "{{ b }}"}}},
        {
            "name": "p",
            "base_job_template": {
                "job_configuration": {"a": "{{ b }}"},
                "variables": {"properties": {}},
            },
        },
        {"name": "p", "more": 1},
        {"name": "Prefect mine"},
        {"name": "prefect-mine"},
        {"name": "prefecture"},
    ):
        await server.post("/work_pools/", bad)
    await server.patch("/work_pools/prefect-x", {"description": "x"})
    await server.delete("/work_pools/prefect-x")
    await server.delete("/work_pools/life-pool")
    await server.delete("/work_pools/life-pool")
    await server.get("/work_pools/life-pool")
    await server.patch("/work_pools/life-pool", {"description": "x"})


async def found_and_counted(server: Conversation) -> None:
    for name, type in (("found-a", "process"), ("found-b", "docker"), ("found-c", "process")):
        await server.post("/work_pools/", {"name": name, "type": type})
    for filter in (
        {"name": {"any_": ["found-a", "found-b"]}},
        {"name": {"any_": ["found-a", "found-b"]}, "type": {"any_": ["process"]}},
        {"name": {"any_": []}},
        {"id": {"any_": [NOBODY]}},
        {"operator": "or_", "name": {"any_": ["found-a"]}, "type": {"any_": ["none"]}},
    ):
        await server.post("/work_pools/filter", {"work_pools": filter})
        await server.post("/work_pools/count", {"work_pools": filter})
    for bad in ({"limit": 201}, {"limit": 0}, {"offset": -1}, {"work_pools": {"unknown": 1}}):
        await server.post("/work_pools/filter", bad)


async def queues(server: Conversation) -> None:
    await server.post("/work_pools/", {"name": "queues-pool", "type": "process"})
    path = "/work_pools/queues-pool/queues"
    for body in (
        {"name": "a"},
        {"name": "a"},
        {"name": "b", "priority": 1, "concurrency_limit": 3, "description": "d"},
        {"name": "c", "is_paused": True},
        {"name": "d", "priority": 2},
        {"name": "a/b"},
        {"name": None},
        {"name": "x", "priority": 0},
        {"name": "x", "priority": "x"},
        {"name": "x", "concurrency_limit": -1},
        {"name": "x", "more": 1},
        {},
    ):
        await server.post(path, body)
        await server.post(f"{path}/filter", {})
    for change in (
        {"priority": 1},
        {"priority": 9},
        {"concurrency_limit": 4},
        {"is_paused": True},
        {"is_paused": False},
        {"description": "e"},
        {"name": "renamed"},
        {"priority": -1},
        {"more": 1},
    ):
        await server.patch(f"{path}/d", change)
        await server.post(f"{path}/filter", {})
    for filter in ({"work_queues": {"name": {"any_": ["a"]}}}, {"limit": 1}, {"limit": 201}):
        await server.post(f"{path}/filter", filter)
    await server.get(f"{path}/a")
    await server.delete(f"{path}/a")
    await server.delete(f"{path}/a")
    await server.get(f"{path}/a")
    await server.patch(f"{path}/a", {"priority": 1})
    await server.post(f"{path}/filter", {})
    await server.delete(f"{path}/default")
    for nothing in ("/work_pools/no-pool/queues",):
        await server.post(nothing, {"name": "a"})
        await server.post(f"{nothing}/filter", {})
        await server.get(f"{nothing}/a")
        await server.patch(f"{nothing}/a", {"priority": 1})
        await server.delete(f"{nothing}/a")


async def queues_without_a_pool(server: Conversation) -> None:
    made = await server.post("/work_queues/", {"name": "loose", "description": "d"})
    await server.post("/work_queues/", {"name": "loose"})
    path = f"/work_queues/{made['id']}"
    await server.get(path)
    await server.get("/work_queues/name/loose")
    await server.get(f"{path}/status")
    for change in (
        {"concurrency_limit": 2},
        {"is_paused": True},
        {"is_paused": False},
        {},
        {"priority": -1},
        {"more": 1},
    ):
        await server.patch(path, change)
        await server.get(path)
    await server.post("/work_queues/filter", {"work_queues": {"name": {"startswith_": ["loo"]}}})
    await server.post("/work_queues/filter", {"work_queues": {"name": {"any_": ["loose"]}}})
    await server.post("/work_queues/filter", {"limit": 201})
    await server.post(f"{path}/concurrency_status", {})
    await server.post(f"{path}/get_runs", {})
    await server.post(f"{path}/get_runs", {}, headers={"X-Prefect-UI": "true"})
    await server.post(f"{path}/get_runs", {"scheduled_before": "no"})
    await server.get(f"{path}/status")
    for bad in ({}, {"name": "a/b"}, {"name": "q", "concurrency_limit": -1}, {"name": "q", "x": 1}):
        await server.post("/work_queues/", bad)
    await server.delete(path)
    await server.delete(path)
    for method, what in (
        ("GET", ""),
        ("PATCH", ""),
        ("GET", "/status"),
        ("POST", "/get_runs"),
        ("POST", "/concurrency_status"),
    ):
        await server.ask(method, f"{path}{what}", *([] if method == "GET" else [{}]))
    await server.get("/work_queues/name/nothing")
    await server.get("/work_queues/no-id")


async def workers(server: Conversation) -> None:
    await server.post("/work_pools/", {"name": "workers-pool", "type": "process"})
    path = "/work_pools/workers-pool/workers"
    for body in (
        {"name": "w 1"},
        {"name": "w 1", "heartbeat_interval_seconds": 15},
        {"name": "w 2", "heartbeat_interval_seconds": 30},
        {},
        {"name": 5},
        {"name": None},
        {"name": "w 3", "heartbeat_interval_seconds": "x"},
        {"name": "w 3", "more": 1},
    ):
        await server.post(f"{path}/heartbeat", body)
    await server.get("/work_pools/workers-pool")
    for filter in (
        {},
        {"workers": {"status": {"any_": ["ONLINE"]}}},
        {"workers": {"status": {"any_": ["OFFLINE"]}}},
        {"workers": {"last_heartbeat_time": {"after_": server.at(-60)}}},
        {"workers": {"last_heartbeat_time": {"before_": server.at(-60)}}},
        {"workers": {"status": {"any_": ["NO"]}}},
        {"workers": {"unknown": 1}},
        {"limit": 201},
        {"limit": 1},
    ):
        await server.post(f"{path}/filter", filter)
    await server.delete(f"{path}/w 1")
    await server.delete(f"{path}/w 1")
    await server.post("/work_pools/no-pool/workers/heartbeat", {"name": "w"})
    await server.post("/work_pools/no-pool/workers/filter", {})
    await server.delete("/work_pools/no-pool/workers/w")


async def _work(server: Conversation, pool: str, **more: Any) -> str:
    """A pool with a deployment; the deployment's id."""
    await server.post("/work_pools/", {"name": pool, "type": "process", **more})
    await server.post(f"/work_pools/{pool}/queues", {"name": "first", "priority": 1})
    flow = await server.post("/flows/", {"name": f"flow of {pool}"})
    body = {"name": "dep 1", "flow_id": flow["id"], "work_pool_name": pool}
    made = await server.post("/deployments/", {**body, "work_queue_name": "first"})
    id: str = made["id"]
    return id


async def runs_handed_out(server: Conversation) -> None:
    id = await _work(server, "due-pool", concurrency_limit=10)
    for seconds in (-300, -200, 900):
        scheduled = {"scheduled_time": server.at(seconds)}
        state = {"type": "SCHEDULED", "state_details": scheduled}
        made = await server.post(
            f"/deployments/{id}/create_flow_run", {"state": state, "name": f"at {seconds}"}
        )
    path = "/work_pools/due-pool/get_scheduled_flow_runs"
    for body in (
        {},
        {"scheduled_before": server.at(10)},
        {"scheduled_before": server.at(10).replace("T", " ")},
        {"scheduled_before": server.at(5000)},
        {"scheduled_after": server.at(-250), "scheduled_before": server.at(10)},
        {"work_queue_names": ["first"], "limit": 1, "scheduled_before": server.at(10)},
        {"work_queue_names": ["default"]},
        {"work_queue_names": []},
        {"work_queue_names": ["nothing"]},
        {"work_queue_names": "first"},
        {"limit": 0},
        {"limit": 201},
        {"limit": "x"},
        {"scheduled_before": "no"},
    ):
        await server.post(path, body, headers=LOOKS)
    await server.post(path, {"scheduled_before": server.at(10)})
    queue = await server.get("/work_pools/due-pool/queues/first")
    runs = f"/work_queues/{queue['id']}/get_runs"
    await server.post(runs, {"scheduled_before": server.at(10)}, headers=LOOKS)
    # What was handed out a moment ago is not handed out again here.
    await server.post(path, {"scheduled_before": server.at(10)}, told=False)
    await server.post(runs, {"scheduled_before": server.at(10)}, told=False)
    await server.get(f"/work_queues/{queue['id']}/status")
    await server.get(f"/deployments/{id}")
    await server.get(f"/deployments/{id}/work_queue_check")
    await server.get("/work_pools/due-pool")
    run = f"/flow_runs/{made['id']}"
    await server.get(run)
    pending = {"state": {"type": "PENDING"}}
    await server.post(f"{run}/set_state", pending)
    await server.post(f"{run}/set_state", pending)
    for body in ({}, {"limit": 1}, {"page": 2}, {"page": 0}, {"limit": 300}, {"flow_run_limit": 1}):
        await server.post("/work_pools/due-pool/concurrency_status", body)
        await server.post(f"/work_queues/{queue['id']}/concurrency_status", body)
    await server.patch("/work_pools/due-pool", {"is_paused": True})
    await server.post(path, {}, headers=LOOKS)
    await server.patch("/work_pools/due-pool", {"is_paused": False, "concurrency_limit": 1})
    await server.post(path, {"scheduled_before": server.at(10)}, headers=LOOKS)
    await server.patch("/work_pools/due-pool/queues/first", {"is_paused": True})
    await server.post(path, {"scheduled_before": server.at(10)}, headers=LOOKS)
    await server.post("/work_pools/no-pool/get_scheduled_flow_runs", {})
    await server.post("/work_pools/no-pool/concurrency_status", {})
    await server.delete("/work_pools/due-pool/queues/first")
    await server.get(f"/deployments/{id}")
    await server.delete("/work_pools/due-pool")
    await server.get(f"/deployments/{id}")


async def defaults_of_job_variables(server: Conversation) -> None:
    for number, properties in enumerate(
        (
            {"a": {"type": "integer", "default": 1}},
            {"a": {"type": "integer", "default": "x"}},
            {"a": {"type": "string", "default": None}},
            {"a": {"type": "strange", "default": 1}},
            {"a": 5},
            {"a": {"default": {"$ref": {"block_document_id": NOBODY}}}},
            {"a": {"default": {"$ref": {"block_document_id": "no"}}}},
            {"a": {"default": {"$ref": {}}}},
        )
    ):
        template = {
            "job_configuration": {"a": "{{ a }}"},
            "variables": {"type": "object", "properties": properties, "required": ["a"]},
        }
        body = {"name": f"defaults {number}", "type": "process", "base_job_template": template}
        await server.post("/work_pools/", body)
        await server.get(f"/work_pools/defaults {number}")


async def old_queues_with_a_filter(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "flow of old queues"})
    deployments = []
    for name, tags in (("dep 1", ["old a", "old b"]), ("dep 2", ["old c"])):
        body = {"name": name, "flow_id": flow["id"], "tags": tags}
        made = await server.post("/deployments/", body)
        deployments.append(made["id"])
        state = {
            "type": "SCHEDULED",
            "state_details": {"scheduled_time": server.at(-100 * len(deployments))},
        }
        body = {"flow_id": flow["id"], "deployment_id": made["id"], "state": state}
        await server.post("/flow_runs/", {**body, "name": f"{name} run", "tags": tags})
        state["state_details"] = {"scheduled_time": server.at(-100 * len(deployments) - 50)}
        await server.post("/flow_runs/", {**body, "name": f"{name} bare", "state": state})
    for number, on in enumerate(
        (
            {"tags": ["old a"]},
            {"tags": ["old a", "nothing"]},
            {"deployment_ids": deployments},
            {"tags": ["old c"], "deployment_ids": deployments[:1]},
            {"tags": [], "deployment_ids": deployments[1:]},
            {"deployment_ids": []},
        )
    ):
        queue = await server.post("/work_queues/", {"name": f"old {number}", "filter": on})
        path = f"/work_queues/{queue['id']}"
        for change in ({}, {"concurrency_limit": 1}, {"is_paused": True}):
            await server.patch(path, change)
            await server.post(f"{path}/get_runs", {"scheduled_before": server.at(3600)})
        await server.post(f"{path}/get_runs", {"limit": 0})
    for id in deployments:
        await server.get(f"/deployments/{id}/work_queue_check")


async def what_workers_can_do(server: Conversation) -> None:
    for view in ("aggregate-worker-metadata", "nothing"):
        answer = await server.get(f"/collections/views/{view}")
        assert isinstance(answer, dict)
