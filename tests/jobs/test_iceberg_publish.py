"""The archive: the Iceberg tables have what the final segments and the runs are, whatever happens."""

import asyncio
import contextlib
import datetime as dt
import re
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_avro
import duckdb_extension_httpfs
import duckdb_extension_iceberg
import httpx
import msgspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, RESTError
from pyiceberg.table import Table

from app.services import Services, ServicesConfig, open_services
from app.wire.logs import LogCreate
from jobs.iceberg_publish import publish_archive
from storage.archive import publish as publishing
from storage.archive import tables
from storage.archive.place import Archive
from storage.archive.publish import publish_pass
from storage.archive.tables import open_catalog
from storage.embedded import seaweedfs
from storage.embedded.data_directory import open_data_directory
from storage.embedded.seaweedfs import open_seaweedfs
from storage.errors import Unavailable
from storage.logs import offload
from storage.logs.compaction import NOTHING_TO_DO, clean_pass, compact_pass
from storage.logs.lines import LINES
from storage.logs.segment import encode_segment
from storage.objects.s3 import S3ObjectStore
from tests.conftest import installation
from tests.processes import ROOT

NOON = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def archive(services_config: ServicesConfig) -> Archive:
    """The archive of this test's installation."""
    return Archive(database_url=services_config.database_url, s3=services_config.s3)


@pytest.fixture
async def services(
    services_config: ServicesConfig, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    """The services of a process that publishes."""
    # For the processes that it starts.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with open_services(replace(services_config, archive=archive)) as opened:
        yield opened


async def _post(
    services: Services,
    *,
    lines: int = 10,
    first: dt.datetime = NOON,
    run: uuid.UUID | None = None,
    level: int = 20,
) -> uuid.UUID:
    """Log lines of a run, a second apart, and make them a segment."""
    run = run or uuid.uuid4()
    posted = [
        LogCreate(
            name="n",
            level=level,
            message=f"{run} {number}",
            timestamp=(first + dt.timedelta(seconds=number)).isoformat(),
            flow_run_id=str(run),
        )
        for number in range(lines)
    ]
    await services.ingest.append(msgspec.json.encode(posted), posted)
    await offload.offload_pass(services.pool, services.objects, force=True)
    return run


async def _compact(services: Services) -> None:
    now = dt.datetime.now(dt.UTC)
    while (await compact_pass(services.pool, services.objects, now, force=True)) != NOTHING_TO_DO:
        pass


async def _publish(
    services: Services, archive: Archive, *, hours_later: float = 0
) -> dict[str, int]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours_later)
    return publishing.report_values(await publish_pass(services.pool, archive, now))


def _load(archive: Archive, name: str) -> Table:
    with open_catalog(archive) as catalog:
        return catalog.load_table((archive.namespace, name))


async def _table(archive: Archive, name: str = "logs") -> Table:
    return await asyncio.to_thread(_load, archive, name)


async def _messages(archive: Archive) -> list[str]:
    """What pyiceberg reads."""
    table = await _table(archive)
    rows = await asyncio.to_thread(lambda: table.scan().to_arrow())
    return sorted(str(message) for message in rows.column("message").to_pylist())


def _expected(*runs: uuid.UUID, lines: int = 10) -> list[str]:
    return sorted(f"{run} {number}" for run in runs for number in range(lines))


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DuckDB's readers of Iceberg, installed from their wheels."""
    directory = tmp_path_factory.mktemp("duckdb-extensions")
    con = duckdb.connect(config={"extension_directory": str(directory)})
    for name, module in (
        ("avro", duckdb_extension_avro),
        ("httpfs", duckdb_extension_httpfs),
        ("iceberg", duckdb_extension_iceberg),
    ):
        wheel = Path(str(module.__file__)).parent
        con.execute(f"INSTALL '{wheel}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
    con.close()
    return directory


@pytest.fixture
def duck(extensions: Path, archive: Archive) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB as docs/archive.md sets it up."""
    s3 = archive.s3
    assert s3.endpoint_url is not None
    con = duckdb.connect(config={"extension_directory": str(extensions)})
    con.execute("LOAD httpfs")
    con.execute("LOAD iceberg")
    con.execute(
        "CREATE SECRET (TYPE s3, KEY_ID $key, SECRET $secret, ENDPOINT $endpoint, REGION $region,"
        " URL_STYLE 'path', USE_SSL false)".replace("$key", f"'{s3.access_key_id}'")
        .replace("$secret", f"'{s3.secret_access_key}'")
        .replace("$endpoint", f"'{s3.endpoint_url.removeprefix('http://')}'")
        .replace("$region", f"'{s3.region}'")
    )
    con.execute("SET unsafe_enable_version_guessing = false")
    yield con
    con.close()


def _ask(duck: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return duck.execute(query).fetchall()


async def test_pyiceberg_and_duckdb_read_what_the_final_segments_hold(
    services: Services, archive: Archive, duck: duckdb.DuckDBPyConnection
) -> None:
    today, yesterday = (
        await _post(services),
        await _post(services, first=NOON - dt.timedelta(days=1)),
    )
    await _compact(services)
    young = await _post(services)

    report = await _publish(services, archive)

    assert (report["added"], report["rows"]) == (2, 20)
    assert await _messages(archive) == _expected(today, yesterday)
    source = f"iceberg_scan('{archive.location('logs')}')"
    rows = await asyncio.to_thread(_ask, duck, f"SELECT message FROM {source} ORDER BY message")
    assert [message for (message,) in rows] == _expected(today, yesterday)
    for filter_, count in (
        (f"flow_run_id = '{today}'", 10),
        (f"flow_run_id = '{young}'", 0),
        ("timestamp < '2026-11-24'", 10),
        ("timestamp >= '2026-11-24 12:00:05Z' AND level >= 20", 5),
        ("task_run_id IS NULL", 20),
        ("seq IS NULL", 0),
    ):
        asked = f"SELECT count(*) FROM {source} WHERE {filter_}"
        assert (await asyncio.to_thread(_ask, duck, asked)) == [(count,)], filter_
    assert await _publish(services, archive) == {}


async def test_lines_of_more_days_than_one_merge_takes_apart_are_all_there_in_the_end(
    services: Services, archive: Archive
) -> None:
    run = uuid.uuid4()
    posted = [
        LogCreate(
            name="n",
            level=20,
            message=f"{run} {number}",
            timestamp=(NOON - dt.timedelta(days=number)).isoformat(),
            flow_run_id=str(run),
        )
        for number in range(20)
    ]
    await services.ingest.append(msgspec.json.encode(posted), posted)
    await offload.offload_pass(services.pool, services.objects, force=True)
    await _compact(services)

    assert (await _publish(services, archive))["added"] == 20
    assert await _messages(archive) == _expected(run, lines=20)
    table = await _table(archive)
    asked = table.scan(row_filter="timestamp < '2026-11-10T00:00:00+00:00'")
    assert await asyncio.to_thread(asked.count) == 5


def test_columns_have_the_field_ids_of_the_table() -> None:
    line = pa.table({field.name: pa.array([None], field.type) for field in LINES})
    line = line.set_column(0, "seq", pa.array([1], pa.int64()))
    line = line.set_column(3, "timestamp", pa.array([NOON], LINES.field("timestamp").type))
    line = line.set_column(4, "level", pa.array([20], pa.int32()))
    body = encode_segment(line.cast(LINES)).body
    schema = pq.ParquetFile(pa.BufferReader(body)).schema_arrow
    ids = {field.name: int((field.metadata or {})[b"PARQUET:field_id"]) for field in schema}
    assert ids == {field.name: field.field_id for field in tables.LOGS.fields}


async def test_a_deleted_run_is_replaced_in_one_snapshot_and_its_object_goes_at_last(
    services: Services, archive: Archive, objects: S3ObjectStore
) -> None:
    kept, deleted = await _post(services), await _post(services)
    await _compact(services)
    await _publish(services, archive)
    (before,) = [file.file_path for file in await _files(archive)]
    await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", deleted)
    assert (await clean_pass(services.pool, services.objects)).dropped_rows == 10

    report = await _publish(services, archive)

    assert (report["added"], report["removed"]) == (1, 1)
    assert await _messages(archive) == _expected(kept)
    # Who reads the snapshot of before has an hour to finish.
    assert await offload.sweep(services.pool, services.objects, grace_seconds=0) > 0
    key = before.removeprefix(archive.path(""))
    assert key in await objects.list_objects("logs/")
    assert await _publish(services, archive) == {}
    report = await _publish(services, archive, hours_later=1.1)
    assert (report["snapshots_ended"], report["released"]) == (1, 1)
    await offload.sweep(services.pool, services.objects, grace_seconds=0)
    assert key not in await objects.list_objects("logs/")
    assert await _messages(archive) == _expected(kept)


async def _files(archive: Archive, name: str = "logs") -> list[Any]:
    table = await _table(archive, name)
    return await asyncio.to_thread(lambda: [task.file for task in table.scan().plan_files()])


async def test_a_segment_whose_lines_are_all_deleted_leaves_the_table(
    services: Services, archive: Archive
) -> None:
    run = await _post(services)
    await _compact(services)
    await _publish(services, archive)
    await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", run)
    await clean_pass(services.pool, services.objects)

    assert (await _publish(services, archive))["removed"] == 1
    assert await _messages(archive) == []


async def test_a_pass_that_died_before_its_commit_is_made_good_by_the_next(
    services: Services, archive: Archive, monkeypatch: pytest.MonkeyPatch, objects: S3ObjectStore
) -> None:
    run = await _post(services)
    await _compact(services)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyiceberg.catalog.sql.SqlCatalog.commit_table", die)
    with pytest.raises(KeyboardInterrupt):
        await _publish(services, archive)
    monkeypatch.undo()

    # It claimed the segment and left files that nothing names.
    await _publish(services, archive)
    assert await _messages(archive) == _expected(run)
    left = set(await objects.list_objects("iceberg/"))
    report = await _publish(services, archive, hours_later=2)
    assert report["deleted_files"] > 0
    assert len(await objects.list_objects("iceberg/")) < len(left)
    assert await _messages(archive) == _expected(run)


async def test_of_two_passes_at_once_one_commits_and_no_line_is_there_twice(
    services: Services, archive: Archive
) -> None:
    await _post(services)
    await _compact(services)
    await _publish(services, archive)
    await _post(services)
    await _compact(services)

    outcomes = await asyncio.gather(
        *(_publish(services, archive) for _ in range(3)), return_exceptions=True
    )
    assert all(
        isinstance(each, CommitFailedException) or not isinstance(each, BaseException)
        for each in outcomes
    ), outcomes
    assert len(set(await _messages(archive))) == len(await _messages(archive)) == 20


async def test_metadata_does_not_grow_with_commits(
    services: Services, archive: Archive, objects: S3ObjectStore
) -> None:
    runs = []
    for number in range(6):
        runs.append(await _post(services))
        await _compact(services)
        await _publish(services, archive, hours_later=2 * number)
    await _publish(services, archive, hours_later=20)

    assert await _messages(archive) == _expected(*runs)
    table = await _table(archive)
    assert len(table.metadata.snapshots) == 1
    files = [key for key in await objects.list_objects("iceberg/") if "/logs/" in key]
    assert len([key for key in files if "/snap-" in key]) == 1
    named = await asyncio.to_thread(table.inspect.manifests)
    manifests = [key for key in files if key.endswith(".avro") and "/snap-" not in key]
    assert len(manifests) == named.num_rows


async def test_while_the_archive_is_away_deletion_waits_for_a_day_and_the_pass_fails(
    services: Services, archive: Archive, objects: S3ObjectStore
) -> None:
    run = await _post(services)
    await _compact(services)
    await _publish(services, archive)
    await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", run)
    await clean_pass(services.pool, services.objects)
    away = replace(archive, s3=replace(archive.s3, endpoint_url="http://127.0.0.1:9"))
    services.archive = away
    with pytest.raises(Unavailable, match="Error"):
        await publish_archive(services)
    await offload.sweep(services.pool, services.objects, grace_seconds=0)
    before = await objects.list_objects("logs/")
    assert len(before) == 1

    await services.pool.execute("UPDATE log_segment SET marked = now() - interval '25 hours'")
    await offload.sweep(services.pool, services.objects)
    assert await objects.list_objects("logs/") == {}
    # The table is put right as soon as it can be reached.
    services.archive = archive
    assert (await publish_archive(services))["removed"] == 1
    assert await _messages(archive) == []


async def test_the_job_runs_in_a_process_of_its_own_and_has_nothing_to_do_before_a_final_segment(
    services: Services, archive: Archive
) -> None:
    run = await _post(services)
    assert await publish_archive(services) == {}
    await _compact(services)
    assert (await publish_archive(services))["rows"] == 10
    assert await publish_archive(services) == {}
    assert await _messages(archive) == _expected(run)


async def test_a_password_is_in_no_failure(services: Services, archive: Archive) -> None:
    await _post(services)
    await _compact(services)
    services.archive = replace(
        archive, database_url="postgresql://somebody:hidden-word@127.0.0.1:9/nowhere"
    )
    with pytest.raises(Unavailable) as failure:
        await publish_archive(services)
    assert "hidden-word" not in str(failure.value)


async def _runs(archive: Archive) -> dict[uuid.UUID, dict[str, Any]]:
    table = await _table(archive, "runs")
    rows = await asyncio.to_thread(lambda: table.scan().to_arrow().to_pylist())
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


async def test_runs_have_the_names_of_their_flow_and_deployment_and_follow_what_changes(
    services: Services,
    archive: Archive,
    client: httpx.AsyncClient,
    duck: duckdb.DuckDBPyConnection,
) -> None:
    await _post(services)
    await _compact(services)
    flow = (await client.post("/flows/", json={"name": "orders"})).json()["id"]
    deployment = (
        await client.post("/deployments/", json={"name": "nightly", "flow_id": flow})
    ).json()["id"]
    body = {"flow_id": flow, "deployment_id": deployment, "name": "one", "tags": ["a", "b"]}
    one = uuid.UUID((await client.post("/flow_runs/", json=body)).json()["id"])
    two = uuid.UUID((await client.post("/flow_runs/", json={"flow_id": flow})).json()["id"])
    await services.pool.execute(
        "UPDATE flow_run SET created = created - interval '3 days' WHERE id = $1", two
    )

    assert (await _publish(services, archive))["run_days"] == 2
    runs = await _runs(archive)
    assert set(runs) == {one, two}
    assert {name: runs[one][name] for name in ("name", "flow_name", "deployment_name", "tags")} == {
        "name": "one",
        "flow_name": "orders",
        "deployment_name": "nightly",
        "tags": ["a", "b"],
    }
    assert runs[one]["state_type"] == "PENDING"
    assert await _publish(services, archive) == {}

    state = {"state": {"type": "COMPLETED"}, "force": True}
    await client.post(f"/flow_runs/{one}/set_state", json=state)
    await client.delete(f"/deployments/{deployment}")
    assert (await _publish(services, archive))["run_days"] == 1
    changed = (await _runs(archive))[one]
    assert (changed["state_type"], changed["deployment_name"]) == ("COMPLETED", None)

    joined = (
        f"SELECT state_name, flow_name, created::varchar FROM iceberg_scan('{archive.location('runs')}')"
        f" WHERE id = '{one}' AND list_contains(tags, 'a')"
    )
    assert (await asyncio.to_thread(_ask, duck, joined))[0][:2] == ("Completed", "orders")
    await client.delete(f"/flow_runs/{two}")
    await _publish(services, archive)
    assert set(await _runs(archive)) == {one}


async def test_a_day_of_more_runs_than_fit_in_memory_at_once_is_one_file(
    services: Services, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.archive.runs.ROWS_AT_ONCE", 7)
    await services.pool.execute(
        "INSERT INTO flow (id, created, updated, name, tags, labels)"
        " VALUES (gen_random_uuid(), now(), now(), 'f', '{}', '{}')"
    )
    await services.pool.execute(
        "INSERT INTO flow_run (id, created, updated, name, flow_id, parameters, context,"
        "  empirical_policy, tags, labels)"
        " SELECT gen_random_uuid(), '2026-11-20 23:59:00Z'::timestamptz + interval '2 s' * n, now(),"
        "  'r' || n, flow.id, '{}', '{}', '{}', '{}', '{}' FROM flow, generate_series(0, 99) AS n"
    )
    assert (await _publish(services, archive))["run_days"] == 2
    runs = await _runs(archive)
    assert {run["name"] for run in runs.values()} == {f"r{number}" for number in range(100)}
    assert sorted(file.record_count for file in await _files(archive, "runs")) == [30, 70]


async def test_a_cancelled_pass_leaves_no_process(
    services: Services, eventually: Callable[..., Awaitable[None]]
) -> None:
    await _post(services)
    await _compact(services)
    running = asyncio.create_task(publish_archive(services))

    async def started() -> bool:
        return bool(_children())

    await eventually(started)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not _children()


def _children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "storage.archive.process" in child.cmdline()
    ]


@pytest.fixture
async def with_rest_catalog(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Awaitable[None]],
) -> AsyncIterator[Archive]:
    """A bucket beside a REST catalog: SeaweedFS has one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    monkeypatch.setitem(seaweedfs.OPTIONS, "s3.port.iceberg", str(port))
    monkeypatch.setitem(seaweedfs.OPTIONS, "tableBucket", "warehouse")
    with open_data_directory(tmp_path_factory.mktemp("rest")) as directory:
        async with open_seaweedfs(directory) as server:
            archive = Archive(
                database_url=database_url,
                s3=server.s3,
                rest_uri=f"http://127.0.0.1:{port}",
                rest_credential=f"{server.s3.access_key_id}:{server.s3.secret_access_key}",
                rest_warehouse="s3://warehouse",
            )

            async def ready() -> bool:
                # The server makes its warehouse when it has begun to answer.
                with contextlib.suppress(RESTError, NoSuchNamespaceError, requests.ConnectionError):
                    return await asyncio.to_thread(_answers, archive)
                return False

            await eventually(ready)
            yield archive


def _answers(archive: Archive) -> bool:
    with open_catalog(archive) as catalog:
        return catalog.list_namespaces() == []


async def test_a_rest_catalog_has_the_same_tables(with_rest_catalog: Archive) -> None:
    archive = with_rest_catalog
    config = installation(archive.database_url, archive.s3)
    async with open_services(config) as services:
        kept, deleted = await _post(services), await _post(services)
        await _compact(services)
        assert (await _publish(services, archive))["added"] == 1
        assert await _messages(archive) == _expected(kept, deleted)
        await services.pool.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", deleted)
        await clean_pass(services.pool, services.objects)
        assert (await _publish(services, archive))["removed"] == 1
        assert await _messages(archive) == _expected(kept)
        report = await _publish(services, archive, hours_later=2)
        assert (report["snapshots_ended"], report["released"]) == (1, 1)
        assert await _messages(archive) == _expected(kept)
        assert await services.pool.fetchval("SELECT count(*) FROM iceberg_tables") == 0


def _blocks(language: str) -> list[str]:
    """The examples in this language, in order."""
    document = (ROOT / "docs" / "archive.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", document, flags=re.DOTALL)


def _filled_in(text: str, archive: Archive) -> str:
    """An example with this installation's addresses and keys."""
    s3 = archive.s3
    assert s3.endpoint_url is not None
    for placeholder, value in (
        (
            "postgresql+psycopg2://USER:PASSWORD@HOST:PORT/DATABASE",
            archive.database_url.replace("postgresql://", "postgresql+psycopg2://", 1),
        ),
        ("HOST:PORT", s3.endpoint_url.removeprefix("http://")),
        ("'KEY'", f"'{s3.access_key_id}'"),
        ("'SECRET'", f"'{s3.secret_access_key}'"),
        ('"KEY"', f'"{s3.access_key_id}"'),
        ('"SECRET"', f'"{s3.secret_access_key}"'),
        ("BUCKET", s3.bucket),
    ):
        text = text.replace(placeholder, value)
    return text


async def test_the_examples_of_the_document_work(
    services: Services, archive: Archive, client: httpx.AsyncClient, extensions: Path
) -> None:
    flow = (await client.post("/flows/", json={"name": "orders"})).json()["id"]
    run = (await client.post("/flow_runs/", json={"flow_id": flow})).json()["id"]
    await _post(services, run=uuid.UUID(run), level=40)
    await _compact(services)
    await _publish(services, archive)

    (sql,) = (block for block in _blocks("sql") if "iceberg_scan" in block)
    # From the wheels, as the fixture has done it.
    sql = _filled_in(sql.replace("INSTALL httpfs; INSTALL iceberg;", ""), archive)
    with duckdb.connect(config={"extension_directory": str(extensions)}) as con:
        rows = await asyncio.to_thread(_ask, con, sql)
    assert rows == [(NOON.date(), "orders", 10)]

    python = _filled_in(_blocks("python")[0], archive)
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, python, names)
    assert names["errors"].num_rows == 10
    names["catalog"].close()
