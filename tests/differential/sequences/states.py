"""State transitions of flow runs and task runs. What each rule does in detail is played by
tests/conformance; here it is the whole of each answer."""

from typing import Any

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _run(server: Conversation, name: str, **more: Any) -> str:
    flow = await server.post("/flows/", {"name": name})
    run = await server.post("/flow_runs/", {"flow_id": flow["id"], "name": "run 1", **more})
    id: str = run["id"]
    return id


async def _set(server: Conversation, path: str, type: str, **more: Any) -> None:
    await server.post(f"{path}/set_state", {"state": {"type": type, **more}})
    await server.get(path)


async def a_flow_run_lives(server: Conversation) -> None:
    id = await _run(server, "states 1")
    path = f"/flow_runs/{id}"
    details = {"transition_id": "11111111-1111-4111-8111-111111111111"}
    await _set(server, path, "RUNNING", state_details=details)
    await _set(server, path, "RUNNING", state_details=details)
    await _set(server, path, "RUNNING", name="Step", message="2", data={"type": "unpersisted"})
    await _set(server, path, "COMPLETED", message="done", data={"type": "reference", "x": 1})
    await _set(server, path, "RUNNING")
    await _set(server, path, "SCHEDULED")
    await _set(server, path, "CANCELLING")
    await server.get("/flow_run_states/", params={"flow_run_id": id})
    await server.post(f"{path}/set_state", {"state": {"type": "PENDING"}, "force": True})
    await server.get(path)
    await server.get("/flow_run_states/", params={"flow_run_id": id})


async def a_flow_run_retries(server: Conversation) -> None:
    policy = {"retries": 1, "retry_delay": 0}
    id = await _run(server, "states 2", empirical_policy=policy)
    path = f"/flow_runs/{id}"
    for type in ("RUNNING", "FAILED", "RUNNING", "FAILED"):
        await _set(server, path, type, message="m")
    await server.get("/flow_run_states/", params={"flow_run_id": id})


async def a_flow_run_is_paused_and_resumed(server: Conversation) -> None:
    id = await _run(server, "states 3")
    path = f"/flow_runs/{id}"
    await server.post(f"{path}/resume", {})
    await _set(server, path, "PAUSED")
    await _set(server, path, "RUNNING")
    pause = {"pause_timeout": server.at(3600), "pause_key": "k"}
    await _set(server, path, "PAUSED", state_details=pause)
    await server.post(f"{path}/resume", {})
    await server.get(path)
    await _set(server, path, "PAUSED", state_details=pause)
    await _set(server, path, "PAUSED", state_details={"pause_timeout": server.at(-5)})
    await server.post(f"{path}/resume", {})
    await server.get(path)
    await server.post(f"/flow_runs/{NOBODY}/resume", {})


async def a_flow_run_waits_for_input(server: Conversation) -> None:
    id = await _run(server, "states 4")
    path = f"/flow_runs/{id}"
    schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
    await server.post(f"{path}/input", {"key": "p-schema", "value": schema})
    await _set(server, path, "RUNNING")
    keyset = {"schema": "p-schema", "response": "p-response", "description": "p-description"}
    pause = {"pause_timeout": server.at(3600), "run_input_keyset": keyset}
    await _set(server, path, "PAUSED", state_details=pause)
    for body in ({}, {"run_input": {}}, {"run_input": {"a": "x"}}, {"run_input": {"a": 1}}):
        await server.post(f"{path}/resume", body)
    await server.get(path)
    await server.get(f"{path}/input/p-response")


async def a_flow_run_is_cancelled(server: Conversation) -> None:
    for state in (
        {"type": "RUNNING"},
        {"type": "PENDING"},
        {"type": "SCHEDULED"},
        {"type": "PAUSED", "state_details": {"pause_reschedule": True}},
        {"type": "COMPLETED"},
    ):
        path = f"/flow_runs/{await _run(server, 'states 5', state=state)}"
        await _set(server, path, "CANCELLING", message="by me")
        await _set(server, path, "CANCELLED")


async def a_scheduled_flow_run_waits(server: Conversation) -> None:
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(5000)}}
    path = f"/flow_runs/{await _run(server, 'states 6', state=later)}"
    await _set(server, path, "RUNNING")
    await _set(server, path, "PENDING")
    await _set(server, path, "PENDING", name="Submitting")
    await _set(server, path, "PENDING")
    await _set(server, path, "SCHEDULED", name="Late")


async def a_task_run_lives(server: Conversation) -> None:
    run = await _run(server, "states 7", state={"type": "RUNNING"})
    task = {"flow_run_id": run, "task_key": "t", "dynamic_key": "1", "name": "task 1"}
    made = await server.post("/task_runs/", {**task, "empirical_policy": {"retries": 1}})
    path = f"/task_runs/{made['id']}"
    for type in ("RUNNING", "FAILED", "RUNNING", "COMPLETED", "RUNNING", "CANCELLED"):
        await _set(server, path, type, message="m")
    states = await server.get("/task_run_states/", params={"task_run_id": made["id"]})
    await server.get(f"/task_run_states/{states[0]['id']}")
    await server.post(f"{path}/set_state", {"state": {"type": "PENDING"}, "force": True})
    await server.get(f"/task_run_states/{NOBODY}")
    await server.get("/task_run_states/")
    await server.get("/task_run_states/", params={"task_run_id": NOBODY})
    await server.get("/task_run_states/", params={"task_run_id": "no"})


async def bad_proposals(server: Conversation) -> None:
    run = await _run(server, "states 8")
    task = {"flow_run_id": run, "task_key": "t", "dynamic_key": "1"}
    made = await server.post("/task_runs/", task)
    for path in (f"/flow_runs/{run}", f"/task_runs/{made['id']}"):
        for body in (
            {},
            {"state": None},
            {"state": "RUNNING"},
            {"state": {}},
            {"state": {"type": "NO"}},
            {"state": {"type": "running"}},
            {"state": {"type": None}},
            {"state": {"type": "RUNNING", "more": 1}},
            {"state": {"type": "RUNNING", "state_details": {"more": 1}}},
            {"state": {"type": "RUNNING", "state_details": None}},
            {"state": {"type": "RUNNING", "state_details": {"pause_timeout": "no"}}},
            {"state": {"type": "RUNNING", "name": 5}},
            {"state": {"type": "RUNNING"}, "force": "maybe"},
        ):
            await server.post(f"{path}/set_state", body)
        await server.get(path)
    for kind in ("flow_runs", "task_runs"):
        await server.post(f"/{kind}/{NOBODY}/set_state", {"state": {"type": "RUNNING"}})
        await server.post(f"/{kind}/no-id/set_state", {"state": {"type": "RUNNING"}})
