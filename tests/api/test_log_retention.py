"""Logs go when their time is over, from every reader and from S3; what is held stays."""

import datetime as dt
import uuid

import httpx
import pytest
from litestar import Litestar

from app.services import Services
from app.wire.base import utc_now
from jobs.log_compaction import clean_logs
from jobs.log_retention import expire_logs, preview_expiring_logs
from storage.logs.offload import offload_pass, sweep

OLD = dt.timedelta(days=40)


@pytest.fixture
def services(app: Litestar) -> Services:
    found: Services = app.state.services
    return found


async def run_with_logs(
    client: httpx.AsyncClient,
    *,
    flow: str = "etl",
    age: dt.timedelta = OLD,
    state: str = "COMPLETED",
) -> str:
    """A flow run that logged 10 lines, two of them errors, and its id."""
    flow_id = (await client.post("/flows/", json={"name": flow})).json()["id"]
    created = await client.post(
        "/flow_runs/", json={"flow_id": flow_id, "state": {"type": state, "name": state.title()}}
    )
    run_id: str = created.json()["id"]
    await post(client, run_id, utc_now() - age)
    return run_id


async def post(client: httpx.AsyncClient, run_id: str | None, moment: dt.datetime) -> None:
    lines = [
        {
            "name": "n",
            "level": 40 if number < 2 else 10,
            "message": f"line {number}",
            "timestamp": (moment + dt.timedelta(seconds=number)).isoformat(),
            "flow_run_id": run_id,
        }
        for number in range(10)
    ]
    (await client.post("/logs/", json=lines)).raise_for_status()


async def read(client: httpx.AsyncClient, run_id: str) -> list[str]:
    query = {"logs": {"flow_run_id": {"any_": [run_id]}}}
    return [line["message"] for line in (await client.post("/logs/filter", json=query)).json()]


async def offload(services: Services) -> None:
    await offload_pass(services.pool, services.objects, force=True)


async def set_rules(client: httpx.AsyncClient, *rules: dict[str, object]) -> None:
    (await client.put("/tailrace/retention", json={"rules": rules})).raise_for_status()


async def test_the_first_rule_decides_what_goes_and_what_goes_is_told(
    client: httpx.AsyncClient, services: Services
) -> None:
    audit = await run_with_logs(client, flow="audit")
    old = await run_with_logs(client)
    young = await run_with_logs(client, age=dt.timedelta(days=2))
    going = await run_with_logs(client, state="RUNNING")
    await offload(services)
    rules: list[dict[str, object]] = [
        {"name": "audit", "flows": ["audit"]},
        {"name": "rest", "days": 30},
    ]

    previewed = (await client.post("/tailrace/retention/preview", json={"rules": rules})).json()
    assert [(each["rule"], each["runs"], each["rows"]) for each in previewed] == [("rest", 1, 10)]
    assert previewed[0]["bytes"] > 0
    assert await expire_logs(services) == {}

    await set_rules(client, *rules)
    assert (await client.get("/tailrace/retention")).json()["rules"][1]["days"] == 30
    (told,) = await preview_expiring_logs(services)
    assert told.startswith("rest: 1 runs would lose their logs (10 rows")
    assert len(await read(client, old)) == 10
    report = await expire_logs(services)
    assert (report["runs"], report["rows"]) == (1, 10)

    assert await read(client, old) == []
    for kept in (audit, young, going):
        assert len(await read(client, kept)) == 10
    assert await expire_logs(services) == {}
    # The run itself stays.
    assert (await client.get(f"/flow_runs/{old}")).status_code == 200

    # And S3 is rid of them.
    assert (await clean_logs(services))["dropped_rows"] == 10
    assert (
        await services.pool.fetchval("SELECT sum(rows) FROM log_segment WHERE state = 'published'")
        == 30
    )


async def test_lines_below_a_level_go_first(client: httpx.AsyncClient, services: Services) -> None:
    run = await run_with_logs(client, age=dt.timedelta(days=8))
    await offload(services)
    await set_rules(client, {"name": "all", "days": 30, "below": [{"level": 20, "days": 7}]})

    assert (await expire_logs(services))["runs_below_level"] == 1
    await services.pool.execute("UPDATE log_expiry SET created = now() - interval '2 days'")
    assert (await clean_logs(services))["dropped_rows"] == 8

    assert await read(client, run) == ["line 0", "line 1"]
    # It has nothing more to lose at this age.
    assert await expire_logs(services) == {}
    assert await clean_logs(services) == {}
    assert await services.pool.fetchval("SELECT count(*) FROM log_expiry") == 0


async def test_lines_outside_any_run_go_by_their_own_time(
    client: httpx.AsyncClient, services: Services
) -> None:
    await post(client, None, utc_now() - OLD)
    await offload(services)
    await post(client, None, utc_now())
    await offload(services)
    await set_rules(client, {"name": "all", "days": 30})

    await expire_logs(services)
    assert (await clean_logs(services))["dropped_rows"] == 10
    assert (
        await services.pool.fetchval("SELECT sum(rows) FROM log_segment WHERE state = 'published'")
        == 10
    )


async def test_an_object_of_which_nothing_is_kept_is_deleted_unread(
    client: httpx.AsyncClient, services: Services
) -> None:
    await run_with_logs(client)
    await offload(services)
    await set_rules(client, {"name": "all", "days": 30})
    await expire_logs(services)

    report = await clean_logs(services)

    assert (report["merged"], report["made"], report["dropped_rows"]) == (1, 0, 10)
    await sweep(services.pool, services.objects, grace_seconds=0)
    assert await services.objects.list_objects("") == {}


async def test_a_held_run_and_its_logs_cannot_be_deleted_by_anything(
    client: httpx.AsyncClient, services: Services
) -> None:
    held, other = await run_with_logs(client), await run_with_logs(client)
    flow_id = (await client.get(f"/flow_runs/{held}")).json()["flow_id"]
    await offload(services)
    answer = await client.put(f"/tailrace/holds/{held}", json={"reason": "case 7"})
    assert (answer.status_code, answer.json()["reason"]) == (200, "case 7")
    await set_rules(client, {"name": "all", "days": 30})

    for path in (f"/flow_runs/{held}", f"/flows/{flow_id}"):
        refused = await client.delete(path)
        assert refused.status_code == 409
        assert "tailrace holds release" in refused.json()["detail"]
    both = {"flow_runs": {"id": {"any_": [held, other]}}}
    bulk = await client.post("/flow_runs/bulk_delete", json=both)
    assert bulk.status_code == 409
    assert bulk.json()["detail"].startswith("Nothing was deleted")
    assert held in bulk.json()["detail"]
    assert other not in bulk.json()["detail"]
    assert (await client.get(f"/flow_runs/{other}")).status_code == 200
    assert (await expire_logs(services))["runs"] == 1
    await clean_logs(services)
    assert (len(await read(client, held)), await read(client, other)) == (10, [])

    assert [each["flow_run_id"] for each in (await client.get("/tailrace/holds")).json()] == [held]
    assert (await client.delete(f"/tailrace/holds/{held}")).status_code == 204
    assert (await client.delete(f"/flow_runs/{held}")).status_code == 204
    assert await read(client, held) == []


async def test_a_run_whose_logs_are_gone_cannot_be_held(
    client: httpx.AsyncClient, services: Services
) -> None:
    run = await run_with_logs(client)
    await offload(services)
    await set_rules(client, {"name": "all", "days": 30})
    await expire_logs(services)
    answer = await client.put(f"/tailrace/holds/{run}", json={"reason": "too late"})
    assert answer.status_code == 404
    assert "deleted already" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("/tailrace/retention", {}, ["body", "rules"]),
        (
            "/tailrace/retention",
            {"rules": [{"name": "a", "days": "x"}]},
            ["body", "rules", 0, "days"],
        ),
        (
            "/tailrace/retention",
            {"rules": [{"name": "a", "dais": 1}]},
            ["body", "rules", 0, "dais"],
        ),
        (f"/tailrace/holds/{uuid.UUID(int=7)}", {}, ["body", "reason"]),
        (f"/tailrace/holds/{uuid.UUID(int=7)}", {"reason": ""}, ["body", "reason"]),
    ],
)
async def test_a_mistake_is_named_and_changes_nothing(
    client: httpx.AsyncClient, path: str, body: dict[str, object], loc: list[object]
) -> None:
    await set_rules(client, {"name": "before"})
    answer = await client.put(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["exception_detail"][0]["loc"] == loc
    assert (await client.get("/tailrace/retention")).json()["rules"][0]["name"] == "before"
    assert (await client.get("/tailrace/holds")).json() == []


async def test_who_is_not_there_can_be_neither_held_nor_released(client: httpx.AsyncClient) -> None:
    nobody = f"/tailrace/holds/{uuid.uuid4()}"
    assert (await client.put(nobody, json={"reason": "x"})).status_code == 404
    assert (await client.delete(nobody)).status_code == 404
