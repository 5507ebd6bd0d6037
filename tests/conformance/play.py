"""Play scenarios against a server, and note what matters of its answers."""

import datetime as dt
import json
import re
import uuid
from typing import Any

import httpx

from tests.conformance.scenarios import Scenario, Step

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_READ = ("state_type", "state_name", "run_count", "flow_run_run_count", "empirical_policy")
_TIMES = (
    "start_time",
    "end_time",
    "expected_start_time",
    "next_scheduled_start_time",
    "total_run_time",
)


async def play(client: httpx.AsyncClient, scenario: Scenario) -> list[Any]:
    """What the server answered to each step."""
    now = dt.datetime.now(dt.UTC)
    filling = {
        "<past>": (now - dt.timedelta(minutes=5)).isoformat(),
        "<soon>": (now + dt.timedelta(seconds=90)).isoformat(),
        "<a>": str(uuid.uuid4()),
        "<b>": str(uuid.uuid4()),
        "<key>": str(uuid.uuid4()),
    }
    flow = await client.post("/flows/", json={"name": f"flow-{uuid.uuid4()}"})
    flow_id = flow.json()["id"]
    flow_run = ""
    if scenario.kind == "task_run":
        body = {"flow_id": flow_id, "state": {"type": "RUNNING"}}
        flow_run = (await client.post("/flow_runs/", json=body)).json()["id"]
        filling["<flow run>"] = flow_run
        create = {"task_key": "t", "dynamic_key": str(uuid.uuid4()), **scenario.create}
    else:
        create = {"flow_id": flow_id, **scenario.create}
    made = await client.post(f"/{scenario.kind}s/", json=_filled(create, filling))
    made.raise_for_status()
    url = f"/{scenario.kind}s/{made.json()['id']}"
    return [await _play(client, url, flow_run, step, filling) for step in scenario.steps]


def _filled(value: Any, filling: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, filled in filling.items():
        text = text.replace(name, filled)
    return json.loads(text)


async def _play(
    client: httpx.AsyncClient, url: str, flow_run: str, step: Step, filling: dict[str, str]
) -> Any:
    body = _filled(step.body, filling)
    match step.action:
        case "read":
            run = (await client.get(url)).json()
            noted: dict[str, Any] = {name: run[name] for name in _READ if name in run}
            return {**noted, "set": [name for name in _TIMES if run[name]]}
        case "resume":
            return _noted(await client.post(f"{url}/resume", json=body))
        case "input":
            return (await client.post(f"{url}/input", json=body)).status_code
        case "patch":
            return (await client.patch(url, json=body)).status_code
        case "set flow run":
            proposed = {"state": body}
            return _noted(await client.post(f"/flow_runs/{flow_run}/set_state", json=proposed))
        case "set" | "force":
            proposed = {"state": body, "force": step.action == "force"}
            return _noted(await client.post(f"{url}/set_state", json=proposed))


def _noted(answer: httpx.Response) -> dict[str, Any]:
    result = answer.json()
    delay = result["details"].get("delay_seconds")
    reason = result["details"].get("reason")
    return {
        "code": answer.status_code,
        "status": result["status"],
        "details": result["details"]["type"],
        "reason": _UUID.sub("<id>", reason) if reason else None,
        # A second may pass between the making of a run and the asking.
        "delay": None if delay is None else round(delay, -1),
        "state": _noted_state(result["state"]),
    }


def _noted_state(state: dict[str, Any] | None) -> dict[str, Any] | None:
    if state is None:
        return None
    details = {
        name: "<set>" if name.endswith(("_id", "_time", "_timeout", "_key")) else value
        for name, value in state["state_details"].items()
        if value not in (None, False)
    }
    return {**{name: state[name] for name in ("type", "name", "message", "data")}, **details}
