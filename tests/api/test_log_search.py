"""A search over all runs gives what matches, in order, with progress, and can be continued."""

import datetime as dt
import json
import uuid
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from app.services import Services
from storage.logs import reader, scan
from storage.logs.offload import offload_pass

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def services(app: Litestar) -> Services:
    found: Services = app.state.services
    return found


async def post(client: httpx.AsyncClient, numbers: range) -> None:
    """Line `number` a second after the one before, of one of three runs."""
    runs = [uuid.UUID(int=number) for number in (1, 2, 3)]
    lines = [
        {
            "name": "app.orders",
            "level": 20 if number % 10 else 40,
            "message": f"order {number} " + ("refused by bank" if number % 7 == 0 else "paid"),
            "timestamp": (START + dt.timedelta(seconds=number)).isoformat(),
            "flow_run_id": str(runs[number % 3]),
        }
        for number in numbers
    ]
    (await client.post("/logs/", json=lines)).raise_for_status()


async def search(client: httpx.AsyncClient, **body: object) -> tuple[list[int], dict[str, Any]]:
    """Numbers of the lines found, and the last line of the answer."""
    answer = await client.post("/tailrace/logs/search", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    told = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    assert [each.get("done") for each in told[:-1]] == [False] * (len(told) - 1)
    found = [line for each in told for line in each["lines"]]
    return [int(line["message"].split()[1]) for line in found], told[-1]


@pytest.fixture
async def filled(client: httpx.AsyncClient, services: Services) -> None:
    """300 lines: 200 in two segments that overlap in time, the rest hot."""
    await post(client, range(0, 200, 2))
    await offload_pass(services.pool, services.objects, force=True)
    await post(client, range(1, 200, 2))
    await offload_pass(services.pool, services.objects, force=True)
    await post(client, range(200, 300))


REFUSED = [number for number in range(300) if number % 7 == 0]


@pytest.mark.usefixtures("filled")
async def test_lines_come_in_order_and_the_end_is_told(client: httpx.AsyncClient) -> None:
    newest, last = await search(client, logs={"text": {"query": "bank"}})
    assert newest == REFUSED[::-1]
    assert (last["done"], last["cursor"], last["rows"], last["rows_read"]) == (True, None, 300, 300)
    oldest, _ = await search(client, logs={"text": {"query": "bank"}}, order="oldest")
    assert oldest == REFUSED
    assert (await search(client, logs={"text": {"query": "nothing like it"}}))[0] == []


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_cursor_continues_where_the_page_ended(
    client: httpx.AsyncClient, services: Services, order: str
) -> None:
    every: list[int] = []
    cursor = None
    for page in range(5):
        numbers, last = await search(
            client, logs={"text": {"query": "bank"}}, order=order, limit=10, cursor=cursor
        )
        every += numbers
        cursor = last["cursor"]
        if page == 1:
            # Lines that move to S3 meanwhile are neither missing nor twice.
            await offload_pass(services.pool, services.objects, force=True)
    assert cursor is None
    assert every == (REFUSED if order == "oldest" else REFUSED[::-1])


@pytest.mark.usefixtures("filled")
async def test_a_search_that_takes_long_plans_anew_and_misses_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PLAN_SECONDS", -1.0)
    monkeypatch.setattr(scan, "FIRST_BLOCKS", 1)
    monkeypatch.setattr(scan, "MAX_BLOCKS", 1)
    for order in ("newest", "oldest"):
        numbers, last = await search(client, logs={"text": {"query": "bank"}}, order=order)
        assert numbers == (REFUSED if order == "oldest" else REFUSED[::-1])
        assert last["done"]


@pytest.mark.usefixtures("filled")
async def test_a_regular_expression_and_a_filter_hold_together(client: httpx.AsyncClient) -> None:
    numbers, _ = await search(client, regex=r"^order 1\d\d REFUSED")
    assert numbers == []
    numbers, _ = await search(client, regex=r"(?i)^order 1\d\d REFUSED", order="oldest")
    assert numbers == [number for number in REFUSED if 100 <= number < 200]
    numbers, _ = await search(client, regex="refused", logs={"level": {"ge_": 40}}, order="oldest")
    assert numbers == [number for number in REFUSED if number % 10 == 0]


@pytest.mark.usefixtures("filled")
async def test_progress_is_told_in_objects_and_bytes(
    client: httpx.AsyncClient, services: Services
) -> None:
    _, last = await search(client, logs={"text": {"query": "bank"}})
    stored = await services.pool.fetchval("SELECT sum(bytes) FROM log_segment")
    assert (last["objects_read"], last["objects"]) == (2, 2)
    assert (last["bytes_read"], last["bytes"]) == (stored, stored)


@pytest.mark.usefixtures("filled")
async def test_loggers_are_looked_for_by_name(client: httpx.AsyncClient) -> None:
    assert (await search(client, logger=["app.order", "prefect"]))[0] == []
    numbers, _ = await search(client, logger=["app.orders"], regex="refused", order="oldest")
    assert numbers == REFUSED


async def test_lines_of_flows_and_deployments_are_looked_for(
    client: httpx.AsyncClient, services: Services
) -> None:
    flows = [
        (await client.post("/flows/", json={"name": name})).json()["id"] for name in ("a", "b")
    ]
    deployment = (
        await client.post("/deployments/", json={"name": "d", "flow_id": flows[1]})
    ).json()["id"]
    for number, body in enumerate(
        (
            {"flow_id": flows[0]},
            {"flow_id": flows[1]},
            {"flow_id": flows[1], "deployment_id": deployment},
        )
    ):
        run = (await client.post("/flow_runs/", json=body)).json()["id"]
        line = {
            "name": "n",
            "level": 20,
            "message": f"order {number}",
            "timestamp": (START + dt.timedelta(seconds=number)).isoformat(),
            "flow_run_id": run,
        }
        (await client.post("/logs/", json=[line])).raise_for_status()
    await post(client, range(3, 30))
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"flow_ids": [flows[1]]}, [1, 2]),
        ({"flow_ids": flows}, [0, 1, 2]),
        ({"deployment_ids": [deployment]}, [2]),
        ({"flow_ids": [flows[0]], "deployment_ids": [deployment]}, []),
        ({"flow_ids": [flows[1]], "regex": "order [01]"}, [1]),
    ]
    for where in ("hot", "segment"):
        for body, expected in cases:
            assert (await search(client, order="oldest", **body))[0] == expected, where
            answer = await client.post("/tailrace/logs/download", json={**body, "format": "ndjson"})
            found = [json.loads(line)["message"] for line in answer.text.splitlines()]
            assert sorted(found) == [f"order {number}" for number in expected], where
            answer = await client.post("/tailrace/logs/counts", json=body)
            assert answer.json()["lines"] == len(expected), where
        await offload_pass(services.pool, services.objects, force=True)


@pytest.mark.usefixtures("filled")
async def test_lines_of_a_deleted_run_are_not_found(
    client: httpx.AsyncClient, services: Services
) -> None:
    await services.pool.execute(
        "INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", uuid.UUID(int=1)
    )
    numbers, _ = await search(client, logs={"text": {"query": "bank"}}, order="oldest")
    assert numbers == [number for number in REFUSED if number % 3 != 0]


@pytest.mark.usefixtures("filled")
async def test_a_missing_object_ends_the_search_with_what_is_missing(
    client: httpx.AsyncClient, services: Services
) -> None:
    key = await services.pool.fetchval("SELECT key FROM log_segment ORDER BY id LIMIT 1")
    await services.objects.delete_many([key])
    answer = await client.post("/tailrace/logs/search", json={"logs": {"text": {"query": "bank"}}})
    assert key in answer.text
    if answer.status_code == 200:
        assert "error" in msgspec.json.decode(answer.text.splitlines()[-1])


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"limit": 0}, ["body", "limit"]),
        ({"limit": 10_001}, ["body", "limit"]),
        ({"order": "upwards"}, ["body", "order"]),
        ({"cursor": "x"}, ["body", "cursor"]),
        ({"cursor": f"12.{uuid.uuid4()}"}, ["body", "cursor"]),
        ({"regexp": "a"}, ["body", "regexp"]),
        ({"regex": "(unclosed"}, ["body"]),
    ],
)
async def test_a_mistake_is_named(
    client: httpx.AsyncClient, body: dict[str, object], loc: list[str]
) -> None:
    answer = await client.post("/tailrace/logs/search", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["exception_detail"][0]["loc"] == loc
