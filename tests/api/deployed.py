"""Flows, pools and deployments for tests that look at what is made of them."""

import uuid
from typing import Any

import httpx

# A pool that takes a number, which has a default, and a text, which must be said.
JOB_TEMPLATE = {
    "job_configuration": {"n": "{{ n }}", "s": "{{ s }}"},
    "variables": {
        "type": "object",
        "properties": {"n": {"type": "integer", "default": 1}, "s": {"type": "string"}},
        "required": ["s"],
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "y": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["x"],
}
HOURLY = {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}

# A body that says nothing, and one that lists nothing.
NOTHING: dict[str, Any] = {}
NONE: list[Any] = []


def a_name() -> str:
    """A name that nothing else has."""
    return f"n{uuid.uuid4().hex[:10]}"


async def a_flow(client: httpx.AsyncClient, **said: object) -> str:
    """The id of a new flow."""
    answer = await client.post("/flows/", json={"name": a_name(), **said})
    assert answer.status_code == 201
    id: str = answer.json()["id"]
    return id


async def a_pool(client: httpx.AsyncClient) -> str:
    """The name of a new work pool."""
    name = a_name()
    answer = await client.post(
        "/work_pools/", json={"name": name, "type": "process", "base_job_template": JOB_TEMPLATE}
    )
    assert answer.status_code == 201
    return name


async def a_deployment(
    client: httpx.AsyncClient, flow_id: str | None = None, **said: object
) -> dict[str, Any]:
    """A new deployment, or a known one changed, as it is answered."""
    flow_id = flow_id or await a_flow(client)
    answer = await client.post("/deployments/", json={"name": "d", "flow_id": flow_id, **said})
    assert answer.status_code in (200, 201), answer.text
    deployment: dict[str, Any] = answer.json()
    return deployment


async def a_waiting_run(
    client: httpx.AsyncClient,
    pool: Any,
    deployment: dict[str, Any],
    *,
    schedule: int = 0,
    seconds: float = 3600,
) -> str:
    """The id of a run as a schedule of the deployment makes them, due in `seconds`."""
    answer = await client.post(
        "/flow_runs/",
        json={
            "flow_id": deployment["flow_id"],
            "deployment_id": deployment["id"],
            "state": {"type": "SCHEDULED"},
        },
    )
    assert answer.status_code == 201
    id: str = answer.json()["id"]
    await pool.execute(
        """
        UPDATE flow_run SET auto_scheduled = true, deployment_schedule_id = $2,
            next_scheduled_start_time = now() + make_interval(secs => $3)
        WHERE id = $1
        """,
        id,
        deployment["schedules"][schedule]["id"],
        seconds,
    )
    return id


async def is_there(client: httpx.AsyncClient, run_id: str) -> bool:
    """Whether the run was not taken back."""
    return (await client.get(f"/flow_runs/{run_id}")).status_code == 200
