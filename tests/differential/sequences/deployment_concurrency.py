"""Runs of a deployment with a limit of one."""

from typing import Any

from tests.differential.conversation import Conversation

CLIENT = {"User-Agent": "prefect/3.8.8 (API 0.8.4)"}


async def _runs(server: Conversation, name: str, **more: Any) -> tuple[str, str, str]:
    flow = await server.post("/flows/", {"name": name})
    body = {"name": "dep 1", "flow_id": flow["id"], "concurrency_limit": 1, **more}
    made = await server.post("/deployments/", body)
    path = f"/deployments/{made['id']}/create_flow_run"
    one = await server.post(path, {"name": "one 1"})
    two = await server.post(path, {"name": "two 2"})
    return made["id"], one["id"], two["id"]


async def _set(server: Conversation, id: str, type: str, **more: Any) -> None:
    body = {"state": {"type": type, **more}}
    await server.post(f"/flow_runs/{id}/set_state", body, headers=CLIENT)


async def _play(server: Conversation, name: str, **more: Any) -> None:
    deployment, one, two = await _runs(server, name, **more)
    await _set(server, one, "PENDING")
    await _set(server, two, "PENDING")
    await _set(server, one, "RUNNING")
    await server.get(f"/v2/concurrency_limits/deployment:{deployment}")
    await _set(server, two, "PENDING")
    await _set(server, one, "COMPLETED")
    await server.get(f"/v2/concurrency_limits/deployment:{deployment}")
    await _set(server, two, "PENDING")
    await _set(server, two, "RUNNING")
    await _set(server, two, "CANCELLING")
    await _set(server, two, "CANCELLED")
    for id in (one, two):
        await server.get(f"/flow_runs/{id}")
        await server.get("/flow_run_states/", params={"flow_run_id": id})


async def those_that_find_no_slot_wait(server: Conversation) -> None:
    await _play(server, "limited 1")


async def those_that_find_no_slot_are_cancelled(server: Conversation) -> None:
    options = {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60}
    await _play(server, "limited 2", concurrency_options=options)


async def a_run_that_is_deleted_frees_its_slot(server: Conversation) -> None:
    deployment, one, two = await _runs(server, "limited 3")
    await _set(server, one, "PENDING")
    await _set(server, one, "RUNNING")
    await server.delete(f"/flow_runs/{one}")
    await server.get(f"/v2/concurrency_limits/deployment:{deployment}")
    await _set(server, two, "PENDING")


async def an_old_client_keeps_its_slot_without_a_lease(server: Conversation) -> None:
    deployment, one, two = await _runs(server, "limited 4")
    for type in ("PENDING", "RUNNING"):
        body = {"state": {"type": type}}
        await server.post(f"/flow_runs/{one}/set_state", body)
    await server.get(f"/v2/concurrency_limits/deployment:{deployment}")
    await _set(server, two, "PENDING")
    await server.post(f"/flow_runs/{one}/set_state", {"state": {"type": "COMPLETED"}})
    await server.get(f"/v2/concurrency_limits/deployment:{deployment}")
