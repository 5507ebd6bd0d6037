"""Jobs that change states: late runs, expired pauses, what cancelled runs leave behind."""

import datetime as dt
import uuid
from typing import Any

import httpx
import pytest
from litestar import Litestar

from app.services import Services
from jobs.cancellation_cleanup import clean_up_after_cancellation
from jobs.concurrency_leases import free_expired_concurrency_leases
from jobs.late_runs import mark_late_runs
from jobs.pause_expiry import fail_expired_pauses

LONG_AGO = "2026-01-01T00:00:00Z"
NEVER = "2126-01-01T00:00:00Z"
NEW_CLIENT = {"User-Agent": "prefect/3.8.8 (API 0.8.4)"}


@pytest.fixture
def services(app: Litestar) -> Services:
    """What the application works with."""
    opened: Services = app.state.services
    return opened


async def a_flow(client: httpx.AsyncClient) -> str:
    answer = await client.post("/flows/", json={"name": f"f{uuid.uuid4().hex}"})
    return str(answer.json()["id"])


async def a_run(client: httpx.AsyncClient, flow_id: str, type: str, **fields: Any) -> str:
    details = fields.pop("details", {})
    state = {"type": type, "name": fields.pop("name", None), "state_details": details}
    body = {"flow_id": flow_id, "state": state, **fields}
    return str((await client.post("/flow_runs/", json=body)).json()["id"])


async def a_deployment(client: httpx.AsyncClient, flow_id: str, **fields: Any) -> str:
    body = {"name": uuid.uuid4().hex, "flow_id": flow_id, **fields}
    return str((await client.post("/deployments/", json=body)).json()["id"])


async def state_of(client: httpx.AsyncClient, run: str, kind: str = "flow_runs") -> dict[str, Any]:
    state: dict[str, Any] = (await client.get(f"/{kind}/{run}")).json()["state"]
    return state


async def proposed(client: httpx.AsyncClient, run: str, type: str, **fields: Any) -> dict[str, Any]:
    body = {"state": {"type": type, **fields}}
    answer = await client.post(f"/flow_runs/{run}/set_state", json=body, headers=NEW_CLIENT)
    result: dict[str, Any] = answer.json()
    return result


async def slots_of(client: httpx.AsyncClient, deployment: str) -> int:
    answer = await client.get(f"/deployments/{deployment}")
    slots: int = answer.json()["global_concurrency_limit"]["active_slots"]
    return slots


async def test_a_run_that_nobody_starts_becomes_late_and_keeps_its_time(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    late = await a_run(client, flow, "SCHEDULED", details={"scheduled_time": LONG_AGO})
    early = await a_run(client, flow, "SCHEDULED", details={"scheduled_time": NEVER})
    just_due = await a_run(client, flow, "SCHEDULED")
    retried = await a_run(
        client, flow, "SCHEDULED", name="AwaitingRetry", details={"scheduled_time": LONG_AGO}
    )

    assert await mark_late_runs(services) == {"flow_runs": 1}

    state = await state_of(client, late)
    assert (state["type"], state["name"]) == ("SCHEDULED", "Late")
    assert state["state_details"]["scheduled_time"] == LONG_AGO
    assert (await client.get(f"/flow_runs/{late}")).json()["next_scheduled_start_time"] == LONG_AGO
    names = [(await state_of(client, run))["name"] for run in (early, just_due, retried)]
    assert names == ["Scheduled", "Scheduled", "AwaitingRetry"]
    assert await mark_late_runs(services) == {}


async def test_the_operator_says_when_a_run_is_late(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await a_run(client, await a_flow(client), "SCHEDULED")
    assert await mark_late_runs(services) == {}
    monkeypatch.setattr(services, "late_after", dt.timedelta(0))
    assert await mark_late_runs(services) == {"flow_runs": 1}
    assert (await state_of(client, run))["name"] == "Late"


async def test_the_event_stream_hears_that_a_run_is_late(
    client: httpx.AsyncClient, services: Services
) -> None:
    run = await a_run(
        client, await a_flow(client), "SCHEDULED", details={"scheduled_time": LONG_AGO}
    )
    await mark_late_runs(services)
    state = await state_of(client, run)
    event = await services.pool.fetchval("SELECT event FROM event WHERE id = $1", state["id"])
    assert event == "prefect.flow-run.Late"


async def test_a_run_that_would_only_wait_is_cancelled_if_its_deployment_says_so(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    options = {"collision_strategy": "CANCEL_NEW"}
    deployment = await a_deployment(client, flow, concurrency_limit=1, concurrency_options=options)
    busy = await a_run(client, flow, "SCHEDULED", deployment_id=deployment)
    assert (await proposed(client, busy, "PENDING"))["status"] == "ACCEPT"
    late = await a_run(
        client, flow, "SCHEDULED", deployment_id=deployment, details={"scheduled_time": LONG_AGO}
    )

    await mark_late_runs(services)

    state = await state_of(client, late)
    assert (state["type"], state["message"]) == (
        "CANCELLED",
        "Deployment concurrency limit reached.",
    )


async def test_a_pause_that_nobody_ends_in_time_fails_the_run(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    expired = await a_run(client, flow, "PAUSED", details={"pause_timeout": LONG_AGO})
    waiting = await a_run(client, flow, "PAUSED", details={"pause_timeout": NEVER})
    without = await a_run(client, flow, "PAUSED")

    assert await fail_expired_pauses(services) == {"flow_runs": 1}

    state = await state_of(client, expired)
    assert (state["type"], state["message"]) == ("FAILED", "The flow was paused and never resumed.")
    for run in (waiting, without):
        assert (await state_of(client, run))["type"] == "PAUSED"
    assert await fail_expired_pauses(services) == {}


async def a_subflow(
    client: httpx.AsyncClient, parent: str, type: str = "RUNNING", **fields: Any
) -> tuple[str, str]:
    """A run inside `parent`, and the task run that stands for it there."""
    body = {"flow_run_id": parent, "task_key": "t", "dynamic_key": uuid.uuid4().hex}
    task = (await client.post("/task_runs/", json=body)).json()["id"]
    flow = await a_flow(client)
    return await a_run(client, flow, type, parent_task_run_id=task, **fields), task


async def test_cancelling_a_run_cancels_all_that_runs_in_it(
    client: httpx.AsyncClient, services: Services
) -> None:
    parent = await a_run(client, await a_flow(client), "RUNNING")
    child, standing_for_child = await a_subflow(client, parent)
    grandchild, _ = await a_subflow(client, child)
    body = {
        "flow_run_id": parent,
        "task_key": "u",
        "dynamic_key": "1",
        "state": {"type": "RUNNING"},
    }
    task = (await client.post("/task_runs/", json=body)).json()["id"]
    body = {**body, "dynamic_key": "2", "state": {"type": "COMPLETED"}}
    completed = (await client.post("/task_runs/", json=body)).json()["id"]
    assert await clean_up_after_cancellation(services) == {}
    await proposed(client, parent, "CANCELLED")

    await clean_up_after_cancellation(services)

    for run in (child, grandchild):
        state = await state_of(client, run)
        assert (state["type"], state["message"]) == (
            "CANCELLED",
            "The parent flow run was cancelled.",
        )
    for run in (task, standing_for_child):
        assert (await state_of(client, run, "task_runs"))["type"] == "CANCELLED"
    assert (await state_of(client, completed, "task_runs"))["type"] == "COMPLETED"
    assert await clean_up_after_cancellation(services) == {}


async def test_whoever_runs_a_deployed_subflow_is_told_to_end_it(
    client: httpx.AsyncClient, services: Services
) -> None:
    parent = await a_run(client, await a_flow(client), "RUNNING")
    deployment = await a_deployment(client, await a_flow(client))
    running, _ = await a_subflow(client, parent, deployment_id=deployment)
    waiting, _ = await a_subflow(client, parent, "SCHEDULED", deployment_id=deployment)
    await proposed(client, parent, "CANCELLED")

    await clean_up_after_cancellation(services)

    assert (await state_of(client, running))["type"] == "CANCELLING"
    assert (await state_of(client, waiting))["type"] == "CANCELLED"
    again = await clean_up_after_cancellation(services)
    assert again.get("subflow_runs", 0) == 0


async def test_a_cancellation_that_nobody_carries_out_ends_by_itself(
    client: httpx.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await a_run(client, await a_flow(client), "RUNNING")
    await proposed(client, run, "CANCELLING")
    assert await clean_up_after_cancellation(services) == {}
    monkeypatch.setattr(services, "cancelling_timeout", dt.timedelta(0))

    assert (await clean_up_after_cancellation(services))["timed_out"] == 1

    state = await state_of(client, run)
    assert (state["type"], state["message"]) == (
        "CANCELLED",
        "Flow run cancellation timed out; marked this flow run as Cancelled.",
    )


async def test_the_slot_of_a_client_that_died_is_free_for_the_next_run(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    deployment = await a_deployment(client, flow, concurrency_limit=1)
    dead, following = [
        await a_run(client, flow, "SCHEDULED", deployment_id=deployment) for _ in range(2)
    ]
    await proposed(client, dead, "PENDING")
    assert (await proposed(client, following, "PENDING"))["state"]["name"] == (
        "AwaitingConcurrencySlot"
    )
    await services.pool.execute("UPDATE concurrency_lease SET expires = now() - interval '1 s'")

    assert await free_expired_concurrency_leases(services) == {"leases": 1}

    assert await slots_of(client, deployment) == 0
    assert (await proposed(client, following, "PENDING"))["status"] == "ACCEPT"
    # The one that was thought dead comes back, and finds that its slot is another's.
    refused = await proposed(client, dead, "RUNNING")
    assert (
        refused["details"]["reason"] == "Deployment concurrency limit reached after lease expiry."
    )
    assert refused["state"]["type"] == "CANCELLED"
    assert await slots_of(client, deployment) == 1


async def test_a_lost_slot_is_taken_again_if_nobody_has_it(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    deployment = await a_deployment(client, flow, concurrency_limit=1)
    run = await a_run(client, flow, "SCHEDULED", deployment_id=deployment)
    await proposed(client, run, "PENDING")
    await services.pool.execute("UPDATE concurrency_lease SET expires = now() - interval '1 s'")
    await free_expired_concurrency_leases(services)
    assert (await proposed(client, run, "RUNNING"))["status"] == "ACCEPT"
    assert await slots_of(client, deployment) == 1
    await proposed(client, run, "COMPLETED")
    assert await slots_of(client, deployment) == 0


@pytest.mark.parametrize("deleted", ["flow_runs", "flows"])
async def test_deleting_a_run_gives_its_slot_back(
    client: httpx.AsyncClient, services: Services, deleted: str
) -> None:
    flow = await a_flow(client)
    limit = (
        await client.post("/v2/concurrency_limits/", json={"name": uuid.uuid4().hex, "limit": 3})
    ).json()
    deployment = await a_deployment(client, flow, global_concurrency_limit_id=limit["id"])
    run = await a_run(client, flow, "SCHEDULED", deployment_id=deployment)
    await proposed(client, run, "PENDING")
    url = f"/v2/concurrency_limits/{limit['id']}"
    assert (await client.get(url)).json()["active_slots"] == 1

    id = {"flow_runs": run, "flows": flow}[deleted]
    assert (await client.delete(f"/{deleted}/{id}")).status_code == 204

    assert (await client.get(url)).json()["active_slots"] == 0
    assert (await client.delete(f"/{deleted}/{id}")).status_code == 404
