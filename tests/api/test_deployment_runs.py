"""Runs made from deployments: their parameters, job variables, queues and keys."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.api.deployed import NONE, NOTHING, SCHEMA, a_deployment, a_flow, a_name, a_pool

KIND = "__prefect_kind"
NOBODY = uuid.uuid4()


async def made(client: httpx.AsyncClient, deployment: dict[str, Any], **said: Any) -> Any:
    """The answer to a request for a run."""
    return await client.post(f"/deployments/{deployment['id']}/create_flow_run", json=said)


async def test_a_run_has_what_the_deployment_says_and_what_the_caller_says(
    shared_client: httpx.AsyncClient,
) -> None:
    flow = await a_flow(shared_client, labels={"team": "a"})
    deployment = await a_deployment(
        shared_client,
        flow,
        version="7",
        tags=["a"],
        labels={"own": 1},
        parameter_openapi_schema=SCHEMA,
        parameters={"y": ["q"]},
    )
    answer = await made(
        shared_client, deployment, parameters={"x": 1}, tags=["b"], labels={"mine": True}
    )
    assert answer.status_code == 201
    run = answer.json()
    assert run["parameters"] == {"x": 1, "y": ["q"]}
    assert sorted(run["tags"]) == ["a", "b"]
    assert run["labels"] == {
        "team": "a",
        "own": 1,
        "mine": True,
        "prefect.flow.id": flow,
        "prefect.deployment.id": deployment["id"],
    }
    assert (run["deployment_id"], run["deployment_version"]) == (deployment["id"], "7")
    assert (run["state"]["type"], run["state"]["name"]) == ("SCHEDULED", "Scheduled")
    assert run["next_scheduled_start_time"] is not None
    assert (run["job_variables"], run["created_by"]) == ({}, None)
    kept = (await shared_client.get(f"/flow_runs/{run['id']}")).json()
    changing = {"estimated_start_time_delta"}
    assert {k: v for k, v in kept.items() if k not in changing} == {
        k: v for k, v in run.items() if k not in changing
    }
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2030-01-01T00:00:00Z"}}
    run = (await made(shared_client, deployment, parameters={"x": 1}, state=later)).json()
    assert run["expected_start_time"] == "2030-01-01T00:00:00Z"


async def test_a_key_makes_one_run_whoever_asks_and_how_often(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client)
    answers = await asyncio.gather(
        *(made(shared_client, deployment, idempotency_key="k") for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_parameters_that_do_not_fit_make_no_run(shared_client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(shared_client, parameter_openapi_schema=SCHEMA)
    for parameters, words in (
        (NOTHING, "Validation failed. Failure reason: 'x' is a required property"),
        ({"x": "1"}, "Validation failed for field 'x'. Failure reason: '1' is not of type"),
        ({"x": 1, "y": [2]}, "Validation failed for field 'y[0]'."),
    ):
        answer = await made(shared_client, deployment, parameters=parameters)
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith(f"Error creating flow run: {words}")
    assert (
        await made(shared_client, deployment, parameters={"x": 1, "y": None})
    ).status_code == 201
    unchecked = await made(shared_client, deployment, enforce_parameter_schema=False)
    assert unchecked.status_code == 201
    count = await shared_client.post(
        "/flow_runs/count", json={"deployments": {"id": {"any_": [deployment["id"]]}}}
    )
    assert count.json() == 2


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ({KIND: "json", "value": "[1,2]"}, [1, 2]),
        ({KIND: "json", "value": {KIND: "jinja", "template": "[{{ 1 + 1 }}]"}}, [2]),
        ({KIND: "jinja", "template": "{% if 1 %}{{ 'a'|upper }}{% endif %}"}, "A"),
        ({KIND: "none", "value": {"a": {KIND: "json", "value": "1"}}}, {"a": 1}),
        ({KIND: "other", "value": 3}, 3),
        ([{KIND: "json"}, 1], [1]),
    ],
)
async def test_a_value_is_made_as_it_says(
    shared_client: httpx.AsyncClient, written: Any, becomes: Any
) -> None:
    deployment = await a_deployment(shared_client)
    run = (await made(shared_client, deployment, parameters={"v": written})).json()
    assert run["parameters"] == {"v": becomes}


async def test_a_value_is_made_of_a_variable(shared_client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(shared_client)
    value, pointer = a_name(), a_name()
    await shared_client.post("/variables/", json={"name": value, "value": {"a": [1]}})
    await shared_client.post("/variables/", json={"name": pointer, "value": value})
    direct = {KIND: "workspace_variable", "variable_name": value}
    by_another = {
        KIND: "workspace_variable",
        "variable_name": {KIND: "workspace_variable", "variable_name": pointer},
    }
    left_empty = {KIND: "workspace_variable"}
    parameters = {"a": direct, "b": by_another, "c": left_empty}
    run = (await made(shared_client, deployment, parameters=parameters)).json()
    assert run["parameters"] == {"a": {"a": [1]}, "b": {"a": [1]}}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({KIND: "json", "value": "{"}, "Invalid JSON: Expecting property name"),
        ({KIND: "json", "value": '"\\ud800"'}, "Invalid JSON: "),
        ({KIND: "json", "value": "1e999"}, "Invalid JSON: "),
        ({KIND: "none"}, "Missing 'value' key in __prefect object"),
        ({KIND: "jinja"}, "Missing 'template' key in __prefect object"),
        ({KIND: "jinja", "template": "{{"}, "Invalid jinja: unexpected 'end of template'"),
        ({KIND: "jinja", "template": 5}, "Invalid jinja: the template is not a text"),
        ({KIND: "jinja", "template": "{{ 1/0 }}"}, "ZeroDivisionError"),
        (
            {KIND: "workspace_variable", "variable_name": "nobody_has_it"},
            "Variable 'nobody_has_it' not found in workspace.",
        ),
    ],
)
async def test_a_value_that_cannot_be_made_is_refused(
    shared_client: httpx.AsyncClient, written: Any, words: str
) -> None:
    deployment = await a_deployment(shared_client)
    answer = await made(shared_client, deployment, parameters={"v": written})
    assert answer.status_code == 400
    assert "Error hydrating flow run parameters: " in answer.json()["detail"]
    assert words in answer.json()["detail"]


async def test_job_variables_are_checked_against_the_template_of_the_pool(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(
        shared_client, work_pool_name=await a_pool(shared_client), job_variables={"n": 3}
    )
    for variables, words in (
        (NOTHING, "'s' is a required property"),
        ({"s": 1}, "Validation failed for field 's'."),
        ({"s": "x", "n": "y"}, "Validation failed for field 'n'."),
    ):
        answer = await made(shared_client, deployment, job_variables=variables)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
    run = (await made(shared_client, deployment, job_variables={"s": "x"})).json()
    assert run["job_variables"] == {"s": "x"}


async def test_a_run_goes_to_the_queue_of_the_deployment_or_the_one_it_names(
    shared_client: httpx.AsyncClient,
) -> None:
    pool = await a_pool(shared_client)
    deployment = await a_deployment(
        shared_client, work_pool_name=pool, work_queue_name="own", job_variables={"s": "x"}
    )
    run = (await made(shared_client, deployment)).json()
    assert (run["work_pool_name"], run["work_queue_name"]) == (pool, "own")
    assert run["work_queue_id"] == deployment["work_queue_id"]
    run = (await made(shared_client, deployment, work_queue_name="fresh")).json()
    assert (run["work_pool_name"], run["work_queue_name"]) == (pool, "fresh")
    nowhere = await a_deployment(shared_client)
    answer = await made(shared_client, nowhere, work_queue_name="fresh")
    assert answer.status_code == 400
    assert "is not associated with a work pool" in answer.json()["detail"]


async def test_events_of_a_run_name_its_deployment_its_queue_and_its_pool(
    shared_client: httpx.AsyncClient,
) -> None:
    flow, pool = await a_flow(shared_client), await a_pool(shared_client)
    deployment = await a_deployment(
        shared_client,
        flow,
        work_pool_name=pool,
        work_queue_name="own",
        job_variables={"s": "x"},
        tags=["b"],
    )
    run = (await made(shared_client, deployment, tags=["a"])).json()
    claim = {"state": {"type": "PENDING"}}
    assert (await shared_client.post(f"/flow_runs/{run['id']}/set_state", json=claim)).is_success
    direct = {
        "flow_id": flow,
        "deployment_id": deployment["id"],
        "work_pool_name": pool,
        "work_queue_name": "own",
        "tags": ["a", "b"],
    }
    other = (await shared_client.post("/flow_runs/", json=direct)).json()
    expected = [
        (f"prefect.flow.{flow}", "flow"),
        (f"prefect.deployment.{deployment['id']}", "deployment"),
        (f"prefect.work-queue.{run['work_queue_id']}", "work-queue"),
        (f"prefect.work-pool.{run['work_pool_id']}", "work-pool"),
        ("prefect.tag.a", "tag"),
        ("prefect.tag.b", "tag"),
    ]
    resource = {"id": [f"prefect.flow-run.{each['id']}" for each in (run, other)]}
    answer = await shared_client.post("/events/filter", json={"filter": {"resource": resource}})
    events = answer.json()["events"]
    assert sorted(event["event"].rpartition(".")[2] for event in events) == [
        "Pending",
        "Pending",
        "Scheduled",
    ]
    for event in events:
        related = [
            (each["prefect.resource.id"], each["prefect.resource.role"])
            for each in event["related"]
        ]
        assert related == expected
        names = [each.get("prefect.resource.name") for each in event["related"]]
        assert names[1:4] == [deployment["name"], "own", pool]
        assert event["related"][3]["prefect.work-pool.type"] == "process"


async def test_a_run_without_a_deployment_may_name_a_queue_that_is_there(
    shared_client: httpx.AsyncClient,
) -> None:
    flow, pool = await a_flow(shared_client), await a_pool(shared_client)

    async def run(**said: str) -> httpx.Response:
        return await shared_client.post("/flow_runs/", json={"flow_id": flow, **said})

    placed = (await run(work_pool_name=pool)).json()
    assert (placed["work_pool_name"], placed["work_queue_name"]) == (pool, "default")
    assert placed["work_queue_id"] is not None
    named = (await run(work_queue_name="only a name")).json()
    assert (named["work_queue_id"], named["work_queue_name"]) == (None, "only a name")
    assert (await run(work_pool_name=a_name())).status_code == 404
    missing = await run(work_pool_name=pool, work_queue_name="mistyped")
    assert missing.status_code == 404
    assert missing.json()["detail"] == f"Work pool queue '{pool}/mistyped' not found."


async def test_many_are_made_at_once_and_each_is_judged_by_itself(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client, parameter_openapi_schema=SCHEMA)
    path = f"/deployments/{deployment['id']}/create_flow_run/bulk"
    good = {"parameters": {"x": 1}}
    answer = await shared_client.post(
        path,
        json=[good, {"parameters": {"x": "a"}}, {**good, "parameters": {"x": "\0"}}, good],
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["CREATED", "FAILED", "FAILED", "CREATED"]
    assert results[1]["error"].startswith("Parameter validation failed: Validation failed for")
    for number in (0, 3):
        run = await shared_client.get(f"/flow_runs/{results[number]['flow_run_id']}")
        assert run.json()["deployment_id"] == deployment["id"]
    elsewhere = (await shared_client.post(path, json=[{**good, "work_queue_name": "q"}])).json()
    assert elsewhere["results"][0]["error"] == (
        "Cannot create flow run in work queue q because deployment is not associated with a work"
        " pool."
    )
    assert (await shared_client.post(path, json=[])).json() == {"results": []}
    many = await shared_client.post(path, json=[good] * 101)
    assert (many.status_code, many.json()["detail"]) == (
        400,
        "Cannot create more than 100 flow runs at once.",
    )
    for bad in (NOTHING, [1], [{"surprise": 1}]):
        assert (await shared_client.post(path, json=bad)).status_code == 422
    without = await shared_client.post(path)
    assert without.status_code == 422
    assert without.json()["exception_detail"] == [
        {"type": "missing", "loc": ["body"], "msg": "Field required"}
    ]


async def test_bad_requests_for_runs_are_refused(shared_client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(shared_client)
    for said, field in (
        ({"surprise": 1}, "surprise"),
        ({"parameters": NONE}, "parameters"),
        ({"parameters": {"x": "a" * 600_000}}, "parameters"),
        ({"state": {"type": "NAPPING"}}, "state"),
        ({"tags": [1]}, "tags"),
        ({"parent_task_run_id": "x"}, "parent_task_run_id"),
    ):
        answer = await made(shared_client, deployment, **said)
        assert answer.status_code == 422
        assert field in answer.json()["exception_detail"][0]["loc"]
    schemaless = await a_deployment(shared_client, parameter_openapi_schema=None)
    answer = await made(shared_client, schemaless)
    assert answer.status_code == 409
    assert "does not have a valid parameter schema" in answer.json()["detail"]


async def test_an_automation_is_named_as_the_author_of_a_run(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client)
    headers = {"prefect-automation-id": str(NOBODY), "prefect-automation-name": "Ym9i"}
    author = {"id": str(NOBODY), "type": "AUTOMATION", "display_value": "bob"}
    for path, body in (
        (f"/deployments/{deployment['id']}/create_flow_run", NOTHING),
        ("/flow_runs/", {"flow_id": deployment["flow_id"]}),
    ):
        run = (await shared_client.post(path, json=body, headers=headers)).json()
        assert run["created_by"] == author
        kept = await shared_client.get(f"/flow_runs/{run['id']}")
        assert kept.json()["created_by"] == author
