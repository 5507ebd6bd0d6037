"""Bad input to the log routes: a clear 4xx, or stored as it came. Never a 500, never half a body."""

import asyncio
import datetime as dt
import json
import uuid
from typing import Any

import httpx
import pytest

from app.services import Services
from storage.logs.offload import offload_pass
from storage.postgres.pool import Pool


@pytest.fixture
def client(shared_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """These tests look at lines by runs of their own, and at how many lines were added."""
    return shared_client


@pytest.fixture
async def pool(shared_services: Services) -> Pool:
    """The shared application's database."""
    return shared_services.pool


@pytest.fixture
async def before(pool: Pool) -> int:
    """How many lines there were before the test."""
    return await rows(pool)


NOW = "2026-11-24T06:00:00.000001+00:00"


def line(**changes: Any) -> dict[str, Any]:
    """A good line, changed. A value of `...` removes the field."""
    whole = {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": "hello",
        "timestamp": NOW,
        "flow_run_id": str(uuid.uuid4()),
        "task_run_id": None,
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


async def post(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    """Post a raw body."""
    return await client.post("/logs/", content=body, headers={"Content-Type": "application/json"})


async def read(client: httpx.AsyncClient, flow_run_id: str) -> list[dict[str, Any]]:
    """All lines of a run."""
    response = await client.post(
        "/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run_id]}}}
    )
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


async def rows(pool: Pool) -> int:
    """Lines stored, in either tier."""
    count: int = await pool.fetchval(
        "SELECT coalesce((SELECT sum(rows) FROM log_batch), 0)"
        " + coalesce((SELECT sum(rows) FROM log_segment WHERE state = 'published'), 0)"
    )
    return int(count)


def named_fields(response: httpx.Response) -> list[str | int]:
    """Where a 422 says the fault is."""
    location: list[str | int] = response.json()["exception_detail"][0]["loc"]
    return location


NOT_JSON = {
    "nothing": b"",
    "a brace": b"{",
    "cut short": json.dumps([line(), line()]).encode()[:-10],
    "two documents": b"[] []",
    "not utf-8": b'[{"name": "\xff\xfe"}]',
    "a bare word": b"hello",
    "NaN": b'[{"level": NaN}]',
    "deep nesting": b"[" * 100_000,
    "a cut escape": b'[{"name": "\\u12"}]',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_not_json_is_refused(
    body: bytes, client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    response = await post(client, body)
    assert response.status_code == 422, response.text
    assert response.json()["exception_message"] == "Invalid request received."
    assert await rows(pool) == before


WRONG_SHAPE: dict[str, object] = {
    "an object": {},
    "a number": 7,
    "null": None,
    "a string": "lines",
    "a list of numbers": [1],
    "a list of lists": [[]],
}


@pytest.mark.parametrize("body", WRONG_SHAPE.values(), ids=WRONG_SHAPE.keys())
async def test_a_body_that_is_no_list_of_lines_is_refused(
    body: object, client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    response = await post(client, json.dumps(body).encode())
    assert response.status_code == 422, response.text
    assert await rows(pool) == before


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": ...}, "name"),
    "no level": ({"level": ...}, "level"),
    "no message": ({"message": ...}, "message"),
    "no timestamp": ({"timestamp": ...}, "timestamp"),
    "name is a number": ({"name": 7}, "name"),
    "name is null": ({"name": None}, "name"),
    "level is a word": ({"level": "INFO"}, "level"),
    "level is null": ({"level": None}, "level"),
    "level is a fraction": ({"level": 20.5}, "level"),
    "level is huge": ({"level": 2**40}, "level"),
    "message is null": ({"message": None}, "message"),
    "message is an object": ({"message": {}}, "message"),
    "timestamp is a word": ({"timestamp": "yesterday"}, "timestamp"),
    "timestamp is empty": ({"timestamp": ""}, "timestamp"),
    "timestamp is null": ({"timestamp": None}, "timestamp"),
    "timestamp has month 13": ({"timestamp": "2026-13-01T00:00:00+00:00"}, "timestamp"),
    "timestamp is 30 February": ({"timestamp": "2026-02-30T00:00:00+00:00"}, "timestamp"),
    "timestamp has year 10000": ({"timestamp": "10000-01-01T00:00:00+00:00"}, "timestamp"),
    "timestamp has year 0": ({"timestamp": "0000-01-01T00:00:00+00:00"}, "timestamp"),
    "flow run id is a word": ({"flow_run_id": "seven"}, "flow_run_id"),
    "flow run id is empty": ({"flow_run_id": ""}, "flow_run_id"),
    "flow run id is cut short": ({"flow_run_id": "12345678-1234-1234-1234"}, "flow_run_id"),
    "flow run id is a number": ({"flow_run_id": 7}, "flow_run_id"),
    "task run id is a word": ({"task_run_id": "seven"}, "task_run_id"),
    "an unknown field": ({"worker_id": str(uuid.uuid4())}, "worker_id"),
}


@pytest.mark.parametrize(("changes", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
async def test_one_bad_line_refuses_the_whole_body_and_is_named(
    changes: dict[str, Any], field: str, client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    run = str(uuid.uuid4())
    body = [line(flow_run_id=run), line(flow_run_id=run), line(**changes), line(flow_run_id=run)]
    response = await post(client, json.dumps(body).encode())

    assert response.status_code == 422, response.text
    assert named_fields(response)[-1] == field
    assert await rows(pool) == before
    assert await read(client, run) == []

    # The good lines are welcome without it.
    del body[2]
    assert (await post(client, json.dumps(body).encode())).status_code == 201
    assert len(await read(client, run)) == 3


async def test_an_empty_batch_is_accepted_and_stores_nothing(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    response = await post(client, b"[]")
    assert response.status_code == 201
    assert await rows(pool) == before


async def test_a_body_of_10_mib_is_refused(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    lines = [line(message="x" * 100_000) for _ in range(105)]
    body = json.dumps(lines).encode()
    assert len(body) > 10 * 1024**2
    response = await post(client, body)
    assert response.status_code == 413, response.text
    assert await rows(pool) == before


async def test_a_body_of_3_mb_is_the_clients_largest_and_is_stored(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    run = str(uuid.uuid4())
    body = json.dumps([line(flow_run_id=run, message="x" * 1000) for _ in range(2700)]).encode()
    assert 3_000_000 < len(body) < 4_000_000
    assert (await post(client, body)).status_code == 201
    assert await rows(pool) == before + 2700


FAITHFUL: dict[str, dict[str, Any]] = {
    "empty message": {"message": ""},
    "empty name": {"name": ""},
    "1 MiB message": {"message": "é" * 524_288},
    "line breaks": {"message": "Traceback\n  File\r\n\ttab\x0bend\n"},
    "control characters": {"message": "\x01\x02\x1b[31mred\x1b[0m\x7f"},
    "other scripts": {"message": "日本語 עברית 👩‍👩‍👧‍👦 \U0010ffff \ufeff \u2028"},
    "quotes and slashes": {"message": "\"'\\ %s %(x)s {y} <b>&amp;'; DROP TABLE log_batch; --"},
    "level 0": {"level": 0},
    "negative level": {"level": -5},
    "level of 2^31-1": {"level": 2**31 - 1},
    "year 1": {"timestamp": "0001-01-01T00:00:00+00:00"},
    "year 9999": {"timestamp": "9999-12-31T23:59:59.999999+00:00"},
    "before 1970": {"timestamp": "1969-07-20T20:17:40.000001+00:00"},
    "a clock of next century": {"timestamp": "2126-11-24T06:00:00+00:00"},
    "another zone": {"timestamp": "2026-11-24T06:00:00.5+05:30"},
    "Z": {"timestamp": "2026-11-24T06:00:00.123456Z"},
    "no flow run": {"flow_run_id": None, "name": f"lonely-{uuid.uuid4()}"},
    "a task run": {"task_run_id": str(uuid.uuid4())},
    "uuid without dashes": {"flow_run_id": uuid.uuid4().hex},
    "uuid in capitals": {"flow_run_id": str(uuid.uuid4()).upper()},
}


@pytest.mark.parametrize("changes", FAITHFUL.values(), ids=FAITHFUL.keys())
async def test_what_is_odd_but_right_is_stored_as_it_came(
    changes: dict[str, Any], client: httpx.AsyncClient, shared_services: Services
) -> None:
    posted = line(**{"name": f"odd {uuid.uuid4()}", **changes})
    response = await post(client, json.dumps([posted]).encode())
    assert response.status_code == 201, response.text
    runs = [str(uuid.UUID(posted["flow_run_id"]))] if posted["flow_run_id"] else None

    async def check() -> None:
        query = {"flow_run_id": {"any_": runs}} if runs else {"text": {"query": posted["name"]}}
        response = await client.post("/logs/filter", json={"logs": query})
        assert response.status_code == 200, response.text[:300]
        [found] = response.json()
        for name in ("name", "level", "message"):
            assert found[name] == posted[name]
        for name in ("flow_run_id", "task_run_id"):
            assert found[name] == (str(uuid.UUID(posted[name])) if posted[name] else None)
        assert dt.datetime.fromisoformat(found["timestamp"]) == dt.datetime.fromisoformat(
            posted["timestamp"]
        )

    await check()
    assert (await offload_pass(shared_services.pool, shared_services.objects, force=True)).rows > 0
    await check()


async def test_a_timestamp_without_zone_is_utc(client: httpx.AsyncClient) -> None:
    posted = line(timestamp="2026-11-24T06:00:00.25")
    assert (await post(client, json.dumps([posted]).encode())).status_code == 201
    [found] = await read(client, posted["flow_run_id"])
    assert dt.datetime.fromisoformat(found["timestamp"]) == dt.datetime(
        2026, 11, 24, 6, 0, 0, 250_000, tzinfo=dt.UTC
    )


async def test_nul_characters_are_removed_as_in_the_reference(client: httpx.AsyncClient) -> None:
    posted = line(message="a\x00b\x00", name="n\x00")
    assert (await post(client, json.dumps([posted]).encode())).status_code == 201
    [found] = await read(client, posted["flow_run_id"])
    assert (found["message"], found["name"]) == ("ab", "n")


async def test_a_backslash_before_u0000_is_text_not_a_nul(client: httpx.AsyncClient) -> None:
    posted = line(message="literally \\u0000")
    assert (await post(client, json.dumps([posted]).encode())).status_code == 201
    [found] = await read(client, posted["flow_run_id"])
    assert found["message"] == "literally \\u0000"


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800"])
async def test_a_lone_surrogate_is_refused_or_stored_readably(
    escape: str, client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    run = str(uuid.uuid4())
    text = json.dumps([line(flow_run_id=run), line(flow_run_id=run, message="SURROGATE")])
    response = await post(client, text.replace("SURROGATE", f"a{escape}b").encode())
    assert response.status_code in (201, 422), response.text
    if response.status_code == 201:
        assert [found["message"][0] for found in await read(client, run)] == ["h", "a"]
    else:
        assert await rows(pool) == before


async def test_a_raw_nul_byte_in_json_is_refused(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    body = json.dumps([line(message="NUL")]).encode().replace(b"NUL", b"a\x00b")
    response = await post(client, body)
    assert response.status_code == 422
    assert await rows(pool) == before


async def test_a_refused_body_does_not_take_its_neighbours_along(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    """Bodies that share a flush: the bad one is refused, the good ones are stored."""
    good = [json.dumps([line(), line()]).encode() for _ in range(10)]
    bad = [json.dumps([line(), line(timestamp="2026-99-99T00:00:00Z")]).encode() for _ in range(5)]
    answers = await asyncio.gather(*(post(client, body) for body in [*good[:5], *bad, *good[5:]]))
    assert [answer.status_code for answer in answers] == [201] * 5 + [422] * 5 + [201] * 5
    assert await rows(pool) == before + 20


async def test_the_same_body_twice_at_once_is_stored_once(
    client: httpx.AsyncClient, pool: Pool, before: int
) -> None:
    body = json.dumps([line(), line()]).encode()
    answers = await asyncio.gather(*(post(client, body) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert await rows(pool) == before + 2


# Reading ------------------------------------------------------------------------------------------

BAD_QUERIES = {
    "not JSON": b"{",
    "a list": b"[]",
    "unknown sort": b'{"sort": "SIDEWAYS"}',
    "limit beyond 200": b'{"limit": 201}',
    "negative limit": b'{"limit": -1}',
    "limit is a word": b'{"limit": "many"}',
    "negative offset": b'{"offset": -1}',
    "offset of 63 bits": b'{"offset": 9223372036854775807}',
    "offset beyond 64 bits": b'{"offset": 99999999999999999999999}',
    "unknown filter": b'{"logs": {"name": {"any_": ["x"]}}}',
    "unknown operator": b'{"logs": {"operator": "xor_"}}',
    "bad uuid": b'{"logs": {"flow_run_id": {"any_": ["seven"]}}}',
    "any_ is null in a list": b'{"logs": {"flow_run_id": {"any_": [null]}}}',
    "level is a word": b'{"logs": {"level": {"ge_": "INFO"}}}',
    "bad time": b'{"logs": {"timestamp": {"after_": "yesterday"}}}',
    "unknown key": b'{"logs": {"level": {"gt_": 10}}}',
    "text too long": b'{"logs": {"text": {"query": "%s"}}}' % (b"x" * 201),
    "text without query": b'{"logs": {"text": {}}}',
}


@pytest.mark.parametrize("body", BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
async def test_a_bad_query_is_refused(body: bytes, client: httpx.AsyncClient) -> None:
    response = await client.post("/logs/filter", content=body)
    assert response.status_code == 422, response.text


ODD_QUERIES = {
    "nothing": b"{}",
    "null": b'{"logs": null}',
    "limit 0": b'{"limit": 0}',
    "far offset": b'{"offset": 1000000000}',
    "offset of 62 bits": b'{"offset": 4611686018427387903}',
    "no runs": b'{"logs": {"flow_run_id": {"any_": []}}}',
    "bounds of time": b'{"logs": {"timestamp": {"after_": "0001-01-01T00:00:00Z",'
    b' "before_": "9999-12-31T23:59:59.999999Z"}}}',
    "bounds crossed": b'{"logs": {"timestamp": {"after_": "9999-12-31T00:00:00Z",'
    b' "before_": "0001-01-01T00:00:00Z"}}}',
    "huge level": b'{"logs": {"level": {"ge_": 9223372036854775807}}}',
    "beyond any level": b'{"logs": {"level": {"le_": -9223372036854775808}}}',
    "text of operators": b'{"logs": {"text": {"query": "+ - ! \\" \\\\"}}}',
    "text that looks like SQL": b'{"logs": {"text": {"query": "\'; DROP TABLE log_batch; --"}}}',
    "text with a NUL": b'{"logs": {"text": {"query": "a\\u0000b"}}}',
    "text with wildcards": b'{"logs": {"text": {"query": "%_[a-z]* (?i)"}}}',
    "or of nothing": b'{"logs": {"operator": "or_"}}',
}


@pytest.mark.parametrize("body", ODD_QUERIES.values(), ids=ODD_QUERIES.keys())
async def test_an_odd_query_is_answered(
    body: bytes, client: httpx.AsyncClient, shared_services: Services
) -> None:
    assert (await post(client, json.dumps([line(), line()]).encode())).status_code == 201
    await offload_pass(shared_services.pool, shared_services.objects, force=True)
    assert (await post(client, json.dumps([line()]).encode())).status_code == 201
    response = await client.post("/logs/filter", content=body)
    assert response.status_code == 200, response.text
    assert len(response.json()) <= 200
