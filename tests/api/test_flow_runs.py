"""Flow runs over HTTP."""

import asyncio
import secrets
import uuid
from typing import Any

import httpx
import pytest

from app.services import Services


@pytest.fixture
def client(shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Each test looks only at runs of its own flow."""
    return shared_client


@pytest.fixture
async def flow_id(client: httpx.AsyncClient) -> str:
    """A flow to run."""
    body = {"name": f"flow-{uuid.uuid4()}", "labels": {"team": "x"}}
    return str((await client.post("/flows/", json=body)).json()["id"])


async def count_of(client: httpx.AsyncClient, flow_id: str) -> int:
    body = {"flows": {"id": {"any_": [flow_id]}}}
    count: int = (await client.post("/flow_runs/count", json=body)).json()
    return count


async def made(client: httpx.AsyncClient, flow_id: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/flow_runs/", json={"flow_id": flow_id, **fields})
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()
    return run


async def proposed(
    client: httpx.AsyncClient, id: str, type: str, *, force: bool = False, **state: Any
) -> httpx.Response:
    body = {"state": {"type": type, **state}, "force": force}
    return await client.post(f"/flow_runs/{id}/set_state", json=body)


async def test_a_new_run_is_answered_whole_and_reads_back_the_same(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    run = await made(
        client,
        flow_id,
        parameters={"a": [1, {"b": None}]},
        tags=["t"],
        labels={"y": 2},
        empirical_policy={"retries": 2, "retry_delay": 3},
    )
    assert (run["state_type"], run["state_name"], run["run_count"]) == ("PENDING", "Pending", 0)
    assert run["labels"] == {"team": "x", "prefect.flow.id": flow_id, "y": 2}
    assert run["state"]["state_details"]["flow_run_id"] == run["id"]
    assert run["expected_start_time"] == run["state"]["timestamp"]
    assert run["name"]
    read = (await client.get(f"/flow_runs/{run['id']}")).json()
    moving = "estimated_start_time_delta"
    assert {**read, moving: 0} == {**run, moving: 0}
    assert read[moving] > 0


async def test_an_idempotency_key_makes_one_run(client: httpx.AsyncClient, flow_id: str) -> None:
    body = {"flow_id": flow_id, "idempotency_key": "k", "state": {"type": "SCHEDULED"}}
    answers = await asyncio.gather(*(client.post("/flow_runs/", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count_of(client, flow_id) == 1


async def test_a_run_goes_through_its_states(
    client: httpx.AsyncClient, flow_id: str, shared_services: Services
) -> None:
    id = (await made(client, flow_id, tags=["t"]))["id"]
    running = await proposed(client, id, "RUNNING")
    assert running.status_code == 201
    assert running.json()["status"] == "ACCEPT"
    assert running.json()["details"] == {"type": "accept_details"}
    completed = (await proposed(client, id, "COMPLETED", message="m", data={"r": 1})).json()
    run = (await client.get(f"/flow_runs/{id}")).json()
    assert run["state"] == completed["state"]
    assert (run["run_count"], run["state_type"], run["state"]["message"]) == (1, "COMPLETED", "m")
    assert run["start_time"] == running.json()["state"]["timestamp"]
    assert run["end_time"] == completed["state"]["timestamp"]
    assert run["total_run_time"] > 0
    states = (await client.get("/flow_run_states/", params={"flow_run_id": id})).json()
    assert [state["type"] for state in states] == ["PENDING", "RUNNING", "COMPLETED"]
    one = await client.get(f"/flow_run_states/{states[1]['id']}")
    assert one.json() == states[1]

    rows = await shared_services.pool.fetch(
        "SELECT * FROM event WHERE resource ->> 'prefect.resource.id' = $1 ORDER BY occurred",
        f"prefect.flow-run.{id}",
    )
    assert [row["event"] for row in rows] == [
        "prefect.flow-run.Pending",
        "prefect.flow-run.Running",
        "prefect.flow-run.Completed",
    ]
    assert [str(row["id"]) for row in rows] == [state["id"] for state in states]
    assert [row["follows"] for row in rows] == [None, rows[0]["id"], rows[1]["id"]]
    assert rows[2]["resource"]["prefect.resource.id"] == f"prefect.flow-run.{id}"
    assert {related["prefect.resource.role"] for related in rows[2]["related"]} == {"flow", "tag"}


async def test_refusals(client: httpx.AsyncClient, flow_id: str) -> None:
    id = (await made(client, flow_id))["id"]
    transition = {"transition_id": str(uuid.uuid4())}
    first = await proposed(client, id, "RUNNING", state_details=transition)
    again = await proposed(client, id, "RUNNING", state_details=transition)
    assert (again.status_code, again.json()["status"]) == (200, "REJECT")
    assert again.json()["state"] == first.json()["state"]
    assert again.json()["details"]["type"] == "reject_details"
    aborted = await proposed(client, id, "PENDING")
    assert (aborted.status_code, aborted.json()["status"]) == (200, "ABORT")
    assert aborted.json()["state"] == first.json()["state"]
    forced = await proposed(client, id, "PENDING", force=True)
    assert (forced.status_code, forced.json()["status"]) == (201, "ACCEPT")
    nobody = uuid.uuid4()
    missing = await proposed(client, str(nobody), "RUNNING")
    assert missing.status_code == 404
    assert missing.json() == {"exception_message": f"Flow run with id {nobody} not found"}


async def test_a_failed_run_waits_and_is_retried(client: httpx.AsyncClient, flow_id: str) -> None:
    policy = {"retries": 1, "retry_delay": 60}
    id = (await made(client, flow_id, empirical_policy=policy))["id"]
    await proposed(client, id, "RUNNING")
    rejected = await proposed(client, id, "FAILED", message="boom")
    assert (rejected.status_code, rejected.json()["status"]) == (201, "REJECT")
    assert rejected.json()["state"]["name"] == "AwaitingRetry"
    waiting = await proposed(client, id, "RUNNING")
    assert (waiting.status_code, waiting.json()["status"]) == (200, "WAIT")
    assert 58 <= waiting.json()["details"]["delay_seconds"] <= 60
    run = (await client.get(f"/flow_runs/{id}")).json()
    assert run["empirical_policy"]["retry_type"] == "in_process"
    assert run["next_scheduled_start_time"] == run["state"]["state_details"]["scheduled_time"]


async def test_transitions_of_a_run_take_turns(client: httpx.AsyncClient, flow_id: str) -> None:
    """Whoever waited for the lock decides on what the other wrote, not on what it saw before."""
    for _ in range(5):
        id = (await made(client, flow_id, state={"type": "SCHEDULED"}))["id"]
        answers = await asyncio.gather(*(proposed(client, id, "PENDING") for _ in range(6)))
        statuses = sorted(answer.json()["status"] for answer in answers)
        assert statuses == ["ABORT"] * 5 + ["ACCEPT"]
        states = (await client.get("/flow_run_states/", params={"flow_run_id": id})).json()
        assert [state["type"] for state in states] == ["SCHEDULED", "PENDING"]
    id = (await made(client, flow_id))["id"]
    await asyncio.gather(*(proposed(client, id, "RUNNING") for _ in range(10)))
    states = (await client.get("/flow_run_states/", params={"flow_run_id": id})).json()
    times = [state["timestamp"] for state in states]
    assert len(times) == 11
    assert times == sorted(set(times))
    assert (await client.get(f"/flow_runs/{id}")).json()["run_count"] == 10


async def test_a_subflow_run_shows_on_the_task_run_that_stands_for_it(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    parent = await made(client, flow_id)
    dummy = {"task_key": "sub", "dynamic_key": "0", "flow_run_id": parent["id"]}
    task = (await client.post("/task_runs/", json=dummy)).json()
    child = await made(client, flow_id, parent_task_run_id=task["id"])
    await proposed(client, child["id"], "RUNNING")
    shown = (await client.get(f"/task_runs/{task['id']}")).json()
    assert (shown["state_type"], shown["run_count"]) == ("RUNNING", 1)
    assert shown["state"]["state_details"]["child_flow_run_id"] == child["id"]
    assert shown["state"]["state_details"]["task_run_id"] == task["id"]

    async def found(flow_runs: object) -> list[str]:
        body = {"flow_runs": flow_runs, "flows": {"id": {"any_": [flow_id]}}}
        answer = await client.post("/flow_runs/filter", json=body)
        return [run["id"] for run in answer.json()]

    assert await found({"parent_flow_run_id": {"any_": [parent["id"]]}}) == [child["id"]]
    assert await found({"parent_task_run_id": {"any_": [task["id"]]}}) == [child["id"]]
    assert await found({"parent_task_run_id": {"is_null_": True}}) == [parent["id"]]
    counted = {
        "task_runs": {"subflow_runs": {"exists_": True}},
        "flows": {"id": {"any_": [flow_id]}},
    }
    assert (await client.post("/task_runs/count", json=counted)).json() == 1
    # The parent goes, the child stays.
    assert (await client.delete(f"/flow_runs/{parent['id']}")).status_code == 204
    assert (await client.get(f"/task_runs/{task['id']}")).status_code == 404
    assert (await client.get(f"/flow_runs/{child['id']}")).json()["parent_task_run_id"] is None


async def test_a_paused_run_is_resumed_with_the_input_it_asked_for(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    id = (await made(client, flow_id))["id"]
    refused = await client.post(f"/flow_runs/{id}/resume")
    assert refused.status_code == 200
    assert (refused.json()["status"], refused.json()["state"]) == ("ABORT", None)
    await proposed(client, id, "RUNNING")
    schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
    await client.post(f"/flow_runs/{id}/input", json={"key": "p-schema", "value": schema})
    keys = {"schema": "p-schema", "response": "p-response"}
    await proposed(client, id, "PAUSED", state_details={"run_input_keyset": keys})
    misfits: list[dict[str, str] | None] = [{"a": "x"}, {}, None]
    for bad in misfits:
        rejected = await client.post(f"/flow_runs/{id}/resume", json={"run_input": bad})
        assert (rejected.status_code, rejected.json()["status"]) == (200, "REJECT")
        assert rejected.json()["state"]["type"] == "PAUSED"
    assert (await client.get(f"/flow_runs/{id}/input/p-response")).status_code == 404
    resumed = await client.post(f"/flow_runs/{id}/resume", json={"run_input": {"a": 1}})
    assert (resumed.status_code, resumed.json()["state"]["type"]) == (201, "RUNNING")
    assert (await client.get(f"/flow_runs/{id}/input/p-response")).json() == {"a": 1}
    missing = await client.post(f"/flow_runs/{uuid.uuid4()}/resume")
    assert missing.status_code == 404


async def paused_for_input(client: httpx.AsyncClient, flow_id: str, schema: str) -> str:
    """The id of a run that waits for input of this schema under p-response."""
    id: str = (await made(client, flow_id))["id"]
    await proposed(client, id, "RUNNING")
    await client.post(f"/flow_runs/{id}/input", json={"key": "p-schema", "value": schema})
    keys = {"schema": "p-schema", "response": "p-response"}
    await proposed(client, id, "PAUSED", state_details={"run_input_keyset": keys})
    return id


async def test_a_schema_of_input_that_goes_in_circles_is_a_rejection(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    schema = '{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#/definitions/a"}}}'
    id = await paused_for_input(client, flow_id, schema)
    answer = await client.post(f"/flow_runs/{id}/resume", json={"run_input": {"a": 1}})
    assert (answer.status_code, answer.json()["status"]) == (200, "REJECT")
    assert answer.json()["details"]["reason"] == (
        "Invalid schema: Unable to validate schema with circular references."
    )
    assert (await client.get(f"/flow_runs/{id}")).json()["state_type"] == "PAUSED"
    assert (await client.get(f"/flow_runs/{id}/input/p-response")).status_code == 404


async def test_input_is_kept_only_once_the_run_goes_on(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    # The pause has expired: to go on is refused, and the run fails.
    id: str = (await made(client, flow_id))["id"]
    await proposed(client, id, "RUNNING")
    await client.post(f"/flow_runs/{id}/input", json={"key": "p-schema", "value": "{}"})
    details = {
        "run_input_keyset": {"schema": "p-schema", "response": "p-response"},
        "pause_timeout": "2020-01-01T00:00:00Z",
    }
    await proposed(client, id, "PAUSED", state_details=details)
    answer = await client.post(f"/flow_runs/{id}/resume", json={"run_input": {"a": 1}})
    assert answer.json()["status"] == "REJECT"
    assert answer.json()["state"]["type"] == "FAILED"
    assert (await client.get(f"/flow_runs/{id}/input/p-response")).status_code == 404


async def test_empty_input_is_not_kept(client: httpx.AsyncClient, flow_id: str) -> None:
    id = await paused_for_input(client, flow_id, '{"type":"object"}')
    resumed = await client.post(f"/flow_runs/{id}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (201, "ACCEPT")
    assert (await client.get(f"/flow_runs/{id}/input/p-response")).status_code == 404


async def test_inputs(client: httpx.AsyncClient, flow_id: str) -> None:
    id = (await made(client, flow_id))["id"]
    url = f"/flow_runs/{id}/input"
    for key in ("a-1", "a-2", "b"):
        answer = await client.post(url, json={"key": key, "value": f'"{key}"', "sender": "me"})
        assert answer.status_code == 201
    taken = await client.post(url, json={"key": "b", "value": "1"})
    assert taken.status_code == 409
    assert taken.json() == {"detail": "A flow run input with this key already exists."}
    bad = await client.post(url, json={"key": "A_b", "value": "1"})
    assert bad.status_code == 422
    missing = await client.post(f"/flow_runs/{uuid.uuid4()}/input", json={"key": "a", "value": "1"})
    assert missing.status_code == 404
    assert (await client.get(f"{url}/a-1")).text == '"a-1"'
    assert (await client.get(f"{url}/c")).status_code == 404
    query = {"prefix": "a-", "limit": 10, "exclude_keys": ["a-1"]}
    found = (await client.post(f"{url}/filter", json=query)).json()
    assert [(one["key"], one["sender"]) for one in found] == [("a-2", "me")]
    assert (await client.delete(f"{url}/b")).status_code == 204
    assert (await client.delete(f"{url}/b")).status_code == 404


async def test_changes(client: httpx.AsyncClient, flow_id: str) -> None:
    id = (await made(client, flow_id, flow_version="1", labels={"a": 1}))["id"]
    change = {"tags": ["q"], "parameters": {"x": 1}, "name": "n", "infrastructure_pid": "7"}
    assert (await client.patch(f"/flow_runs/{id}", json=change)).status_code == 204
    run = (await client.get(f"/flow_runs/{id}")).json()
    assert run.items() >= change.items()
    assert run["flow_version"] == "1"
    assert (await client.patch(f"/flow_runs/{id}", json={"flow_version": None})).status_code == 204
    assert (await client.get(f"/flow_runs/{id}")).json()["flow_version"] is None
    assert (await client.patch(f"/flow_runs/{id}/labels", json={"a": 2, "b": True})).is_success
    labels = (await client.get(f"/flow_runs/{id}")).json()["labels"]
    assert (labels["a"], labels["b"], labels["team"]) == (2, True, "x")
    refused = await client.patch(f"/flow_runs/{id}", json={"job_variables": {"a": 1}})
    assert refused.status_code == 400
    missing = await client.patch(f"/flow_runs/{uuid.uuid4()}", json={"name": "n"})
    assert (missing.status_code, missing.json()) == (404, {"detail": "Flow run not found"})


async def test_deleting_a_run_takes_its_logs_from_every_reader(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    id = (await made(client, flow_id))["id"]
    line = {
        "name": "x",
        "level": 20,
        "message": "m",
        "timestamp": "2026-11-24T00:00:00Z",
        "flow_run_id": id,
    }
    assert (await client.post("/logs/", json=[line])).status_code == 201
    query = {"logs": {"flow_run_id": {"any_": [id]}}}
    assert len((await client.post("/logs/filter", json=query)).json()) == 1
    assert (await client.delete(f"/flow_runs/{id}")).status_code == 204
    assert (await client.post("/logs/filter", json=query)).json() == []
    assert (await client.delete(f"/flow_runs/{id}")).status_code == 404


async def test_bad_bodies_name_the_field_and_store_nothing(
    client: httpx.AsyncClient, flow_id: str
) -> None:
    ok = f'"flow_id":"{flow_id}"'
    for body, loc in (
        ("{}", ["body", "flow_id"]),
        ('{"flow_id":"x"}', ["body", "flow_id"]),
        (f'{{{ok},"state":{{"type":"NOPE"}}}}', ["body", "state", "type"]),
        (
            f'{{{ok},"state":{{"type":"RUNNING","timestamp":"2026"}}}}',
            ["body", "state", "timestamp"],
        ),
        (f'{{{ok},"no_such_field":1}}', ["body", "no_such_field"]),
        (
            f'{{{ok},"empirical_policy":{{"retry_delay":1e12}}}}',
            ["body", "empirical_policy", "retry_delay"],
        ),
        (
            f'{{{ok},"empirical_policy":{{"retry_delay_seconds":-1}}}}',
            ["body", "empirical_policy", "retry_delay_seconds"],
        ),
        (f'{{{ok},"parameters":{{"a":"{"x" * 600_000}"}}}}', ["body", "parameters"]),
    ):
        answer = await client.post("/flow_runs/", content=body)
        assert answer.status_code == 422, body[:100]
        assert answer.json()["exception_detail"][0]["loc"] == loc, body[:100]
    for body in (
        f'{{{ok},"name":"nul\\u0000"}}',
        f'{{{ok},"parameters":{{"a":"nul\\u0000"}}}}',
        f'{{{ok},"state":{{"type":"RUNNING","message":"nul\\u0000"}}}}',
        f'{{{ok},"name":"\\ud800"}}',
        f'{{{ok},"parameters":1e999}}',
        f'{{{ok},"state":{{"type":"SCHEDULED","state_details":{{"scheduled_time":"9999-12-31T23:59:59-10:00"}}}}}}',
        f'{{{ok},"idempotency_key":"{secrets.token_hex(5000)}"}}',
        f'{{{ok},"parameters":{"[" * 1500 + "]" * 1500}}}',
        "[" * 100_000,
    ):
        answer = await client.post("/flow_runs/", content=body)
        assert answer.status_code == 422, body[:100]
    no_flow = await client.post("/flow_runs/", json={"flow_id": str(uuid.uuid4())})
    assert no_flow.status_code == 409
    assert await count_of(client, flow_id) == 0
    year_one = {"type": "SCHEDULED", "state_details": {"scheduled_time": "0001-01-01T00:00:00Z"}}
    assert (await made(client, flow_id, state=year_one))["expected_start_time"].startswith("0001")
    tags = [f"t{number}" for number in range(1000)]
    assert (await made(client, flow_id, tags=tags))["tags"] == tags
    huge = await made(client, flow_id, parameters={"a": 2**70, "b": 1.5, "c": "\U0001f600"})
    read = (await client.get(f"/flow_runs/{huge['id']}")).json()
    assert read["parameters"] == {"a": 2**70, "b": 1.5, "c": "\U0001f600"}


async def test_bad_queries(client: httpx.AsyncClient) -> None:
    assert (await client.post("/flow_runs/filter", json={"limit": 0})).json() == []
    for limit, word in ((201, "less than or equal to 200"), (-1, "greater than or equal to 0")):
        answer = await client.post("/flow_runs/filter", json={"limit": limit})
        assert answer.status_code == 422
        assert answer.json() == {"detail": f"Invalid limit: must be {word}."}
    for body, loc in (
        ({"offset": -1}, ["body", "offset"]),
        ({"sort": "X"}, ["body", "sort"]),
        ({"flow_runs": {"id": {"foo": 1}}}, ["body", "flow_runs", "id", "foo"]),
        ({"flow_runs": {"id": {"any_": ["x"]}}}, ["body", "flow_runs", "id", "any_", 0]),
        ({"flow_runs": {"nope": 1}}, ["body", "flow_runs", "nope"]),
    ):
        answer = await client.post("/flow_runs/filter", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["exception_detail"][0]["loc"] == loc
    for offset in (2**63, 2**31):
        answer = await client.post("/flow_runs/filter", json={"offset": offset})
        assert answer.status_code in (200, 422)
    states = await client.get("/flow_run_states/")
    assert states.status_code == 422
    assert (await client.get(f"/flow_run_states/{uuid.uuid4()}")).status_code == 404
