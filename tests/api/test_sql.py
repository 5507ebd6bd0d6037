"""SQL over the logs and the runs answers what a plain list says, wherever the lines are."""

import asyncio
import csv
import datetime as dt
import io
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from litestar import Litestar

from app.services import Services, ServicesConfig
from app.wire.base import Json
from storage.logs.compaction import NOTHING_TO_DO, compact_pass
from storage.logs.lines import log_id
from storage.logs.offload import offload_pass
from storage.objects import s3
from storage.sql import queries
from tests.api.deployed import a_deployment, a_flow
from tests.chaos.faulty_s3 import Fault, FaultyS3
from tests.conftest import client_of, started_app
from tests.processes import ApiProcess

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
LEVELS = (10, 20, 20, 30, 40)


@pytest.fixture
def services(app: Litestar) -> Services:
    found: Services = app.state.services
    return found


async def sql(client: httpx.AsyncClient, text: str, **more: object) -> list[list[Any]]:
    """The rows of the result of a statement."""
    answer = await client.post("/tailrace/sql", json={"sql": text, **more})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["row_count"] == len(told["rows"])
    assert answer.headers["tailrace-truncated"] == str(told["truncated"]).lower()
    rows: list[list[Any]] = told["rows"]
    return rows


def some_lines(run: str | None, task: str | None, numbers: range) -> list[dict[str, Any]]:
    """Line `number` a second after the one before."""
    return [
        {
            "name": f"app.part{number % 3}",
            "level": LEVELS[number % len(LEVELS)],
            "message": f"order {number} paid, “all” of it\n{number * 7919 % 1000}",
            "timestamp": (START + dt.timedelta(seconds=number)).isoformat(),
            "flow_run_id": run,
            "task_run_id": task if number % 2 else None,
        }
        for number in numbers
    ]


async def a_run(client: httpx.AsyncClient, **said: object) -> str:
    """The id of a new flow run."""
    created = await client.post("/flow_runs/", json={"flow_id": await a_flow(client), **said})
    run_id: str = created.json()["id"]
    return run_id


async def a_task_run(client: httpx.AsyncClient, run: str) -> str:
    """The id of a new task run."""
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}
    task_id: str = (await client.post("/task_runs/", json=body)).json()["id"]
    return task_id


async def post(client: httpx.AsyncClient, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (await client.post("/logs/", json=lines)).raise_for_status()
    return lines


async def offload(services: Services) -> None:
    assert (await offload_pass(services.pool, services.objects, force=True)).rows


async def compact(services: Services) -> None:
    now = dt.datetime.now(dt.UTC)
    while await compact_pass(services.pool, services.objects, now, force=True) != NOTHING_TO_DO:
        pass


async def test_every_line_is_counted_once_wherever_it_is(
    client: httpx.AsyncClient, services: Services
) -> None:
    runs = [await a_run(client) for _ in range(3)]
    dropped = await a_run(client)
    tasks = {run: await a_task_run(client, run) for run in (*runs, dropped)}
    lines: list[dict[str, Any]] = []
    for first, place in ((0, "compacted"), (40, "compacted"), (80, "offloaded"), (120, "hot")):
        numbers = range(first, first + 40)
        for run in runs:
            lines += await post(client, some_lines(run, tasks[run], numbers))
        lines += await post(client, some_lines(None, None, numbers))
        await post(client, some_lines(dropped, None, numbers))
        if place != "hot":
            await offload(services)
        if (first, place) == (40, "compacted"):
            await compact(services)
    assert (await client.delete(f"/flow_runs/{dropped}")).status_code == 204
    assert (await client.delete(f"/task_runs/{tasks[runs[0]]}")).status_code == 204
    lines = [line for line in lines if line["task_run_id"] != tasks[runs[0]]]

    assert await sql(client, "SELECT count(*) FROM logs") == [[len(lines)]]
    found = await sql(
        client, "SELECT flow_run_id, level, count(*) FROM logs GROUP BY ALL ORDER BY ALL"
    )
    counted = Counter((line["flow_run_id"], line["level"]) for line in lines)
    assert {(run, level): count for run, level, count in found} == counted

    columns = "name, level, message, timestamp, flow_run_id, task_run_id"
    whole = await sql(client, f"SELECT {columns} FROM logs")
    assert sorted(map(str, whole)) == sorted(
        str(
            [
                *list(line.values())[:3],
                line["timestamp"].replace("+00:00", "Z"),
                *list(line.values())[4:],
            ]
        )
        for line in lines
    )

    conditions: dict[str, Callable[[dict[str, Any]], bool]] = {
        f"flow_run_id = '{runs[1]}'": lambda line: line["flow_run_id"] == runs[1],
        f"flow_run_id IN ('{runs[0]}', '{runs[2]}') AND level >= 30": lambda line: (
            line["flow_run_id"] in (runs[0], runs[2]) and line["level"] >= 30
        ),
        f"flow_run_id = '{dropped}'": lambda line: False,
        "flow_run_id IS NULL AND name = 'app.part1'": lambda line: (
            line["flow_run_id"] is None and line["name"] == "app.part1"
        ),
        "timestamp >= '2026-11-24 12:01:30' AND timestamp < '2026-11-24 12:02:10'": lambda line: (
            90 <= int(line["message"].split()[1]) < 130
        ),
        "timestamp = '2026-11-24 12:00:07+00'": lambda line: line["message"].startswith("order 7 "),
        f"task_run_id = '{tasks[runs[1]]}' AND contains(message, '9')": lambda line: (
            line["task_run_id"] == tasks[runs[1]] and "9" in line["message"]
        ),
        "level_name = 'ERROR'": lambda line: line["level"] == 40,
    }
    for condition, matches in conditions.items():
        expected = sum(map(matches, lines))
        assert await sql(client, f"SELECT count(*) FROM logs WHERE {condition}") == [[expected]], (
            condition
        )


async def test_a_line_has_the_id_that_everybody_knows_it_by(
    client: httpx.AsyncClient, services: Services
) -> None:
    run = await a_run(client)
    await post(client, some_lines(run, None, range(40)))
    await offload(services)
    await post(client, some_lines(run, None, range(40, 60)))

    page = (await client.post("/logs/filter", json={"sort": "TIMESTAMP_ASC", "limit": 200})).json()
    found = await sql(client, "SELECT id, message, seq FROM logs ORDER BY timestamp, seq")

    assert [row[:2] for row in found] == [[line["id"], line["message"]] for line in page]
    assert [row[0] for row in found] == [str(log_id(row[2])) for row in found]


async def test_expired_lines_are_not_counted(client: httpx.AsyncClient, services: Services) -> None:
    run = await a_run(client)
    await post(client, some_lines(run, None, range(50)))
    await post(client, some_lines(None, None, range(50)))
    await offload(services)
    await services.pool.execute(
        "INSERT INTO log_expiry (flow_run_id, below_level, before)"
        " VALUES ($1, 30, NULL), ('00000000-0000-0000-0000-000000000000', NULL, $2)",
        uuid.UUID(run),
        START + dt.timedelta(seconds=20),
    )

    found = await sql(
        client,
        "SELECT flow_run_id, min(level), count(*) FROM logs GROUP BY 1 ORDER BY 1 NULLS LAST",
    )
    assert found == [[run, 30, 20], [None, 10, 30]]


async def test_runs_flows_and_deployments_are_views(client: httpx.AsyncClient) -> None:
    deployment = await a_deployment(client, tags=["a,b", 'say "x"'], description="")
    parameters: Json = {"text": "line one\nline “two”, and more", "n": [1, None]}
    created = await client.post(
        f"/deployments/{deployment['id']}/create_flow_run",
        json={"name": "first\trun", "tags": ["t 1", "t,2"], "parameters": parameters},
    )
    run = created.json()
    task = await a_task_run(client, run["id"])
    await a_run(client, name="plain")

    assert await sql(
        client,
        "SELECT r.id, r.name, r.flow_name = f.name, deployment_name, r.tags, parameters->>'text',"
        " r.state_type, r.start_time, t.id, d.description, d.tags FROM runs AS r"
        " JOIN flows AS f ON f.id = r.flow_id JOIN task_runs AS t ON t.flow_run_id = r.id"
        " JOIN deployments AS d ON d.id = r.deployment_id",
    ) == [
        [
            run["id"],
            "first\trun",
            True,
            deployment["name"],
            # In the order in which the API has them too.
            run["tags"],
            parameters["text"],
            "SCHEDULED",
            None,
            task,
            "",
            deployment["tags"],
        ]
    ]
    assert await sql(
        client, "SELECT deployment_id, deployment_name, tags FROM runs WHERE name = 'plain'"
    ) == [[None, None, []]]


async def test_a_table_may_be_larger_than_what_is_read_at_once(
    client: httpx.AsyncClient, services: Services
) -> None:
    flow = await a_flow(client)
    await services.pool.execute(
        "INSERT INTO flow (id, created, updated, name, tags, labels)"
        " SELECT gen_random_uuid(), now(), now(), 'flow ' || n, ARRAY['x', n::text], '{}'"
        " FROM generate_series(1, 60000) AS n"
    )
    assert await sql(
        client, "SELECT count(*), count(DISTINCT id), max(tags[2]::INTEGER) FROM flows"
    ) == [[60001, 60001, 60000]]
    assert await sql(client, f"SELECT count(*) FROM flows WHERE id = '{flow}'") == [[1]]


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
async def test_a_result_comes_in_other_forms(shared_client: httpx.AsyncClient, form: str) -> None:
    client = shared_client
    run = await a_run(client)
    await post(client, some_lines(run, None, range(30)))
    answer = await client.post(
        "/tailrace/sql",
        json={
            "sql": "SELECT message, level, NULL AS nothing, INTERVAL 36 HOUR AS i, [level, 1] AS l,"
            f" level > 20 AS b FROM logs WHERE flow_run_id = '{run}' ORDER BY timestamp",
            "format": form,
            "limit": 25,
        },
    )
    assert answer.headers["tailrace-truncated"] == "true"
    assert answer.headers["tailrace-rows"] == "25"
    expected = some_lines(run, None, range(25))
    if form == "csv":
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        names, *rows = csv.reader(io.StringIO(answer.text, newline=""))
        assert names == ["message", "level", "nothing", "i", "l", "b"]
        assert rows == [
            [
                line["message"],
                str(line["level"]),
                "",
                "PT129600S",
                f"[{line['level']},1]",
                str(line["level"] > 20).lower(),
            ]
            for line in expected
        ]
        return
    body = io.BytesIO(answer.content)
    table = pa.ipc.open_stream(body).read_all() if form == "arrow" else pq.read_table(body)
    assert table.column("message").to_pylist() == [line["message"] for line in expected]
    assert table.column("level").to_pylist() == [line["level"] for line in expected]
    assert table.column("l").to_pylist() == [[line["level"], 1] for line in expected]


async def test_values_of_all_kinds_have_a_form_in_json(shared_client: httpx.AsyncClient) -> None:
    (row,) = await sql(
        shared_client,
        "SELECT 9223372036854775807, 170141183460469231731687303715884105727::HUGEINT, 1.50::DECIMAL(5,2),"
        " 'nan'::DOUBLE, DATE '2026-11-24', TIMESTAMP '2026-11-24 01:02:03.5', TIMESTAMP_NS"
        " '2026-11-24 01:02:03.123456789', TIMESTAMPTZ 'infinity', {'a': [1, NULL]}, MAP {'k': 1},"
        " '\\x00\\xFF'::BLOB, INTERVAL '1 month 2 days', TRUE, NULL, sum(2), avg(3)",
    )
    assert row[:6] == [
        9223372036854775807,
        "170141183460469231731687303715884105727",
        "1.50",
        None,
        "2026-11-24",
        "2026-11-24T01:02:03.500000",
    ]
    assert row[6].startswith("2026-11-24 01:02:03.123456789")
    assert isinstance(row[7], str)
    assert row[8:] == [{"a": [1, None]}, [["k", 1]], "AP8=", "P1M2D", True, None, 2, 3.0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sql"),
        ({"sql": 1}, "sql"),
        ({"sql": "SELECT 1", "limit": 0}, "limit"),
        ({"sql": "SELECT 1", "limit": 1_000_001}, "limit"),
        ({"sql": "SELECT 1", "format": "xml"}, "format"),
        ({"sql": "SELECT 1", "parameters": [1]}, "parameters"),
        ({"sql": "SELECT nothing FROM logs"}, "sql"),
        ({"sql": "SELEC 1"}, "sql"),
    ],
)
async def test_a_bad_request_names_the_field(
    shared_client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await shared_client.post("/tailrace/sql", json=body)
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", field]


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("SELECT 'ü',\n\tnothing FROM logs", "(line 2, column 2)"),
        ("SELECT * FROM logs WHERE ORDER", "(line 1, column 26)"),
        ("SELECT level FROM logs WHERE foo(1)", "(line 1, column 30)"),
    ],
)
async def test_a_wrong_statement_is_told_where_it_is_wrong(
    shared_client: httpx.AsyncClient, statement: str, place: str
) -> None:
    answer = await shared_client.post("/tailrace/sql", json={"sql": statement})
    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["msg"].endswith(place)


async def test_a_damaged_or_missing_object_is_named(
    client: httpx.AsyncClient, services: Services
) -> None:
    run = await a_run(client)
    await post(client, some_lines(run, None, range(2000)))
    await offload(services)
    key, size = await services.pool.fetchrow("SELECT key, bytes FROM log_segment")  # pyrefly: ignore
    body = bytearray(await services.objects.read_range(key, 0, size))
    body[size // 3] ^= 0xFF
    await services.objects.put_new(key, bytes(body))

    answer = await client.post("/tailrace/sql", json={"sql": "SELECT max(message) FROM logs"})
    assert answer.status_code == 503, answer.text
    assert answer.json()["unreadable"]["object"] == key
    assert answer.json()["unreadable"]["lines"] == 2000

    await services.objects.delete_many([key])
    answer = await client.post("/tailrace/sql", json={"sql": "SELECT max(level) FROM logs"})
    assert answer.status_code == 503
    assert answer.json()["unreadable"]["object"] == key
    assert await sql(client, "SELECT count(*) FROM runs") == [[1]]


@pytest.mark.parametrize("fault", ["hangs", "answers 500", "cuts bodies short"])
async def test_a_store_that_fails_is_named_and_the_next_statement_runs(
    services_config: ServicesConfig, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(s3, "READ_RANGE_TIMEOUT_SECONDS", 1.0)
    async with FaultyS3.before(services_config.s3.endpoint_url or "") as proxy:
        through = replace(services_config.s3, endpoint_url=f"http://127.0.0.1:{proxy.port}")
        async with (
            started_app(replace(services_config, s3=through)) as started,
            client_of(started) as client,
        ):
            await post(client, some_lines(None, None, range(100)))
            await offload(started.state.services)
            await proxy.become(fault)
            answer = await client.post("/tailrace/sql", json={"sql": "SELECT max(name) FROM logs"})
            assert answer.status_code == 503
            assert "s3" in answer.json()["exception_detail"]
            assert "retry-after" in answer.headers
            assert await sql(client, "SELECT count(*) FROM flows") == [[0]]
            await proxy.become(None)
            assert await sql(client, "SELECT count(*) FROM logs") == [[100]]


async def test_closing_the_connection_ends_the_work(
    server: ApiProcess, eventually: Callable[..., Awaitable[None]]
) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        asking = asyncio.create_task(client.post("/tailrace/sql", json={"sql": endless}))

        async def runs() -> bool:
            return len(psutil.Process(server.pid).children()) == 1

        async def ended() -> bool:
            return not psutil.Process(server.pid).children()

        await eventually(runs)
        asking.cancel()
        await asyncio.wait([asking])
        await eventually(ended, within=3)
        assert await sql(client, "SELECT 42") == [[42]]


async def test_what_comes_when_enough_run_waits_and_is_told_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WAIT_SECONDS", 0.2)
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
    running = [
        asyncio.create_task(client.post("/tailrace/sql", json={"sql": slow}))
        for _ in range(queries.CONCURRENT_QUERIES)
    ]
    await asyncio.sleep(0)
    answer = await client.post("/tailrace/sql", json={"sql": "SELECT 1"})
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    monkeypatch.setattr(queries, "WAIT_SECONDS", 5.0)
    assert await sql(client, "SELECT 1") == [[1]]
