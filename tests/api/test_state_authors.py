"""Who brought a flow run into its states, and why."""

import base64
import datetime as dt
import uuid
from typing import Any

import httpx
import pytest

from app.orchestration.recovery import put_back
from app.rules.recovery import Verdict
from app.services import Services
from app.wire.base import new_id, utc_now
from app.wire.facts import FlowRunFacts
from app.wire.states import StateCreate
from jobs.state_changes import change_flow_run
from storage.postgres.pool import connection
from tests.api.deployed import a_deployment

UI = {"X-Tailrace-Client": "ui"}


async def _run(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    flow = await client.post("/flows/", json={"name": f"flow-{new_id()}"})
    body = {"flow_id": flow.json()["id"], "state": {"type": "SCHEDULED"}}
    run = await client.post("/flow_runs/", json=body, headers=headers)
    run_id: str = run.json()["id"]
    return run_id


async def _changes(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/tailrace/flow_runs/{run}/states")
    assert answer.status_code == 200, answer.text
    changes: list[dict[str, Any]] = answer.json()
    return changes


async def test_each_state_has_its_author(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    client = shared_client
    run = await _run(client, UI)
    authors: list[tuple[str, dict[str, str]]] = [
        ("PENDING", {"X-Prefect-Worker-Name": "w-1"}),
        ("RUNNING", {"X-Prefect-Worker-Name": "w-1", "X-Prefect-Flow-Id": "f", "X-Prefect-Flow-Name": "etl"}),
        ("PAUSED", {}),
        (
            "SCHEDULED",
            {
                "prefect-automation-id": str(new_id()),
                "prefect-automation-name": base64.b64encode("wächter".encode()).decode(),
            },
        ),
    ]  # fmt: skip
    for state, headers in authors:
        body = {"state": {"type": state, "message": f"to {state}"}, "force": True}
        answer = await client.post(f"/flow_runs/{run}/set_state", json=body, headers=headers)
        assert answer.status_code == 201, answer.text

    def late(_: FlowRunFacts) -> StateCreate:
        return StateCreate(type="SCHEDULED", name="Late")

    assert await change_flow_run(shared_services, uuid.UUID(run), late, job="late-runs")
    told = [
        (each["by"]["kind"], each["by"]["name"], each["why"])
        for each in await _changes(client, run)
    ]
    assert told == [
        ("person", None, None),
        ("worker", "w-1", "to PENDING"),
        ("flow", "etl", "to RUNNING"),
        ("client", None, "to PAUSED"),
        ("automation", "wächter", "to SCHEDULED"),
        ("job", "late-runs", "Nobody started it in time."),
    ]


async def test_lazarus_says_that_it_was_lazarus(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    run = await _run(shared_client)
    states = (await shared_client.get(f"/flow_runs/{run}")).json()["state"]
    run_id, state_id = uuid.UUID(run), uuid.UUID(states["id"])
    now = utc_now() + dt.timedelta(seconds=1)
    verdict = Verdict(start=now, same_place=True)
    done = await put_back(
        shared_services.pool, run_id, state_id, lambda _: ("it is stuck", verdict), now=now
    )
    assert done is not None
    last = (await _changes(shared_client, run))[-1]
    assert last["by"] == {"kind": "job", "name": "lazarus"}
    assert last["why"] == "Put back by Lazarus (attempt 1): it is stuck."


async def test_a_run_of_a_deployment_that_a_person_made_is_theirs(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client)
    made = await shared_client.post(
        f"/deployments/{deployment['id']}/create_flow_run", json={}, headers=UI
    )
    (change,) = await _changes(shared_client, made.json()["id"])
    assert change["by"]["kind"] == "person"


async def test_states_of_before_have_no_author_and_no_run_has_no_states(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    run = await _run(shared_client)
    async with connection(shared_services.pool) as conn:
        await conn.execute(
            "UPDATE flow_run_state SET changed_by = NULL WHERE flow_run_id = $1", uuid.UUID(run)
        )
    (change,) = await _changes(shared_client, run)
    assert change["by"] == {"kind": "unknown", "name": None}
    assert (await shared_client.get(f"/tailrace/flow_runs/{new_id()}/states")).status_code == 404


@pytest.mark.parametrize("name", ["", "x" * 500])
async def test_a_strange_name_is_no_matter(shared_client: httpx.AsyncClient, name: str) -> None:
    run = await _run(shared_client, {"X-Prefect-Worker-Name": name})
    (change,) = await _changes(shared_client, run)
    assert change["by"] == {"kind": "worker", "name": name[:200] or None}
