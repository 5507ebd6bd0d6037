"""`tailrace import prefect` from a database that a real Prefect server wrote."""

import asyncio
import contextlib
import datetime as dt
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from bench.servers import clean_environment, free_port, running_command, wait_until_healthy
from storage.objects.store import S3Config
from tests.cli.conftest import environment
from tests.conftest import EmbeddedServers, empty_database

RUNS = 4
LINES = 2_000
PAGE = 200
SECONDS = 90.0
# The command with pages and segments of a few lines, so that a small database takes many.
IN_SMALL_STEPS = """
from storage.prefect import source
source.PAGE_ROWS = 25
from app import prefect_import
prefect_import.MAX_ROWS = 50
from app.cli import main
main()
"""
# The servers here are dead when their databases are read.
WITHOUT_WAITING = """
import datetime
from storage.prefect import sqlite_source
sqlite_source.SETTLING = datetime.timedelta(seconds=0)
from app.cli import main
main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefect:
    """A server with some runs and their lines: its database, and what it answers."""

    url: str
    runs: list[dict[str, Any]]
    task_runs: list[dict[str, Any]]
    states: list[dict[str, Any]]
    lines: dict[str, list[dict[str, Any]]]


async def ask(client: httpx.AsyncClient, path: str, body: object) -> Any:
    """Post, and give the answer."""
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def all_lines(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    """All lines of a run, but for the ids and times that a server gives by itself. Lines of the same
    microsecond have no order on the reference."""
    found: list[dict[str, Any]] = []
    while True:
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "limit": PAGE, "offset": len(found)}
        page = await ask(client, "/logs/filter", body)
        found += [{k: v for k, v in line.items() if k not in _OWN} for line in page]
        if len(page) < PAGE:
            return sorted(found, key=lambda line: (line["timestamp"], line["message"]))


_OWN = ("id", "created", "updated")


async def answers_of(client: httpx.AsyncClient) -> dict[str, Any]:
    """What a server says of its runs, tasks, states and lines."""
    runs = await ask(client, "/flow_runs/filter", {"sort": "ID_DESC"})
    ended = [run for run in runs if run["state_type"] in ("COMPLETED", "FAILED")]
    ids = [run["id"] for run in ended]
    tasks = await ask(
        client, "/task_runs/filter", {"flow_runs": {"id": {"any_": ids}}, "sort": "ID_DESC"}
    )
    states: list[dict[str, Any]] = []
    for run in ended:
        answer = await client.get("/flow_run_states/", params={"flow_run_id": run["id"]})
        states += sorted(answer.json(), key=lambda state: state["timestamp"])
    return {
        "runs": [_settled(run) for run in ended],
        "task_runs": [_settled(task) for task in tasks],
        "states": states,
        "lines": {run: await all_lines(client, run) for run in ids},
    }


def _settled(run: dict[str, Any]) -> dict[str, Any]:
    """Without what is estimated at the moment of the answer."""
    return {k: v for k, v in run.items() if not k.startswith("estimated_")}


async def fill(client: httpx.AsyncClient) -> None:
    """A deployment, runs of it of which one goes on, and their lines."""
    flow = await ask(client, "/flows/", {"name": "etl", "tags": ["a"]})
    pool: dict[str, object] = {"name": "pool", "type": "process", "base_job_template": {}}
    await ask(client, "/work_pools/", pool)
    deployment = await ask(
        client,
        "/deployments/",
        {
            "name": "nightly",
            "flow_id": flow["id"],
            "parameters": {"x": 1},
            "tags": ["t"],
            "work_pool_name": "pool",
            "schedules": [{"active": True, "schedule": {"interval": 86400}}],
        },
    )
    dice = random.Random(7)
    runs = [
        await _made_run(client, flow["id"], deployment["id"], index, ended=index < RUNS)
        for index in range(RUNS + 1)
    ]
    start = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    for first in range(0, LINES, 250):
        lines = [
            {
                "name": "prefect.flow_runs",
                "level": dice.choice((10, 20, 20, 30, 40)),
                "message": f"line {number} é\n\t{'x' * dice.randrange(200)}",
                # Clients' clocks go their own ways.
                "timestamp": (start + dt.timedelta(microseconds=dice.randrange(10**6))).isoformat(),
                "flow_run_id": runs[number % len(runs)][0],
                "task_run_id": runs[number % len(runs)][1] if number % 2 else None,
            }
            for number in range(first, first + 250)
        ]
        await ask(client, "/logs/", lines)


async def _made_run(
    client: httpx.AsyncClient, flow: str, deployment: str, index: int, *, ended: bool
) -> tuple[str, str]:
    run = await ask(
        client,
        "/flow_runs/",
        {
            "flow_id": flow,
            "deployment_id": deployment,
            "name": f"run-{index}",
            "parameters": {"n": index, "f": 0.1},
            "tags": ["x"],
            "idempotency_key": f"key-{index}",
            "state": {"type": "PENDING"},
        },
    )
    task = await ask(
        client,
        "/task_runs/",
        {
            "flow_run_id": run["id"],
            "task_key": "load",
            "dynamic_key": "0",
            "name": "load-0",
            "task_inputs": {"a": [{"input_type": "constant", "type": "int"}]},
        },
    )
    for type_ in ("RUNNING", "FAILED" if index % 2 else "COMPLETED"):
        state = {"state": {"type": type_, "message": f"to {type_}"}, "force": True}
        await ask(client, f"/task_runs/{task['id']}/set_state", state)
        if ended or type_ == "RUNNING":
            await ask(client, f"/flow_runs/{run['id']}/set_state", state)
    return run["id"], task["id"]


@contextlib.asynccontextmanager
async def reference(
    python: Path, home: Path, database_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A Prefect server on this database."""
    port = free_port()
    log_file = home / "server.log"
    variables = clean_environment(
        PREFECT_HOME=str(home),
        PREFECT_API_DATABASE_CONNECTION_URL=database_url,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
        PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED="false",
    )
    argv = [str(python.with_name("prefect")), "server", "start", "--no-ui"]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    async with running_command(argv, log_file=log_file, environment=variables, cwd=home) as process:
        await wait_until_healthy(process, port, log_file=log_file, seconds=SECONDS)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api",
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            yield client


async def filled(python: Path, home: Path, url: str) -> Prefect:
    """One that has been stopped, on this database."""
    driver = {"postgresql": "asyncpg", "sqlite": "aiosqlite"}[url.partition(":")[0]]
    async with reference(python, home, url.replace("://", f"+{driver}://", 1)) as client:
        await fill(client)
        return Prefect(url=url, **await answers_of(client))


@pytest.fixture(scope="session")
async def both(
    embedded_servers: EmbeddedServers,
    prefect_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[dict[str, Prefect]]:
    """One on PostgreSQL and one on SQLite, made side by side."""
    home, full, lite = (tmp_path_factory.mktemp(name) for name in ("prefect", "full", "lite"))
    async with empty_database(embedded_servers) as url, asyncio.TaskGroup() as tasks:
        made = {
            "sqlite": filled(prefect_python, lite, f"sqlite:///{home / 'prefect.db'}"),
            "postgresql": filled(prefect_python, full, url),
        }
        running = {name: tasks.create_task(one) for name, one in made.items()}
        yield {name: await task for name, task in running.items()}


@pytest.fixture(params=["sqlite", "postgresql"])
def prefect(request: pytest.FixtureRequest, both: dict[str, Prefect]) -> Prefect:
    """Each of the two."""
    return both[request.param]


@pytest.fixture
def on_postgresql(both: dict[str, Prefect]) -> Prefect:
    """The one on PostgreSQL."""
    return both["postgresql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """The command, for this test's installation."""

    variables: dict[str, str]

    def begin(self, url: str, *, code: str | None = None) -> "subprocess.Popen[str]":
        """Start it. `code` is the program instead of the command line's."""
        program = ["-c", code] if code else ["-P", "-m", "app.cli"]
        return subprocess.Popen(
            [sys.executable, *program, "import", "prefect", url],
            env=environment(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    async def run(self, url: str) -> tuple[int, str]:
        """Run it to its end; gives its exit status and what it printed."""
        process = self.begin(url, code=WITHOUT_WAITING if url.startswith("sqlite") else None)
        said, _ = await asyncio.to_thread(process.communicate, timeout=SECONDS)
        return process.returncode, said


@pytest.fixture
def importing(database_url: str, s3_config: S3Config) -> Import:
    """For an installation that nobody runs."""
    return Import(
        variables={
            "TAILRACE_DATABASE_URL": database_url,
            "TAILRACE_S3_BUCKET": s3_config.bucket,
            "TAILRACE_S3_ENDPOINT_URL": s3_config.endpoint_url or "",
            "TAILRACE_S3_ACCESS_KEY_ID": s3_config.access_key_id or "",
            "TAILRACE_S3_SECRET_ACCESS_KEY": s3_config.secret_access_key or "",
        }
    )


async def test_an_import_is_answered_as_the_source_answers(
    prefect: Prefect, importing: Import, client: httpx.AsyncClient
) -> None:
    status, said = await importing.run(prefect.url)
    assert status == 0, said
    assert f"{LINES:,} lines imported, {LINES:,} in all" in said
    assert f"of {RUNS + 1} runs the lines of {RUNS + 1} are all here" in said
    assert "1 flow runs have not ended and were left out" in said

    ours = await answers_of(client)
    assert ours["lines"] == prefect.lines
    assert ours["states"] == prefect.states
    assert ours["runs"] == prefect.runs
    assert ours["task_runs"] == prefect.task_runs
    (deployment,) = await ask(client, "/deployments/filter", {})
    assert (deployment["name"], deployment["paused"]) == ("nightly", True)
    assert (deployment["work_pool_name"], deployment["parameters"]) == ("pool", {"x": 1})
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]

    status, said = await importing.run(prefect.url)
    assert status == 0, said
    assert f"0 lines imported, {LINES:,} in all" in said
    assert (await answers_of(client))["lines"] == prefect.lines


async def test_an_import_that_is_killed_goes_on_where_it_was(
    on_postgresql: Prefect, importing: Import, client: httpx.AsyncClient, database_url: str
) -> None:
    for kill, taken in enumerate((_PUBLISHED, _PASSED), 1):
        process = importing.begin(on_postgresql.url, code=IN_SMALL_STEPS)
        # Dead as soon as one of the two can be seen, which must come together.
        await _until_taken(database_url, taken, kill * LINES // 3)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.communicate, timeout=SECONDS)
    status, said = await importing.run(on_postgresql.url)
    assert status == 0, said
    assert f"{LINES:,} in all" in said
    assert f"{LINES:,} lines imported" not in said
    assert (await answers_of(client))["lines"] == on_postgresql.lines


_PUBLISHED = "SELECT coalesce(sum(rows), 0) >= $1 FROM log_segment WHERE state = 'published'"
_PASSED = "SELECT coalesce(sum(rows), 0) >= $1 FROM import_progress"


async def _until_taken(database_url: str, taken: str, lines: int) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        await _until(conn, taken, lines)
    finally:
        await conn.close()


async def _until(conn: "asyncpg.Connection[asyncpg.Record]", query: str, *values: object) -> None:
    async with asyncio.timeout(SECONDS):
        while not await conn.fetchval(query, *values):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.005)


async def test_a_line_of_an_open_transaction_is_waited_for(
    on_postgresql: Prefect, importing: Import
) -> None:
    writer = await asyncpg.connect(on_postgresql.url)
    watcher = await asyncpg.connect(on_postgresql.url)
    try:
        transaction = writer.transaction()
        await transaction.start()
        # It says that it was stored when the last one was, and comes before that one by its id.
        await writer.execute(_OVERTAKEN)
        process = importing.begin(on_postgresql.url)
        await _until(watcher, _ASKED)
        await transaction.commit()
        said, _ = await asyncio.to_thread(process.communicate, timeout=SECONDS)
        assert process.returncode == 0, said
        assert f"{LINES + 1:,} lines imported" in said
    finally:
        await watcher.execute("DELETE FROM log WHERE message = 'overtaken'")
        await watcher.close()
        await writer.close()


_OVERTAKEN = """
INSERT INTO log
SELECT (jsonb_populate_record(
    log, '{"id": "00000000-0000-0000-0000-000000000001", "message": "overtaken"}'
)).*
FROM log ORDER BY updated DESC, id DESC LIMIT 1
"""
_ASKED = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_snapshot_xmin%' AND pid <> pg_backend_pid()
)
"""


async def test_a_run_that_misses_lines_is_named(
    on_postgresql: Prefect, importing: Import, database_url: str
) -> None:
    assert (await importing.run(on_postgresql.url))[0] == 0
    run = uuid.UUID(on_postgresql.runs[0]["id"])
    conn = await asyncpg.connect(database_url)
    await conn.execute("UPDATE log_segment_run SET rows = rows - 1 WHERE flow_run_id = $1", run)
    await conn.close()
    status, said = await importing.run(on_postgresql.url)
    assert status == 1
    there = len(on_postgresql.lines[str(run)])
    assert f"differs: {run}: {there} lines there, {there} imported, {there - 1} held" in said


async def test_a_flow_of_the_same_name_takes_the_runs(
    on_postgresql: Prefect, importing: Import, client: httpx.AsyncClient
) -> None:
    mine = await ask(client, "/flows/", {"name": "etl"})
    assert (await importing.run(on_postgresql.url))[0] == 0
    runs = await ask(client, "/flow_runs/filter", {})
    assert {run["flow_id"] for run in runs} == {mine["id"]}
    assert len(runs) == RUNS
    (deployment,) = await ask(client, "/deployments/filter", {})
    assert deployment["flow_id"] == mine["id"]


async def test_what_is_no_source_is_told_without_the_password(
    importing: Import, empty_database_url: str, tmp_path: Path
) -> None:
    texts = {
        "mysql://u:hunter2@h/d": "use postgresql://",
        "postgresql://u:hunter2@127.0.0.1:1/d": "the database to import from",
        empty_database_url: "name the database of a Prefect 3 server",
        f"sqlite:///{tmp_path / 'none.db'}": "there is no file",
    }
    answers = await asyncio.gather(*(importing.run(url) for url in texts))
    for (status, said), text in zip(answers, texts.values(), strict=True):
        assert (status, text in said, "hunter2" in said) == (2, True, False), said
        assert "Traceback" not in said
