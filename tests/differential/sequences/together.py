"""Many runs or flows at once."""

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def states_of_runs_set(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "together 1"})
    ids = []
    for number, type in enumerate(("RUNNING", "COMPLETED", "PENDING")):
        body = {"flow_id": flow["id"], "name": f"run {number}", "state": {"type": type}}
        ids.append((await server.post("/flow_runs/", body))["id"])
    mine = {"flow_runs": {"id": {"any_": ids}}}
    path = "/flow_runs/bulk_set_state"
    only = {"flow_runs": {"id": {"any_": ids[:1]}}}
    await server.post(path, {**only, "state": {"type": "CANCELLING", "message": "all"}})
    await server.post(path, {"flow_runs": {"id": {"any_": ids[1:2]}}, "state": {"type": "PAUSED"}})
    await server.post(path, {**only, "state": {"type": "FAILED"}, "force": True})
    await server.post(path, {"flow_runs": {"id": {"any_": [NOBODY]}}, "state": {"type": "FAILED"}})
    for bad in ({"state": {"type": "NO"}}, {"state": None}, {"limit": 51}, {"limit": "x"}):
        await server.post(path, {**mine, "state": {"type": "FAILED"}, **bad})
    await server.post(path, mine)
    await server.post("/flow_runs/filter", {**mine, "sort": "NAME_ASC"})
    await server.post("/flow_runs/bulk_delete", {**only, "limit": 1})
    for body in ({"limit": 51}, {"flow_runs": {"unknown": 1}}, {"flow_runs": {"id": {"any_": []}}}):
        await server.post("/flow_runs/bulk_delete", body)
    await server.post("/flow_runs/count", mine)


async def flows_deleted(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "together 2"})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1"})
    mine = {"flows": {"id": {"any_": [flow["id"]]}}}
    for body in ({"limit": 51}, {"flows": {"unknown": 1}}, {"flows": {"id": {"any_": []}}}, mine):
        await server.post("/flows/bulk_delete", body)
    await server.get(f"/flow_runs/{run['id']}")
    await server.post("/flows/count", mine)
