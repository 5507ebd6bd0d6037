"""Deployments, their schedules, and runs made from them."""

from typing import Any

from tests.differential.conversation import Conversation

NOBODY = "00000000-0000-4000-8000-000000000000"
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "s": {"type": "string", "default": "x"}},
    "required": ["n"],
}


async def _deployment(server: Conversation, name: str, **more: Any) -> tuple[str, str]:
    """Ids of a flow and of a deployment of it."""
    flow = await server.post("/flows/", {"name": name})
    body = {"name": "dep 1", "flow_id": flow["id"], **more}
    made = await server.post("/deployments/", body)
    return flow["id"], made["id"]


async def made_read_and_deleted(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "dep life 1", "labels": {"f": 1}})
    base = {"name": "life 1", "flow_id": flow["id"]}
    await server.get("/deployments/name/dep life 1/life 1")
    for more in (
        {},
        {
            "tags": ["b", "a"],
            "labels": {"d": 1},
            "description": "d",
            "path": "/p",
            "entrypoint": "f.py:f",
            "version": "v1",
            "parameters": {"n": 1},
            "parameter_openapi_schema": SCHEMA,
            "enforce_parameter_schema": True,
            "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": "/"}}],
            "job_variables": {"env": {"A": "b"}},
            "concurrency_limit": 2,
            "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
        },
        {"paused": True, "concurrency_limit": 3},
        {"concurrency_limit": None},
        {"work_queue_name": "mine"},
    ):
        made = await server.post("/deployments/", {**base, **more})
        await server.get(f"/deployments/{made['id']}")
    path = f"/deployments/{made['id']}"
    await server.get("/deployments/name/dep life 1/life 1")
    await server.get(f"{path}/work_queue_check")
    await server.post(f"{path}/pause_deployment")
    await server.get(path)
    await server.post(f"{path}/resume_deployment")
    await server.get(path)
    await server.delete(path)
    await server.delete(path)
    await server.get(path)
    for action in ("pause_deployment", "resume_deployment"):
        await server.post(f"{path}/{action}")
    await server.get(f"{path}/work_queue_check")
    await server.get("/deployments/name/dep life 1/nothing")
    await server.get("/deployments/no-id")


async def bad_to_make(server: Conversation) -> None:
    flow = await server.post("/flows/", {"name": "dep bad 1"})
    base = {"name": "bad 1", "flow_id": flow["id"]}
    for more in (
        {"name": "a/b"},
        {"name": None},
        {"name": 5},
        {"flow_id": "no"},
        {"flow_id": NOBODY},
        {"flow_id": None},
        {"paused": "maybe"},
        {"tags": "a"},
        {"parameters": []},
        {"job_variables": "x"},
        {"concurrency_limit": 0},
        {"concurrency_limit": -1},
        {"concurrency_limit": "x"},
        {"concurrency_options": {}},
        {"concurrency_options": {"collision_strategy": "NO"}},
        {
            "concurrency_options": {
                "collision_strategy": "ENQUEUE",
                "grace_period_seconds": 1,
            }
        },
        {"schedules": "x"},
        {"schedules": [{}]},
        {"schedules": [{"schedule": {}}]},
        {"schedules": [{"schedule": {"cron": "no"}}]},
        {"schedules": [{"schedule": {"cron": "* * * * *", "timezone": "No/Where"}}]},
        {"schedules": [{"schedule": {"interval": 0}}]},
        {"schedules": [{"schedule": {"interval": "x"}}]},
        {"schedules": [{"schedule": {"rrule": "no"}}]},
        {"schedules": [{"schedule": {"interval": 60}, "max_scheduled_runs": -1}]},
        {"schedules": [{"schedule": {"interval": 60}, "more": 1}]},
        {"parameter_openapi_schema": "x"},
        {
            "parameter_openapi_schema": {"type": "object", "properties": {"a": {"type": "no"}}},
            "enforce_parameter_schema": True,
            "parameters": {"a": 1},
        },
        {
            "parameter_openapi_schema": SCHEMA,
            "enforce_parameter_schema": True,
            "parameters": {"n": "x"},
        },
        {"work_pool_name": "no-such-pool"},
        {"pull_steps": "x"},
        {"version_info": {"type": "x"}},
        {"more": 1},
    ):
        await server.post("/deployments/", {**base, **more})
    await server.get("/deployments/name/dep bad 1/bad 1")


async def changed(server: Conversation) -> None:
    _, id = await _deployment(
        server, "dep changed 1", parameter_openapi_schema=SCHEMA, enforce_parameter_schema=True
    )
    path = f"/deployments/{id}"
    for change in (
        {"description": "new"},
        {"tags": ["x"]},
        {"paused": True},
        {"paused": False},
        {"parameters": {"n": 2}},
        {"version": "v2", "entrypoint": "g.py:g", "path": "/q"},
        {"concurrency_limit": 1, "concurrency_options": {"collision_strategy": "ENQUEUE"}},
        {"concurrency_limit": None},
        {"enforce_parameter_schema": False},
        {"parameters": {"n": "x"}},
        {"job_variables": {"a": 1}},
        {"pull_steps": []},
        {"work_queue_name": "other"},
        {},
        {"parameters": []},
        {"paused": "x"},
        {"concurrency_limit": 0},
        {"work_pool_name": "no-such-pool"},
        {"name": "other"},
        {"more": 1},
    ):
        await server.patch(path, change)
        await server.get(path)
    await server.patch(f"/deployments/{NOBODY}", {"description": "x"})
    await server.patch("/deployments/no-id", {"description": "x"})


async def schedules(server: Conversation) -> None:
    every = {"schedule": {"interval": 3600, "anchor_date": "2020-01-01T00:00:00Z"}}
    _, id = await _deployment(
        server,
        "dep schedules 1",
        schedules=[
            {**every, "slug": "hourly"},
            {"schedule": {"cron": "0 4 * * *", "timezone": "Europe/Berlin"}, "slug": "daily"},
            {
                "schedule": {"rrule": "FREQ=WEEKLY;BYDAY=MO", "timezone": "UTC"},
                "slug": "weekly",
                "active": False,
                "parameters": {"n": 1},
            },
        ],
    )
    path = f"/deployments/{id}/schedules"
    all = await server.get(path)
    by_slug = {schedule["slug"]: schedule["id"] for schedule in all}
    added = await server.post(path, [{"schedule": {"cron": "5 5 * * *"}, "active": True}])
    for bad in (
        [{**every, "slug": "hourly"}],
        [{"schedule": {"cron": "no"}}],
        [{"active": True}],
        [{**every, "more": 1}],
        {},
        [],
    ):
        await server.post(path, bad)
    one = f"{path}/{by_slug['daily']}"
    for change in (
        {"active": False},
        {"schedule": {"interval": 60, "anchor_date": "2020-01-01T00:00:00Z"}},
        {"parameters": {"n": 5}},
        {"slug": "nightly"},
        {"slug": "hourly"},
        {"max_scheduled_runs": 5},
        {},
        {"active": "x"},
        {"schedule": {"cron": "no"}},
        {"more": 1},
    ):
        await server.patch(one, change)
    await server.patch(f"{path}/{NOBODY}", {"active": True})
    await server.delete(f"{path}/{added[0]['id']}")
    await server.delete(f"{path}/{added[0]['id']}")
    await server.delete(f"{path}/{NOBODY}")
    await server.get(f"/deployments/{NOBODY}/schedules")
    await server.post(f"/deployments/{NOBODY}/schedules", [every])
    await server.patch(f"{path}/no-id", {"active": True})


async def schedules_patched_with_the_deployment(server: Conversation) -> None:
    every = {"schedule": {"interval": 3600, "anchor_date": "2020-01-01T00:00:00Z"}}
    daily = {"schedule": {"cron": "0 4 * * *", "timezone": "UTC"}}
    _, id = await _deployment(server, "dep schedules 2", schedules=[{**every, "slug": "a"}])
    path = f"/deployments/{id}"
    for change in (
        {"schedules": [{"slug": "a", "active": False}]},
        {"schedules": [{**daily, "slug": "b"}, {"slug": "a", "active": True}]},
        {"schedules": [{**daily, "slug": "c", "replaces": "b"}]},
        {"schedules": [daily, {**every, "slug": "d"}]},
        {"schedules": [{**daily, "slug": "e"}, {**daily, "slug": "e"}]},
        {"schedules": []},
        {"schedules": [daily]},
        {"schedules": [{**daily, "active": False}, every]},
        {"schedules": None},
    ):
        await server.patch(path, change)
        answer = await server.get(path)
        assert "schedules" in answer


async def runs_made(server: Conversation) -> None:
    flow_id, id = await _deployment(
        server,
        "dep runs 1",
        tags=["d"],
        labels={"l": 1},
        parameters={"s": "given"},
        parameter_openapi_schema=SCHEMA,
        enforce_parameter_schema=True,
        version="v1",
        job_variables={"a": 1},
    )
    path = f"/deployments/{id}/create_flow_run"
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": server.at(9000)}}
    for body in (
        {"parameters": {"n": 1}},
        {"parameters": {"n": 1}, "name": "run 1", "tags": ["r"], "labels": {"x": 1}},
        {"parameters": {"n": 2}, "state": later, "job_variables": {"b": 1}},
        {"parameters": {"n": 1}, "idempotency_key": "k"},
        {"parameters": {"n": 1}, "idempotency_key": "k"},
        {"parameters": {"n": 1}, "context": {"c": 1}, "empirical_policy": {"retries": 1}},
        {"parameters": {"n": 1}, "work_queue_name": "mine"},
        {"parameters": {"n": {"__prefect_kind": "json", "value": "3"}}},
        {"parameters": {"n": 1, "s": {"__prefect_kind": "jinja", "template": "a {{ 1 }}"}}},
        {},
        {"parameters": {}},
        {"parameters": {"n": "x"}},
        {"parameters": {"n": "x"}, "enforce_parameter_schema": False},
        {"parameters": {"n": {"__prefect_kind": "json", "value": "{"}}},
        {"parameters": {"n": {"__prefect_kind": "none"}}},
        {"parameters": []},
        {"state": {"type": "NO"}},
        {"tags": "x"},
        {"parent_task_run_id": "no"},
        {"more": 1},
    ):
        made = await server.post(path, body)
        if "id" in made:
            await server.get(f"/flow_runs/{made['id']}")
    await server.post(f"/deployments/{NOBODY}/create_flow_run", {})
    await server.post("/deployments/no-id/create_flow_run", {})
    for bulk in (
        [{"parameters": {"n": 1}, "name": "bulk 1"}, {"parameters": {"n": 2}, "name": "bulk 2"}],
        [{"parameters": {"n": 1}, "name": "bulk 3"}, {"parameters": {"n": "x"}}],
        [],
        [{"more": 1}],
        {},
        [{"parameters": {"n": 1}}] * 101,
    ):
        await server.post(f"{path}/bulk", bulk)
    await server.post(f"/deployments/{NOBODY}/create_flow_run/bulk", [{}])
    mine = {"deployments": {"id": {"any_": [id]}}}
    await server.post("/flow_runs/count", mine)
    await server.post("/flow_runs/filter", {**mine, "sort": "NAME_ASC", "limit": 0})
    due = {"deployment_ids": [id], "scheduled_before": server.at(60)}
    runs = await server.post("/deployments/get_scheduled_flow_runs", {**due, "limit": 1})
    assert len(runs) == 1
    for bad in (
        {"deployment_ids": "x"},
        {"deployment_ids": ["no"]},
        {"scheduled_before": "no"},
        {"limit": 201},
        {"limit": "x"},
    ):
        await server.post("/deployments/get_scheduled_flow_runs", {**due, **bad})
    await server.post("/deployments/get_scheduled_flow_runs", {"deployment_ids": []})
    await server.get(f"/deployments/{id}")
    await server.delete(f"/deployments/{id}")
    await server.post("/flow_runs/count", {"flows": {"id": {"any_": [flow_id]}}})


async def runs_scheduled_by_asking(server: Conversation) -> None:
    every = {"schedule": {"interval": 3600, "anchor_date": "2020-01-01T00:00:00Z"}}
    _, id = await _deployment(server, "dep ask 1", schedules=[{**every, "slug": "a"}])
    path = f"/deployments/{id}/schedule"
    span = {"start_time": "2030-01-01T00:30:00Z", "end_time": "2030-01-01T05:30:00Z"}
    asked = {**span, "min_runs": 5, "min_time": 3600.0}
    await server.post(path, asked)
    await server.post(path, asked)
    mine = {"deployments": {"id": {"any_": [id]}}}
    await server.post("/flow_runs/count", mine)
    await server.post("/flow_runs/filter", {**mine, "sort": "EXPECTED_START_TIME_ASC"})
    for bad in ({"start_time": "no"}, {"min_runs": "x"}, {"max_runs": "x"}, {"min_time": "x"}):
        await server.post(path, {**span, **bad})
    await server.post(f"/deployments/{NOBODY}/schedule", span)
    await server.patch(f"/deployments/{id}", {"paused": True})
    await server.post("/flow_runs/count", mine)


async def found_counted_paged_and_deleted_together(server: Conversation) -> None:
    ids = []
    for name, more in (
        ("one 1", {"tags": ["a", "b"], "paused": True}),
        ("two 2", {"tags": ["a"], "concurrency_limit": 5}),
        ("Three 3", {"work_queue_name": "q"}),
    ):
        flow = await server.post("/flows/", {"name": f"dep found {name}"})
        body = {"name": name, "flow_id": flow["id"], **more}
        ids.append((await server.post("/deployments/", body))["id"])
    mine = {"id": {"any_": ids}}
    for more in (
        {},
        {"name": {"any_": ["one 1"]}},
        {"name": {"like_": "THREE"}},
        {"flow_or_deployment_name": {"like_": "found one"}},
        {"paused": {"eq_": True}},
        {"tags": {"all_": ["a"]}},
        {"tags": {"any_": ["b"]}},
        {"tags": {"is_null_": True}},
        {"work_queue_name": {"any_": ["q"]}},
        {"concurrency_limit": {"ge_": 2}},
        {"name": {"any_": []}},
    ):
        body = {"deployments": {**mine, **more}}
        await server.post("/deployments/filter", body)
        await server.post("/deployments/count", body)
        await server.post("/deployments/paginate", body)
    for other in (
        {"flows": {"name": {"any_": ["dep found one 1"]}}},
        {"flow_runs": {"name": {"any_": ["none"]}}},
        {"work_pools": {"name": {"any_": ["none"]}}},
        {"work_pool_queues": {"name": {"any_": ["q"]}}},
    ):
        await server.post("/deployments/filter", {"deployments": mine, **other})
        await server.post("/deployments/count", {"deployments": mine, **other})
    for page in (
        {"sort": "NAME_DESC"},
        {"sort": "CREATED_DESC"},
        {"sort": "UPDATED_DESC"},
        {"sort": "NO"},
        {"limit": 2, "offset": 1},
        {"limit": 2, "page": 2},
        {"limit": 201},
        {"page": 0},
        {"offset": -1},
    ):
        await server.post("/deployments/filter", {"deployments": mine, **page})
        await server.post("/deployments/paginate", {"deployments": mine, **page})
    for body in (
        {"limit": 51},
        {"deployments": {"unknown": 1}},
        {"deployments": {"id": {"any_": []}}},
    ):
        await server.post("/deployments/bulk_delete", body)
    await server.post("/deployments/bulk_delete", {"deployments": {"id": {"any_": ids[:1]}}})
    await server.post("/deployments/count", {"deployments": mine})


async def automations_of_a_deployment_without_any(server: Conversation) -> None:
    _, id = await _deployment(server, "dep automations 1")
    await server.delete(f"/automations/owned-by/prefect.deployment.{id}")
    await server.get(f"/automations/related-to/prefect.deployment.{id}")
