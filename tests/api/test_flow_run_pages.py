"""Pages of flow runs by cursor, against the pages by offset that the contract has."""

import datetime as dt
import random
from typing import Any, get_args

import httpx
import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.flow_run_pages import FlowRunCursor, format_cursor
from app.wire.sorting import FlowRunSort
from storage.postgres import flow_run_pages
from storage.postgres.pool import connection

PATH = "/tailrace/flow_runs"
RUNS = 40
START = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
async def tag(shared_client: httpx.AsyncClient, shared_services: Services) -> str:
    """The tag of runs of which some share their times and names, and some have no times."""
    dice = random.Random(1)
    tag = f"t-{new_id()}"
    flow = (await shared_client.post("/flows/", json={"name": tag})).json()["id"]
    for _ in range(RUNS):
        body = {"flow_id": flow, "name": f"n{dice.randrange(5)}", "tags": [tag]}
        assert (await shared_client.post("/flow_runs/", json=body)).status_code == 201
    async with connection(shared_services.pool) as conn:
        for row in await conn.fetch("SELECT id FROM flow_run WHERE $1 = ANY (tags)", tag):
            times = [
                dice.choice([None, START + dt.timedelta(microseconds=dice.randrange(6))])
                for _ in range(4)
            ]
            await conn.execute(
                """
                UPDATE flow_run SET start_time = $2, expected_start_time = $3,
                    next_scheduled_start_time = $4, end_time = $5
                WHERE id = $1
                """,
                row["id"],
                *times,
            )
    return tag


async def _page(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


@pytest.mark.parametrize("sort", get_args(FlowRunSort))
@pytest.mark.parametrize("limit", [1, 7, 40])
async def test_pages_by_cursor_are_those_by_offset(
    shared_client: httpx.AsyncClient, tag: str, sort: str, limit: int
) -> None:
    wanted = {"flow_runs": {"tags": {"all_": [tag]}}, "sort": sort}
    by_offset = (await shared_client.post("/flow_runs/filter", json=wanted)).json()
    assert len(by_offset) == RUNS
    found: list[str] = []
    cursor = None
    while True:
        page = await _page(shared_client, **wanted, limit=limit, cursor=cursor)
        found += [run["id"] for run in page["flow_runs"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["flow_runs"]) == limit
    assert found == [run["id"] for run in by_offset]


async def test_runs_that_come_meanwhile_do_not_shift_a_page(
    shared_client: httpx.AsyncClient,
) -> None:
    name = f"f-{new_id()}"
    flow = (await shared_client.post("/flows/", json={"name": name})).json()["id"]

    async def make() -> str:
        made = await shared_client.post("/flow_runs/", json={"flow_id": flow})
        run: str = made.json()["id"]
        return run

    first, second, third = [await make() for _ in range(3)]
    wanted = {"flows": {"name": {"any_": [name]}}, "sort": "ID_DESC"}
    page = await _page(shared_client, **wanted, limit=2)
    assert [run["id"] for run in page["flow_runs"]] == [third, second]
    await make()
    page = await _page(shared_client, **wanted, limit=2, cursor=page["next"])
    assert [run["id"] for run in page["flow_runs"]] == [first]
    assert page["next"] is None


async def test_runs_are_counted_up_to_a_bound(
    shared_client: httpx.AsyncClient, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"flow_runs": {"tags": {"all_": [tag]}}, "limit": 1}
    assert (await _page(shared_client, **wanted))["count"] is None
    assert (await _page(shared_client, **wanted, count=True))["count"] == {
        "count": RUNS,
        "exact": True,
    }
    monkeypatch.setattr(flow_run_pages, "COUNTED", RUNS)
    assert (await _page(shared_client, **wanted, count=True))["count"]["exact"]
    monkeypatch.setattr(flow_run_pages, "COUNTED", RUNS - 1)
    assert (await _page(shared_client, **wanted, count=True))["count"] == {
        "count": RUNS - 1,
        "exact": False,
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cursor": "no"}, "cursor"),
        ({"cursor": "bm8="}, "cursor"),
        ({"cursor": format_cursor(FlowRunCursor("ID_DESC", new_id()))}, "cursor"),
        ({"sort": "NAME_ASC", "cursor": format_cursor(FlowRunCursor("NAME_ASC", new_id()))}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"sort": "BEST_FIRST"}, "sort"),
        ({"flowruns": {}}, "flowruns"),
        ({"flow_runs": {"state": {"type": {"any_": ["LOST"]}}}}, "flow_runs"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_by_its_field(
    shared_client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await shared_client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["exception_detail"][0]["loc"][:2] == ["body", field]
