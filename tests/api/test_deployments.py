"""Deployments over HTTP: made, changed, paused, deleted, found."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from app.services import Services
from tests.api.deployed import (
    HOURLY,
    NONE,
    NOTHING,
    SCHEMA,
    a_deployment,
    a_flow,
    a_name,
    a_pool,
    a_waiting_run,
    is_there,
)

NOBODY = uuid.uuid4()


async def test_a_deployment_is_made_once_and_then_changed_by_what_is_said(
    shared_client: httpx.AsyncClient,
) -> None:
    flow = await a_flow(shared_client, labels={"team": "a"})
    body = {"name": "nightly", "flow_id": flow, "tags": ["a"], "labels": {"own": 1}, "version": "1"}
    made = await shared_client.post("/deployments/", json=body)
    assert made.status_code == 201
    deployment = made.json()
    assert deployment["labels"] == {"team": "a", "prefect.flow.id": flow, "own": 1}
    assert deployment["status"] == "NOT_READY"
    assert deployment["enforce_parameter_schema"] is True
    assert (deployment["parameters"], deployment["parameter_openapi_schema"]) == ({}, {})
    assert (deployment["pull_steps"], deployment["job_variables"]) == ([], {})
    assert deployment["paused"] is False

    again = await shared_client.post(
        "/deployments/",
        json={"name": "nightly", "flow_id": flow, "parameters": {"x": 1}, "paused": True},
    )
    assert again.status_code == 200
    changed = again.json()
    assert (changed["id"], changed["created"]) == (deployment["id"], deployment["created"])
    assert (changed["parameters"], changed["paused"]) == ({"x": 1}, True)
    assert (changed["tags"], changed["version"]) == (["a"], "1"), "what is not said stays"

    assert (await shared_client.get(f"/deployments/{deployment['id']}")).json() == changed
    flow_name = (await shared_client.get(f"/flows/{flow}")).json()["name"]
    by_name = await shared_client.get(f"/deployments/name/{flow_name}/nightly")
    assert by_name.json() == changed


async def test_a_parameter_schema_keeps_the_order_of_its_fields(
    shared_client: httpx.AsyncClient,
) -> None:
    schema = {"type": "object", "properties": {"zebra": NOTHING, "apple": NOTHING, "m": NOTHING}}
    deployment = await a_deployment(shared_client, parameter_openapi_schema=schema)
    assert list(deployment["parameter_openapi_schema"]["properties"]) == ["zebra", "apple", "m"]


async def test_making_it_again_replaces_its_schedules_and_takes_their_runs_back(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    flow = await a_flow(shared_client)
    deployment = await a_deployment(
        shared_client,
        flow,
        schedules=[{"schedule": HOURLY, "slug": "a"}, {"schedule": {"cron": "0 3 * * *"}}],
    )
    assert [each["slug"] for each in deployment["schedules"]] == [None, "a"]
    run = await a_waiting_run(shared_client, shared_services.pool, deployment)
    late = await a_waiting_run(shared_client, shared_services.pool, deployment, seconds=-60)
    own = await shared_client.post(f"/deployments/{deployment['id']}/create_flow_run", json={})
    changed = await a_deployment(
        shared_client, flow, schedules=[{"schedule": HOURLY, "parameters": {"q": 1}}]
    )
    (schedule,) = changed["schedules"]
    assert (schedule["schedule"], schedule["parameters"]) == (HOURLY, {"q": 1})
    assert (schedule["active"], schedule["max_scheduled_runs"]) == (True, None)
    assert not await is_there(shared_client, run)
    assert await is_there(shared_client, late), "it is due already"
    assert await is_there(shared_client, own.json()["id"]), "no schedule made it"


async def test_two_who_make_the_same_deployment_at_once_make_one(
    shared_client: httpx.AsyncClient,
) -> None:
    flow = await a_flow(shared_client)
    answers = await asyncio.gather(
        *(
            shared_client.post(
                "/deployments/",
                json={
                    "name": "d",
                    "flow_id": flow,
                    "tags": [str(number)],
                    "schedules": [{"schedule": HOURLY, "slug": "s"}],
                    "concurrency_limit": 1,
                },
            )
            for number in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    kept = (await shared_client.get(f"/deployments/{answers[0].json()['id']}")).json()
    assert [schedule["slug"] for schedule in kept["schedules"]] == ["s"]
    assert kept["global_concurrency_limit"]["limit"] == 1


async def test_a_deployment_goes_to_the_queue_it_names(shared_client: httpx.AsyncClient) -> None:
    pool = await a_pool(shared_client)
    flow = await a_flow(shared_client)

    def place(deployment: dict[str, Any]) -> tuple[str, str]:
        return deployment["work_pool_name"], deployment["work_queue_name"]

    assert place(await a_deployment(shared_client, flow, work_pool_name=pool)) == (pool, "default")
    there = await a_deployment(shared_client, flow, work_pool_name=pool, work_queue_name="new")
    assert place(there) == (pool, "new")
    queue = await shared_client.get(f"/work_pools/{pool}/queues/new")
    assert queue.json()["id"] == there["work_queue_id"]
    assert place(await a_deployment(shared_client, flow)) == (pool, "new"), "what is not said stays"
    lonely = await a_deployment(shared_client, flow, work_queue_name=a_name())
    assert lonely["work_pool_name"] == "default-agent-pool"
    id = lonely["id"]
    await shared_client.patch(f"/deployments/{id}", json={"work_pool_name": pool})
    assert (await shared_client.get(f"/deployments/{id}")).json()["work_pool_name"] == pool
    await shared_client.patch(f"/deployments/{id}", json={"work_pool_name": None})
    nowhere = (await shared_client.get(f"/deployments/{id}")).json()
    assert (nowhere["work_pool_name"], nowhere["work_queue_id"]) == (None, None)


async def test_a_limit_of_its_own_comes_and_goes_with_the_deployment(
    shared_client: httpx.AsyncClient,
) -> None:
    flow = await a_flow(shared_client)
    options = {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60}
    deployment = await a_deployment(
        shared_client, flow, concurrency_limit=2, concurrency_options=options
    )
    limit = deployment["global_concurrency_limit"]
    assert (limit["name"], limit["limit"]) == (f"deployment:{deployment['id']}", 2)
    assert deployment["concurrency_options"] == options
    assert deployment["concurrency_limit"] is None, "old readers get nothing"

    more = await a_deployment(shared_client, flow, concurrency_limit=3)
    assert more["global_concurrency_limit"]["id"] == limit["id"]
    assert more["global_concurrency_limit"]["limit"] == 3
    kept = await a_deployment(shared_client, flow)
    assert kept["global_concurrency_limit"]["limit"] == 3
    none = await a_deployment(shared_client, flow, concurrency_limit=None)
    assert none["global_concurrency_limit"] is None
    path = f"/v2/concurrency_limits/{limit['id']}"
    assert (await shared_client.get(path)).status_code == 404

    again = await a_deployment(shared_client, flow, concurrency_limit=1)
    path = f"/v2/concurrency_limits/{again['global_concurrency_limit']['id']}"
    assert (await shared_client.delete(f"/deployments/{again['id']}")).status_code == 204
    assert (await shared_client.get(path)).status_code == 404


async def test_a_shared_limit_is_let_go_of_and_never_changed(
    shared_client: httpx.AsyncClient,
) -> None:
    shared = await shared_client.post(
        "/v2/concurrency_limits/", json={"name": a_name(), "limit": 4}
    )
    id = shared.json()["id"]
    flow = await a_flow(shared_client)
    deployment = await a_deployment(
        shared_client, flow, concurrency_limit=2, concurrency_options=None
    )
    own = f"/v2/concurrency_limits/{deployment['global_concurrency_limit']['id']}"
    deployment = await a_deployment(shared_client, flow, global_concurrency_limit_id=id)
    assert deployment["global_concurrency_limit"]["id"] == id
    assert (await shared_client.get(own)).status_code == 404, "nobody has it any more"

    deployment = await a_deployment(shared_client, flow, concurrency_limit=2)
    assert deployment["global_concurrency_limit"]["limit"] == 2
    path = f"/deployments/{deployment['id']}"
    await shared_client.patch(path, json={"global_concurrency_limit_id": id})
    await shared_client.patch(path, json={"concurrency_limit": None})
    assert (await shared_client.get(path)).json()["global_concurrency_limit"] is None
    await shared_client.patch(path, json={"global_concurrency_limit_id": id})
    await shared_client.delete(path)
    kept = await shared_client.get(f"/v2/concurrency_limits/{id}")
    assert kept.json()["limit"] == 4


async def test_bad_deployments_are_refused_and_nothing_is_made(
    shared_client: httpx.AsyncClient,
) -> None:
    flow, pool = await a_flow(shared_client), await a_pool(shared_client)
    twice = [{"schedule": HOURLY, "slug": "s"}, {"schedule": HOURLY, "slug": "s"}]
    shared = {"global_concurrency_limit_id": str(NOBODY)}
    typed = {"enforce_parameter_schema": True, "parameter_openapi_schema": SCHEMA}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"work_pool_name": "nobody"}, 404, 'Work pool "nobody" not found.'),
        ({"flow_id": str(NOBODY)}, 409, "no such flow"),
        (shared, 404, "Concurrency limit not found"),
        ({**shared, "concurrency_limit": 1}, 422, "cannot have both a concurrency limit and"),
        ({"concurrency_limit": 0}, 422, "concurrency_limit"),
        ({"concurrency_options": {"collision_strategy": "WAIT"}}, 422, "collision_strategy"),
        (
            {"concurrency_options": {"collision_strategy": "ENQUEUE", "grace_period_seconds": 1}},
            422,
            "grace_period_seconds",
        ),
        ({"schedules": twice}, 409, "slug"),
        ({"schedules": [{"schedule": {}}]}, 422, "interval"),
        ({"schedules": [{"schedule": {"interval": -1}}]}, 422, "interval"),
        ({"schedules": [{"schedule": HOURLY, "max_scheduled_runs": 51}]}, 422, "runs"),
        ({**typed, "parameters": {"x": "a"}}, 422, "'a' is not of type 'integer'"),
        (
            {"enforce_parameter_schema": True, "parameter_openapi_schema": {"type": "strange"}},
            422,
            "not a valid json schema",
        ),
        (
            {"work_pool_name": pool, "job_variables": {"n": "x"}},
            422,
            "Error creating deployment: Validation failed for field 'n'.",
        ),
        ({"infrastructure_document_id": str(NOBODY)}, 409, "Could not find infrastructure block"),
        ({"storage_document_id": str(NOBODY)}, 409, "Could not find storage block"),
        ({"parameters": {"x": "a" * 600_000}}, 422, "less than 524,288 bytes"),
        ({"name": "a/b"}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": None}, 422, "name"),
        ({"tags": None}, 422, "tags"),
        ({"surprise": 1}, 422, "surprise"),
        ({"version_info": {"type": "git"}}, 422, "version"),
        ({"version_info": {"type": "git", "version": 1}}, 422, "version"),
    ]
    for said, status, words in cases:
        body = {"name": "bad", "flow_id": flow, **said}
        answer = await shared_client.post("/deployments/", json=body)
        assert answer.status_code == status, (said, answer.text)
        assert words in answer.text.replace('\\"', '"'), (said, answer.text)
    for content in (b"", b"{", b"[]", b"null", b'{"name":"\\u0000","flow_id":"' + flow.encode()):
        answer = await shared_client.post("/deployments/", content=content)
        assert answer.status_code == 422, content
    found = await shared_client.post("/deployments/count", json={"flows": {"id": {"any_": [flow]}}})
    assert found.json() == 0


async def test_nul_in_a_deployment_is_refused(shared_client: httpx.AsyncClient) -> None:
    flow = await a_flow(shared_client)
    for field, value in (
        ("description", "a\0"),
        ("parameters", {"a": "\0"}),
        ("tags", ["\0"]),
        ("parameter_openapi_schema", {"title": "\0"}),
        ("schedules", [{"schedule": HOURLY, "slug": "\0"}]),
    ):
        body = {"name": "d", "flow_id": flow, field: value}
        answer = await shared_client.post("/deployments/", json=body)
        assert answer.status_code == 422, field


async def test_a_change_says_what_changes_and_takes_waiting_runs_back(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    deployment = await a_deployment(
        shared_client,
        schedules=[{"schedule": HOURLY}],
        tags=["a"],
        description="first",
        parameter_openapi_schema=SCHEMA,
    )
    run = await a_waiting_run(shared_client, shared_services.pool, deployment)
    path = f"/deployments/{deployment['id']}"
    changes = {
        "description": None,
        "tags": ["b"],
        "parameters": {"x": {"__prefect_kind": "json", "value": "5"}},
        "job_variables": {"n": 1},
        "entrypoint": "flow.py:f",
        "version": "2",
        "paused": True,
    }
    assert (await shared_client.patch(path, json=changes)).status_code == 204
    changed = (await shared_client.get(path)).json()
    assert changed.items() >= {**changes, "parameters": {"x": 5}}.items()
    assert changed["schedules"] == deployment["schedules"]
    assert not await is_there(shared_client, run)
    assert (await shared_client.patch(path, json={"job_variables": None})).status_code == 204
    assert (await shared_client.get(path)).json()["job_variables"] == {"n": 1}


async def test_bad_changes_change_nothing(shared_client: httpx.AsyncClient) -> None:
    pool = await a_pool(shared_client)
    circular = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}
    deployment = await a_deployment(
        shared_client, parameter_openapi_schema=SCHEMA, schedules=[{"schedule": HOURLY}]
    )
    path = f"/deployments/{deployment['id']}"
    json_kind = {"__prefect_kind": "json", "value": "{"}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"surprise": 1}, 422, "surprise"),
        ({"paused": None}, 422, "paused"),
        ({"parameters": None}, 422, "parameters"),
        ({"parameters": {"y": [1]}}, 409, "Validation failed for field 'y[0]'."),
        ({"parameters": {"x": json_kind}}, 400, "Error hydrating deployment parameters"),
        ({"parameter_openapi_schema": circular, "parameters": {"x": 1}}, 422, "circular"),
        ({"work_pool_name": "nobody"}, 404, 'Work pool "nobody" not found.'),
        (
            {"work_pool_name": pool, "job_variables": {"n": "x"}},
            409,
            "is not of type 'integer'",
        ),
        ({"global_concurrency_limit_id": str(NOBODY)}, 404, "Concurrency limit not found"),
        (
            {"global_concurrency_limit_id": str(NOBODY), "concurrency_limit": 1},
            422,
            "cannot have both",
        ),
        ({"schedules": [{"schedule": {"cron": 1}}]}, 422, "cron"),
        ({"concurrency_limit": -1}, 422, "concurrency_limit"),
    ]
    for said, status, words in cases:
        answer = await shared_client.patch(path, json={"tags": ["changed"], **said})
        assert answer.status_code == status, (said, answer.text)
        assert words in answer.text.replace('\\"', '"'), (said, answer.text)
    assert (await shared_client.get(path)).json() == deployment


async def test_parameters_cannot_be_checked_without_a_schema(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client, parameter_openapi_schema=None)
    path = f"/deployments/{deployment['id']}"
    answer = await shared_client.patch(path, json={"parameters": {"x": 1}})
    assert answer.status_code == 409
    assert "does not have a valid parameter schema" in answer.json()["detail"]
    unchecked = {"parameters": {"x": 1}, "enforce_parameter_schema": False}
    assert (await shared_client.patch(path, json=unchecked)).status_code == 204


async def test_schedules_are_changed_by_their_slugs(shared_client: httpx.AsyncClient) -> None:
    daily = {"cron": "0 0 * * *", "timezone": None, "day_or": True}
    deployment = await a_deployment(
        shared_client,
        schedules=[
            {"schedule": HOURLY, "slug": "a", "parameters": {"p": 1}},
            {"schedule": daily, "slug": "b"},
        ],
    )
    path = f"/deployments/{deployment['id']}"
    ids = {each["slug"]: each["id"] for each in deployment["schedules"]}

    async def patched(*schedules: dict[str, Any]) -> dict[str, dict[str, Any]]:
        answer = await shared_client.patch(path, json={"schedules": list(schedules)})
        assert answer.status_code == 204, answer.text
        kept = (await shared_client.get(path)).json()["schedules"]
        return {each["slug"]: each for each in kept}

    kept = await patched({"slug": "a", "active": False})
    assert (kept["a"]["active"], kept["a"]["parameters"]) == (False, {"p": 1})
    assert kept["b"]["active"] is True
    kept = await patched({"slug": "c", "schedule": HOURLY, "max_scheduled_runs": 3})
    assert (sorted(kept), kept["c"]["max_scheduled_runs"]) == (["a", "b", "c"], 3)
    kept = await patched({"slug": "b", "replaces": "a"}, {"slug": "a", "replaces": "b"})
    assert (kept["a"]["id"], kept["b"]["id"]) == (ids["b"], ids["a"])
    kept = await patched({"slug": "d", "replaces": "nobody", "schedule": daily})
    assert sorted(kept) == ["a", "b", "c", "d"]
    assert await patched() == kept

    for schedules, words in (
        ([{"active": False}], "provide a slug for each schedule"),
        ([{"slug": "new"}], "without a schedule configuration"),
        ([{"slug": "new", "replaces": "nobody"}], "without a schedule configuration"),
        ([{"slug": "b", "replaces": "a"}], "a schedule with slug 'b' already exists."),
        (
            [{"slug": "x", "replaces": "a"}, {"slug": "y", "replaces": "a"}],
            "'replaces' targeting the same slug: a",
        ),
    ):
        answer = await shared_client.patch(path, json={"schedules": schedules})
        assert answer.status_code == 422, schedules
        assert words in answer.json()["detail"]
    twice = [{"slug": "n", "schedule": HOURLY}, {"slug": "n", "schedule": HOURLY}]
    assert (await shared_client.patch(path, json={"schedules": twice})).status_code == 409
    assert len((await shared_client.get(path)).json()["schedules"]) == 4


async def test_schedules_without_slugs_are_replaced_by_a_change(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(
        shared_client, schedules=[{"schedule": HOURLY}, {"schedule": HOURLY, "slug": "a"}]
    )
    path = f"/deployments/{deployment['id']}"
    await shared_client.patch(path, json={"schedules": [{"schedule": HOURLY, "active": False}]})
    (kept,) = (await shared_client.get(path)).json()["schedules"]
    assert (kept["slug"], kept["active"]) == (None, False)
    await shared_client.patch(path, json={"schedules": []})
    assert (await shared_client.get(path)).json()["schedules"] == []


async def test_schedules_are_added_changed_and_deleted_by_themselves(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    deployment = await a_deployment(
        shared_client,
        schedules=[{"schedule": HOURLY, "slug": "b"}, {"schedule": HOURLY, "slug": "a"}],
    )
    path = f"/deployments/{deployment['id']}/schedules"
    added = await shared_client.post(
        path, json=[{"schedule": {"rrule": "FREQ=DAILY"}, "slug": "c", "parameters": {"p": 1}}]
    )
    assert added.status_code == 201
    (schedule,) = added.json()
    listed = (await shared_client.get(path)).json()
    assert [each["slug"] for each in listed] == ["c", "a", "b"]
    assert listed[0] == schedule
    assert (await shared_client.post(path, json=[])).json() == []

    one = await a_waiting_run(shared_client, shared_services.pool, deployment, schedule=0)
    other = await a_waiting_run(shared_client, shared_services.pool, deployment, schedule=1)
    first = f"{path}/{deployment['schedules'][0]['id']}"
    assert (await shared_client.patch(first, json={"active": False})).status_code == 204
    assert not await is_there(shared_client, one)
    assert await is_there(shared_client, other), "its schedule is as it was"
    assert (await shared_client.get(path)).json()[0]["active"] is False

    late = await a_waiting_run(
        shared_client, shared_services.pool, deployment, schedule=1, seconds=-60
    )
    second = f"{path}/{deployment['schedules'][1]['id']}"
    assert (await shared_client.delete(second)).status_code == 204
    assert not await is_there(shared_client, other)
    assert not await is_there(shared_client, late)
    assert [each["slug"] for each in (await shared_client.get(path)).json()] == ["a", "c"]


async def test_bad_schedules_are_refused(shared_client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(shared_client, schedules=[{"schedule": HOURLY, "slug": "a"}])
    path = f"/deployments/{deployment['id']}/schedules"
    own = f"{path}/{deployment['schedules'][0]['id']}"
    taken = await shared_client.post(path, json=[{"schedule": HOURLY, "slug": "a"}])
    assert taken.status_code == 409
    assert taken.json()["detail"] == "Schedule slugs must be unique within a deployment."
    for body in (
        NOTHING,
        [NOTHING],
        [{"schedule": HOURLY, "other": 1}],
        [{"schedule": {"interval": 0}}],
        [1],
    ):
        assert (await shared_client.post(path, json=body)).status_code == 422, body
    assert (await shared_client.post(path)).status_code == 422
    for change in ({"schedule": {"cron": "* * * * *", "interval": 1}}, {"other": 1}, {"active": 3}):
        assert (await shared_client.patch(own, json=change)).status_code == 422, change
    assert (await shared_client.get(path)).json() == deployment["schedules"]


@pytest.mark.parametrize(
    ("schedule", "place"),
    [
        ({"cron": "never"}, ["cron"]),
        ({"cron": "R * * * *"}, ["cron"]),
        ({"cron": 5}, ["cron"]),
        ({"cron": "* * * * *", "timezone": "Nowhere"}, ["timezone"]),
        ({"cron": "* * * * *", "other": 1}, ["other"]),
        ({"interval": -1}, ["interval"]),
        ({"interval": "x"}, ["interval"]),
        ({"interval": 60, "anchor_date": "x"}, ["anchor_date"]),
        ({"rrule": "x"}, ["rrule"]),
        ({}, []),
    ],
)
async def test_what_is_wrong_in_a_schedule_is_told_with_its_place(
    shared_client: httpx.AsyncClient, schedule: dict[str, Any], place: list[str]
) -> None:
    deployment = await a_deployment(shared_client, schedules=[{"schedule": HOURLY}])
    path = f"/deployments/{deployment['id']}"
    own = f"{path}/schedules/{deployment['schedules'][0]['id']}"
    wrong = {"schedule": schedule}
    fields = {"name": "d", "flow_id": deployment["flow_id"]}
    for method, url, body, before in (
        ("POST", "/deployments/", {**fields, "schedules": [wrong]}, ["schedules", 0]),
        ("PATCH", path, {"schedules": [wrong]}, ["schedules", 0]),
        ("POST", f"{path}/schedules", [wrong], [0]),
        ("PATCH", own, wrong, NONE),
    ):
        answer = await shared_client.request(method, url, json=body)
        assert answer.status_code == 422
        told = answer.json()["exception_detail"][0]
        assert told["loc"] == ["body", *before, "schedule", *place]
        assert "schedule" in told["msg"]


async def test_what_is_not_there_is_404(shared_client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(shared_client)
    nobody, own = f"/deployments/{NOBODY}", f"/deployments/{deployment['id']}"
    for method, path, body in (
        ("GET", nobody, None),
        ("PATCH", nobody, NOTHING),
        ("DELETE", nobody, None),
        ("GET", "/deployments/name/nobody/nothing", None),
        ("GET", f"{nobody}/schedules", None),
        ("POST", f"{nobody}/schedules", NONE),
        ("PATCH", f"{nobody}/schedules/{NOBODY}", NOTHING),
        ("PATCH", f"{own}/schedules/{NOBODY}", NOTHING),
        ("DELETE", f"{nobody}/schedules/{NOBODY}", None),
        ("DELETE", f"{own}/schedules/{NOBODY}", None),
        ("POST", f"{nobody}/pause_deployment", None),
        ("POST", f"{nobody}/resume_deployment", None),
        ("GET", f"{nobody}/work_queue_check", None),
        ("POST", f"{nobody}/create_flow_run", NOTHING),
        ("POST", f"{nobody}/create_flow_run/bulk", NONE),
    ):
        answer = await shared_client.request(method, path, json=body)
        assert answer.status_code == 404, (method, path)
        assert "not found" in answer.json()["detail"]


async def test_pausing_takes_back_what_schedules_made_and_resuming_goes_on(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    deployment = await a_deployment(shared_client, schedules=[{"schedule": HOURLY}])
    path = f"/deployments/{deployment['id']}"
    late = await a_waiting_run(shared_client, shared_services.pool, deployment, seconds=-60)
    own = (await shared_client.post(f"{path}/create_flow_run", json={})).json()["id"]
    paused = await shared_client.post(f"{path}/pause_deployment")
    assert (paused.status_code, paused.json()) == (200, None)
    assert (await shared_client.get(path)).json()["paused"] is True
    assert not await is_there(shared_client, late)
    assert await is_there(shared_client, own)
    assert (await shared_client.post(f"{path}/resume_deployment")).status_code == 200
    assert (await shared_client.get(path)).json()["paused"] is False


async def test_deleting_takes_the_runs_nobody_started_and_leaves_the_others(
    shared_client: httpx.AsyncClient,
) -> None:
    deployment = await a_deployment(shared_client, schedules=[{"schedule": HOURLY}])
    path = f"/deployments/{deployment['id']}"
    waiting = (await shared_client.post(f"{path}/create_flow_run", json={})).json()["id"]
    running = (await shared_client.post(f"{path}/create_flow_run", json={})).json()["id"]
    for state in ("PENDING", "RUNNING"):
        body = {"state": {"type": state}}
        await shared_client.post(f"/flow_runs/{running}/set_state", json=body)
    assert (await shared_client.delete(path)).status_code == 204
    assert not await is_there(shared_client, waiting)
    assert await is_there(shared_client, running)
    assert (await shared_client.delete(path)).status_code == 404


async def test_many_are_deleted_at_once(client: httpx.AsyncClient) -> None:
    flow = await a_flow(client)
    made = [await a_deployment(client, flow, name=name) for name in "abc"]
    ids = [deployment["id"] for deployment in made]
    body = {"deployments": {"name": {"any_": ["a", "b"]}}}
    gone = await client.post("/deployments/bulk_delete", json=body)
    assert (gone.status_code, sorted(gone.json()["deleted"])) == (200, sorted(ids[:2]))
    assert (await client.post("/deployments/bulk_delete", json=body)).json() == {"deleted": []}
    for limit in (0, 51):
        answer = await client.post("/deployments/bulk_delete", json={"limit": limit})
        assert answer.status_code == 422
    assert (await client.post("/deployments/count")).json() == 1
    rest = await client.post("/deployments/bulk_delete")
    assert rest.json() == {"deleted": ids[2:]}


async def test_queues_that_would_pick_it_up_are_named(client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(client, tags=["a", "b"])
    filters: dict[str, Any] = {
        "all": None,
        "tagged": {"tags": ["a"]},
        "other": {"tags": ["c"]},
        "named": {"deployment_ids": [deployment["id"]]},
        "stranger": {"deployment_ids": [str(NOBODY)]},
    }
    for name, on in filters.items():
        await client.post("/work_queues/", json={"name": name, "filter": on})
    answer = await client.get(f"/deployments/{deployment['id']}/work_queue_check")
    assert [queue["name"] for queue in answer.json()] == ["named", "tagged"]


async def test_deployments_are_found_counted_and_paged(client: httpx.AsyncClient) -> None:
    pool = await a_pool(client)
    etl = (await client.post("/flows/", json={"name": "etl"})).json()["id"]
    other = await a_flow(client)
    alpha = await a_deployment(client, etl, name="alpha", tags=["x", "y"], work_pool_name=pool)
    await a_deployment(client, etl, name="Beta", paused=True)
    await a_deployment(
        client, other, name="gamma", tags=["x"], work_pool_name=pool, work_queue_name="q"
    )
    run = await client.post(
        f"/deployments/{alpha['id']}/create_flow_run",
        json={"name": "run", "job_variables": {"s": "x"}},
    )
    task = {"task_key": "t", "dynamic_key": "0", "flow_run_id": run.json()["id"], "name": "task"}
    await client.post("/task_runs/", json=task)

    async def found(**body: Any) -> list[str]:
        answer = await client.post("/deployments/filter", json=body)
        assert answer.status_code == 200, answer.text
        names = [deployment["name"] for deployment in answer.json()]
        assert (await client.post("/deployments/count", json=body)).json() == len(names)
        return sorted(names, key=str.lower)

    async def which(**deployments: Any) -> list[str]:
        return await found(deployments=deployments)

    assert await found() == ["alpha", "Beta", "gamma"]
    assert await which(name={"like_": "A"}) == ["alpha", "Beta", "gamma"]
    assert await which(name={"any_": ["alpha"]}) == ["alpha"]
    assert await which(id={"not_any_": [alpha["id"]]}) == ["Beta", "gamma"]
    assert await which(flow_or_deployment_name={"like_": "ET"}) == ["alpha", "Beta"]
    assert await which(paused={"eq_": True}) == ["Beta"]
    assert await which(paused={"eq_": False}) == ["alpha", "gamma"]
    assert await which(tags={"all_": ["x", "y"]}) == ["alpha"]
    assert await which(tags={"any_": ["y", "z"]}) == ["alpha"]
    assert await which(tags={"is_null_": True}) == ["Beta"]
    assert await which(work_queue_name={"any_": ["q", "default"]}) == ["gamma"]
    assert await which(concurrency_limit={"ge_": 1}) == ["alpha", "Beta", "gamma"]
    assert await which(operator="or_", paused={"eq_": True}, name={"any_": ["alpha"]}) == [
        "alpha",
        "Beta",
    ]
    assert await found(flows={"name": {"any_": ["etl"]}}) == ["alpha", "Beta"]
    assert await found(flow_runs={"name": {"any_": ["run"]}}) == ["alpha"]
    assert await found(task_runs={"name": {"any_": ["task"]}}) == ["alpha"]
    assert await found(work_pools={"name": {"any_": [pool]}}) == ["alpha", "gamma"]
    assert await found(work_pool_queues={"name": {"any_": ["q"]}}) == ["gamma"]
    assert await found(work_pool_queues={"name": {"startswith_": ["DEF"]}}) == ["alpha"]
    assert await found(work_pools={"name": {"any_": ["nobody"]}}) == []

    async def runs(route: str, **body: Any) -> list[str]:
        answer = await client.post(f"/{route}/filter", json=body)
        assert (await client.post(f"/{route}/count", json=body)).json() == len(answer.json())
        return sorted(each["name"] for each in answer.json())

    only_alpha = {"name": {"any_": ["alpha"]}}
    assert await runs("flows", deployments=only_alpha) == ["etl"]
    assert await runs("flows", work_pools={"name": {"any_": ["nobody"]}}) == []
    assert await runs("flows", flows={"deployment": {"is_null_": True}}) == []
    assert await runs("flow_runs", deployments=only_alpha) == ["run"]
    assert await runs("flow_runs", deployments={"name": {"any_": ["Beta"]}}) == []
    assert await runs("flow_runs", work_pools={"name": {"any_": [pool]}}) == ["run"]
    assert await runs("flow_runs", work_pool_queues={"name": {"any_": ["q"]}}) == []
    assert await runs("task_runs", deployments=only_alpha) == ["task"]

    async def order(sort: str) -> list[str]:
        answer = await client.post("/deployments/filter", json={"sort": sort})
        return [deployment["name"] for deployment in answer.json()]

    assert await order("CREATED_DESC") == ["gamma", "Beta", "alpha"]
    assert await order("UPDATED_DESC") == ["gamma", "Beta", "alpha"]
    assert await order("NAME_DESC") == list(reversed(await order("NAME_ASC")))
    page = (await client.post("/deployments/paginate", json={"limit": 2, "page": 2})).json()
    assert (page["count"], page["pages"], page["page"], page["limit"]) == (3, 2, 2, 2)
    assert len(page["results"]) == 1


@pytest.mark.parametrize("route", ["filter", "count", "paginate", "bulk_delete"])
async def test_bad_questions_are_refused(shared_client: httpx.AsyncClient, route: str) -> None:
    for body in (
        {"deployments": {"surprise": NOTHING}},
        {"deployments": {"name": {"surprise": 1}}},
        {"deployments": {"id": {"any_": ["x"]}}},
        {"deployments": {"paused": {"eq_": "maybe"}}},
    ):
        answer = await shared_client.post(f"/deployments/{route}", json=body)
        assert answer.status_code == 422, body
    if route in ("filter", "paginate"):
        for bad in ({"limit": 201}, {"limit": -1}, {"sort": "SIZE"}, {"page": 0, "offset": -1}):
            answer = await shared_client.post(f"/deployments/{route}", json=bad)
            assert answer.status_code == 422, bad


async def test_events_tell_what_became_of_a_deployment(client: httpx.AsyncClient) -> None:
    flow = await a_flow(client)
    deployment = await a_deployment(client, flow, work_pool_name=await a_pool(client))
    await client.patch(f"/deployments/{deployment['id']}", json={"tags": ["new"]})
    await client.patch(f"/deployments/{deployment['id']}", json={"tags": ["new"]})
    await client.delete(f"/deployments/{deployment['id']}")
    resource = {"id": [f"prefect.deployment.{deployment['id']}"]}
    answer = await client.post(
        "/events/filter", json={"filter": {"resource": resource, "order": "ASC"}}
    )
    events = answer.json()["events"]
    assert [event["event"] for event in events] == [
        "prefect.deployment.created",
        "prefect.deployment.updated",
        "prefect.deployment.deleted",
    ], "the second change changed nothing"
    assert events[1]["payload"] == {
        "updated_fields": ["tags"],
        "updates": {"tags": {"from": [], "to": ["new"]}},
    }
    roles = [related["prefect.resource.role"] for related in events[0]["related"]]
    assert roles == ["flow", "work-queue", "work-pool"]
    assert events[0]["related"][2]["prefect.work-pool.type"] == "process"


async def test_an_automation_is_named_as_the_author(shared_client: httpx.AsyncClient) -> None:
    flow = await a_flow(shared_client)
    body = {"name": "d", "flow_id": flow}
    headers = {"prefect-automation-id": str(NOBODY), "prefect-automation-name": "Ym9i"}
    made = await shared_client.post("/deployments/", json=body, headers=headers)
    assert made.json()["created_by"] == {
        "id": str(NOBODY),
        "type": "AUTOMATION",
        "display_value": "bob",
    }
    for bad in (
        {**headers, "prefect-automation-name": "%"},
        {**headers, "prefect-automation-id": "x"},
    ):
        other = await shared_client.post(
            "/deployments/", json={"name": a_name(), "flow_id": flow}, headers=bad
        )
        assert (other.status_code, other.json()["created_by"]) == (201, None)


async def test_automations_are_none(shared_client: httpx.AsyncClient) -> None:
    owner = "prefect.deployment.x"
    cleared = await shared_client.delete(f"/automations/owned-by/{owner}")
    assert cleared.status_code == 202
    assert (await shared_client.get(f"/automations/related-to/{owner}")).json() == []
    assert (await shared_client.post("/automations/filter")).json() == []
    assert (await shared_client.post("/automations/filter", json={"limit": 201})).status_code == 422
    assert (await shared_client.post("/automations/count")).json() == 0
    assert (await shared_client.get(f"/automations/{NOBODY}")).status_code == 404
    assert (await shared_client.patch(f"/automations/{NOBODY}", json={})).status_code == 404
    assert (await shared_client.delete(f"/automations/{NOBODY}")).status_code == 404
    for answer in (
        await shared_client.post("/automations/", json={}),
        await shared_client.put(f"/automations/{NOBODY}", json={}),
    ):
        assert answer.status_code == 501
        assert "not there yet" in answer.json()["detail"]


async def test_lists_of_flows_tell_of_deployments_and_next_runs(
    shared_client: httpx.AsyncClient, shared_services: Services
) -> None:
    flow, other = await a_flow(shared_client), await a_flow(shared_client)
    deployment = await a_deployment(shared_client, flow, name="a", schedules=[{"schedule": HOURLY}])
    await a_deployment(shared_client, flow, name="b")
    pool = shared_services.pool
    await a_waiting_run(shared_client, pool, deployment, seconds=7200)
    first = await a_waiting_run(shared_client, pool, deployment, seconds=3600)
    asked = {"flow_ids": [flow, other]}
    counts = await shared_client.post("/ui/flows/count-deployments", json=asked)
    assert counts.json() == {flow: 2, other: 0}
    runs = (await shared_client.post("/ui/flows/next-runs", json=asked)).json()
    assert (runs[other], runs[flow]["id"], runs[flow]["flow_id"]) == (None, first, flow)
    assert (runs[flow]["state_name"], runs[flow]["state_type"]) == ("Scheduled", "SCHEDULED")
    for route in ("count-deployments", "next-runs"):
        for bad in (NOTHING, {"flow_ids": ["x"]}, {"flow_ids": [str(uuid.uuid4())] * 201}):
            answer = await shared_client.post(f"/ui/flows/{route}", json=bad)
            assert answer.status_code == 422, bad
