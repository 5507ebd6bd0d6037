"""Scrolling through a run by cursor, against a plain list, while offload moves lines."""

import random
import uuid
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.wire.base import new_id
from storage.logs.offload import offload_pass
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool

PATH = "/tailrace/logs"


async def _post(client: httpx.AsyncClient, run: uuid.UUID, seconds: list[int], start: int) -> None:
    lines = [
        {
            "name": "even" if number % 2 == 0 else "odd",
            "level": 40 if number % 7 == 3 else 20,
            "message": f"{number}",
            "timestamp": f"2026-11-24T06:00:{second:02d}Z",
            "flow_run_id": str(run),
        }
        for number, second in enumerate(seconds, start)
    ]
    assert (await client.post("/logs/", json=lines)).status_code == 201


async def _ask(client: httpx.AsyncClient, run: uuid.UUID, **query: object) -> dict[str, Any]:
    response = await client.post(PATH, json={"flow_run_id": str(run), **query})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def _numbers(page: dict[str, Any]) -> list[int]:
    return [int(line["message"]) for line in page["lines"]]


async def _lines(client: httpx.AsyncClient, run: uuid.UUID) -> list[tuple[int, dict[str, Any]]]:
    """The run's lines by number, in order."""
    found: list[dict[str, Any]] = []
    while True:
        body = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "offset": len(found)}
        page = (await client.post("/logs/filter", json=body)).json()
        found += page
        if not page:
            return [(int(line["message"]), line) for line in found]


@given(
    batches=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=30), min_size=1, max_size=5),
    moves=st.randoms(use_true_random=False),
    limit=st.integers(1, 9),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_scrolling_gives_each_line_once_while_lines_move(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    batches: list[list[int]],
    moves: random.Random,
    limit: int,
) -> None:
    run = new_id()
    seconds: list[int] = []
    for batch in batches:
        await _post(client, run, batch, len(seconds))
        seconds += batch
    # Arrival is the order among equal times, and numbers are in the order of arrival.
    model = sorted(range(len(seconds)), key=lambda number: (seconds[number], number))

    async def move() -> None:
        if moves.random() < 0.3:
            await offload_pass(pool, objects, force=True)

    for direction, end in (("forward", "after"), ("backward", "before")):
        found: list[int] = []
        cursor = None
        while True:
            page = await _ask(client, run, direction=direction, limit=limit, cursor=cursor)
            if not page["lines"]:
                break
            numbers = _numbers(page)
            found = found + numbers if direction == "forward" else numbers + found
            cursor = page[end]
            await move()
        assert found == model

    errors = [number for number in model if number % 7 == 3]
    page = await _ask(client, run, error="first", limit=limit)
    walked: list[int] = []
    while page["anchor"] is not None:
        (anchor,) = [line for line in page["lines"] if line["id"] == page["anchor"]]
        walked.append(int(anchor["message"]))
        at = model.index(walked[-1])
        first = max(0, at - limit // 2)
        assert _numbers(page) == model[first : first + limit]
        page_here = await _ask(client, run, around_line=anchor["id"], limit=1)
        page = await _ask(client, run, error="next", cursor=page_here["after"], limit=limit)
        await move()
    assert walked == errors

    moment = moves.choice(seconds)
    page = await _ask(client, run, around_time=f"2026-11-24T06:00:{moment:02d}Z", limit=limit)
    at = next(place for place, number in enumerate(model) if seconds[number] >= moment)
    first = max(0, at - limit // 2)
    assert _numbers(page) == model[first : first + limit]
    if limit > 1 or at == first:
        assert page["anchor"] == page["lines"][at - first]["id"]

    page = await _ask(client, run, logger=["odd"], level={"le_": 30}, text={"query": "1"})
    assert _numbers(page) == [n for n in model if n % 2 and n % 7 != 3 and "1" in str(n)]

    every = {number: line["id"] for number, line in await _lines(client, run)}
    for number in moves.sample(model, min(3, len(model))):
        filters: list[tuple[dict[str, Any], list[int]]] = [
            ({}, model),
            ({"level": {"ge_": 30}}, errors),
            ({"text": {"query": "1"}}, [n for n in model if "1" in str(n)]),
            ({"logger": ["odd"]}, [n for n in model if n % 2]),
            ({"level": {"any_": [40]}}, errors),
            ({"regex": "^[0-9]*[12]$"}, [n for n in model if n % 10 in (1, 2)]),
        ]
        for wanted, matching in filters:
            page = await _ask(
                client, run, around_line=every[number], limit=limit, offset=True, **wanted
            )
            # Half of the page lies before the line, matching or not.
            before = len([n for n in matching if model.index(n) < model.index(number)])
            assert page["offset"] == max(0, before - limit // 2)
            assert _numbers(page) == matching[page["offset"] :][:limit]
            at = moves.randrange(len(matching) + 2)
            page = await _ask(client, run, at_offset=at, limit=limit, offset=True, **wanted)
            assert (page["offset"], _numbers(page)) == (at, matching[at:][:limit])
            if page["lines"]:
                page = await _ask(client, run, cursor=page["after"], limit=limit, **wanted)
                assert _numbers(page) == matching[at + limit :][:limit]
        await move()


async def test_new_lines_come_after_the_cursor_of_the_end(shared_client: httpx.AsyncClient) -> None:
    run = new_id()
    await _post(shared_client, run, [1, 2, 3], 0)
    page = await _ask(shared_client, run)
    assert (await _ask(shared_client, run, cursor=page["after"]))["lines"] == []
    await _post(shared_client, run, [3, 4], 3)
    following = await _ask(shared_client, run, cursor=page["after"])
    assert _numbers(following) == [3, 4]
    previous = await _ask(shared_client, run, cursor=following["before"], direction="backward")
    assert _numbers(previous) == [0, 1, 2]


async def test_a_run_without_lines_has_an_empty_page(shared_client: httpx.AsyncClient) -> None:
    page = await _ask(shared_client, new_id())
    assert page == {"lines": [], "before": None, "after": None, "anchor": None, "offset": None}
    page = await _ask(shared_client, new_id(), error="first")
    assert page == {"lines": [], "before": None, "after": None, "anchor": None, "offset": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"flow_run_id": "no"}, "flow_run_id"),
        ({"cursor": "no"}, "cursor"),
        ({"cursor": "999999999999999999.1"}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"error": "next"}, "cursor"),
        ({"error": "first", "cursor": "1.1"}, "cursor"),
        ({"around_line": str(uuid.uuid4())}, "around_line"),
        ({"around_line": str(uuid.uuid4()), "cursor": "1.1"}, "around_line"),
        ({"around_time": "yesterday"}, "around_time"),
        ({"at_offset": -1}, "at_offset"),
        ({"at_offset": 1, "cursor": "1.1"}, "at_offset"),
        ({"regex": "("}, "regex"),
        ({"direction": "up"}, "direction"),
        ({"what": 1}, "what"),
    ],
)
async def test_a_wrong_question_names_the_field(
    shared_client: httpx.AsyncClient, query: dict[str, object], field: str
) -> None:
    response = await shared_client.post(PATH, json={"flow_run_id": str(new_id()), **query})
    assert response.status_code == 422, response.text
    assert field in str(response.json())


async def test_offsets_are_those_of_pages_by_offset(shared_client: httpx.AsyncClient) -> None:
    run = new_id()
    await _post(shared_client, run, [5, 1, 3, 3, 3, 9, 2, 8, 7, 6, 4], 0)
    model = [number for number, _ in await _lines(shared_client, run)]
    errors = [number for number in model if number % 7 == 3]
    page = await _ask(shared_client, run, limit=4, offset=True)
    assert (page["offset"], _numbers(page)) == (0, model[:4])
    page = await _ask(shared_client, run, limit=4, offset=True, cursor=page["after"])
    assert (page["offset"], _numbers(page)) == (4, model[4:8])
    page = await _ask(shared_client, run, limit=4, offset=True, direction="backward")
    assert (page["offset"], _numbers(page)) == (7, model[7:])
    end = await _ask(shared_client, run, limit=4, offset=True, cursor=page["after"])
    assert (end["offset"], end["lines"]) == (11, [])
    page = await _ask(shared_client, run, limit=4, offset=True, error="first")
    assert page["offset"] == model.index(errors[0]) - 2
    page = await _ask(shared_client, run, limit=4, offset=True, around_time="2026-11-24T06:00:07Z")
    assert page["offset"] == model.index(8) - 2
    page = await _ask(shared_client, run, limit=4, offset=True, around_time="2026-11-24T07:00:00Z")
    assert page["offset"] == 9
    nothing = {"text": {"query": "nowhere"}, "around_time": "2026-11-24T06:00:07Z"}
    assert (await _ask(shared_client, run, offset=True, **nothing))["offset"] == 0
    assert (await _ask(shared_client, run, limit=4))["offset"] is None
    greatest = "1795500000000000.9223372036854775807"
    assert (await _ask(shared_client, run, offset=True, cursor=greatest))["offset"] in (0, 11)


async def test_pages_of_a_task_run_have_its_lines_only(shared_client: httpx.AsyncClient) -> None:
    run, task = new_id(), new_id()
    lines = [
        {
            "name": "n",
            "level": 20,
            "message": str(number),
            "timestamp": f"2026-11-24T06:00:{number:02d}Z",
            "flow_run_id": str(run),
            "task_run_id": str(task) if number % 3 == 0 else None,
        }
        for number in range(20)
    ]
    assert (await shared_client.post("/logs/", json=lines)).status_code == 201
    of_task = {"task_run_id": {"any_": [str(task)]}, "offset": True}
    page = await _ask(shared_client, run, limit=3, **of_task)
    assert (page["offset"], _numbers(page)) == (0, [0, 3, 6])
    page = await _ask(shared_client, run, limit=3, cursor=page["after"], **of_task)
    assert (page["offset"], _numbers(page)) == (3, [9, 12, 15])


async def test_a_line_is_found_in_its_batch_and_then_in_its_object(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    other, run = new_id(), new_id()
    for each in (other, run):
        await _post(client, each, [3, 1, 2], 0)
    lines = await _lines(client, run)
    body = {"flow_run_id": str(run), "line_id": lines[1][1]["id"]}

    async def found() -> dict[str, Any]:
        answer = await client.post(f"{PATH}/where", json=body)
        assert answer.status_code == 200, answer.text
        place: dict[str, Any] = answer.json()
        return place

    hot = await found()
    assert (hot["tier"], hot["rows"], hot["object_key"]) == ("hot", 3, None)
    assert hot["bytes"] > 0
    await offload_pass(pool, objects, force=True)
    place = await found()
    assert (place["tier"], place["rows"], place["batch"]) == ("segment", 6, None)
    assert (place["level"], place["final"], place["format_version"]) == (0, False, 1)
    # After the three of the run with the smaller id.
    assert other < run
    assert place["row"] == 3 + 1
    assert (await objects.list_objects("logs/")) == {place["object_key"]: place["bytes"]}

    for wrong, status in (
        ({"flow_run_id": str(other)}, 404),
        ({"flow_run_id": str(new_id())}, 404),
        ({"line_id": str(new_id())}, 422),
        ({"line_id": "no"}, 422),
    ):
        answer = await client.post(f"{PATH}/where", json={**body, **wrong})
        assert answer.status_code == status, answer.text
