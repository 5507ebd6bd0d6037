"""Play scenarios against a server, and note what matters of its answers."""

import datetime as dt
import json
import re
import uuid
from dataclasses import dataclass
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
    flow_run = other = ""
    headers = {}
    if scenario.version is not None:
        headers["User-Agent"] = f"prefect/{scenario.version} (API 0.8.4)"
    if scenario.deployment is not None:
        body = {"name": "d", "flow_id": flow_id, **scenario.deployment}
        deployment = (await client.post("/deployments/", json=body)).json()["id"]
        filling["<deployment>"] = deployment
        body = {"flow_id": flow_id, "deployment_id": deployment, "state": {"type": "SCHEDULED"}}
        other = (await client.post("/flow_runs/", json=body)).json()["id"]
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
    play = _Play(client, url, flow_run, other, headers, filling)
    return [await play.step(step) for step in scenario.steps]


def _filled(value: Any, filling: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, filled in filling.items():
        text = text.replace(name, filled)
    return json.loads(text)


@dataclass(frozen=True, slots=True)
class _Play:
    """A scenario that is being played: its run, its flow run if that is another, a run beside it."""

    client: httpx.AsyncClient
    url: str
    flow_run: str
    other: str
    headers: dict[str, str]
    filling: dict[str, str]

    async def step(self, step: Step) -> Any:
        body = _filled(step.body, self.filling)
        match step.action:
            case "read":
                run = (await self.client.get(self.url)).json()
                noted: dict[str, Any] = {name: run[name] for name in _READ if name in run}
                return {**noted, "set": [name for name in _TIMES if run[name]]}
            case "resume":
                return _noted(await self._post(f"{self.url}/resume", body))
            case "input":
                return (await self._post(f"{self.url}/input", body)).status_code
            case "patch":
                return (await self.client.patch(self.url, json=body)).status_code
            case "delete":
                return (await self.client.delete(self.url)).status_code
            case "slots":
                deployment = await self.client.get(f"/deployments/{self.filling['<deployment>']}")
                return deployment.json()["global_concurrency_limit"]["active_slots"]
            case "set flow run" | "set other":
                id = self.flow_run if step.action == "set flow run" else self.other
                return _noted(await self._post(f"/flow_runs/{id}/set_state", {"state": body}))
            case "set" | "force":
                proposed = {"state": body, "force": step.action == "force"}
                return _noted(await self._post(f"{self.url}/set_state", proposed))

    async def _post(self, url: str, body: Any) -> httpx.Response:
        return await self.client.post(url, json=body, headers=self.headers)


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
