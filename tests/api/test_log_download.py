"""All lines of a run as one file: whole, in order, or visibly not whole."""

import csv
import io
import json

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.wire.base import Json, new_id
from storage.logs import streams
from storage.logs.offload import offload_pass
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool
from tests.processes import ApiProcess


async def _new_run(client: httpx.AsyncClient) -> str:
    flow = (await client.post("/flows/", json={"name": f"flow-{new_id()}"})).json()
    created = await client.post("/flow_runs/", json={"flow_id": flow["id"]})
    run: str = created.json()["id"]
    return run


async def _post(client: httpx.AsyncClient, run: str, seconds: range) -> None:
    lines = [
        {
            "name": "prefect.flow_runs",
            "level": 20,
            "message": f'line "{second}",\nand more',
            "timestamp": f"2026-11-24T06:{second // 60:02d}:{second % 60:02d}Z",
            "flow_run_id": run,
        }
        for second in seconds
    ]
    assert (await client.post("/logs/", json=lines)).status_code == 201


async def _messages(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert header == ["timestamp", "level", "flow_run_id", "task_run_id", "message"]
    return [row[4] for row in rows]


@pytest.mark.parametrize("page", [7, 100, 10_000])
async def test_a_download_has_every_line_once_and_in_order(
    client: httpx.AsyncClient,
    pool: Pool,
    objects: S3ObjectStore,
    page: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "STREAM_ROWS", page)
    run = await _new_run(client)
    assert await _messages(await client.get(f"/flow_runs/{run}/logs/download")) == []
    await _post(client, run, range(0, 200, 2))
    await offload_pass(pool, objects, force=True)
    await _post(client, run, range(1, 200, 2))
    assert await _messages(await client.get(f"/flow_runs/{run}/logs/download")) == [
        f'line "{second}",\nand more' for second in range(200)
    ]


async def test_a_download_without_its_first_object_is_503(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore
) -> None:
    run = await _new_run(client)
    await _post(client, run, range(10))
    await offload_pass(pool, objects, force=True)
    await objects.delete_many(list(await objects.list_objects("")))
    response = await client.get(f"/flow_runs/{run}/logs/download")
    assert response.status_code == 503
    assert "s3" in response.text


async def _downloaded(client: httpx.AsyncClient, **query: object) -> httpx.Response:
    response = await client.get(
        "/tailrace/logs/download",
        params=query,  # pyrefly: ignore[bad-argument-type]
    )
    assert response.status_code == 200, response.text
    return response


async def test_a_run_downloads_in_every_form(client: httpx.AsyncClient) -> None:
    run = await _new_run(client)
    await _post(client, run, range(3))
    expected = [f'line "{second}",\nand more' for second in range(3)]

    text = (await _downloaded(client, flow_run_id=run)).text
    assert text == "".join(
        f"2026-11-24 06:00:0{second}.000 | INFO     | prefect.flow_runs - {message}\n"
        for second, message in enumerate(expected)
    )

    ndjson = await _downloaded(client, flow_run_id=run, format="ndjson")
    page = (await client.post("/logs/filter", json={})).json()
    assert [json.loads(line) for line in ndjson.text.splitlines()] == page

    assert await _messages(await _downloaded(client, flow_run_id=run, format="csv")) == expected

    parquet = await _downloaded(client, flow_run_id=run, format="parquet")
    rows = pq.read_table(pa.BufferReader(parquet.content)).to_pylist()
    assert [row["message"] for row in rows] == expected
    assert [str(row["id"]) for row in rows] == [line["id"] for line in page]
    assert {str(row["flow_run_id"]) for row in rows} == {run}


@pytest.mark.parametrize("form", ["text", "ndjson", "csv", "parquet"])
async def test_a_download_of_nothing_is_a_file_too(client: httpx.AsyncClient, form: str) -> None:
    empty = await _downloaded(client, flow_run_id=str(new_id()), format=form)
    if form == "parquet":
        assert pq.read_table(pa.BufferReader(empty.content)).num_rows == 0
    else:
        assert len(empty.text.splitlines()) == (1 if form == "csv" else 0)


async def test_a_search_downloads_run_by_run_wherever_its_lines_lie(
    client: httpx.AsyncClient, pool: Pool, objects: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_ROWS", 20)
    runs = sorted([await _new_run(client) for _ in range(6)])
    for seconds in (range(0, 30, 3), range(1, 30, 3)):
        for run in runs:
            await _post(client, run, seconds)
        await offload_pass(pool, objects, force=True)
    await _post(client, runs[3], range(2, 30, 3))
    outside = [
        {"name": "x", "level": 20, "message": f"line {n}", "timestamp": f"2026-11-24T06:00:0{n}Z"}
        for n in (2, 1)
    ]
    await client.post("/logs/", json=outside)
    found = await client.post(
        "/tailrace/logs/download",
        json={
            "format": "ndjson",
            "regex": r"line \"?(1|2|7)\b",
            "logs": {"timestamp": {"after_": "2026-11-24T06:00:02Z"}},
        },
    )
    lines = [json.loads(line) for line in found.text.splitlines()]
    assert [(line["flow_run_id"], line["message"][:7].replace('"', "")) for line in lines] == [
        (None, "line 2"),
        *((run, f"line {n}") for run in runs for n in (2, 7) if n != 2 or run == runs[3]),
    ]


async def test_a_file_is_named_after_its_run(client: httpx.AsyncClient) -> None:
    flow = (await client.post("/flows/", json={"name": f"flow-{new_id()}"})).json()
    run = await client.post("/flow_runs/", json={"flow_id": flow["id"], "name": "Ein »Lauf«"})
    answer = await _downloaded(client, flow_run_id=run.json()["id"], format="parquet")
    assert answer.headers["content-disposition"].endswith(
        "filename*=UTF-8''Ein%20%C2%BBLauf%C2%AB-logs.parquet"
    )


async def test_text_comes_compressed_to_who_takes_it(client: httpx.AsyncClient) -> None:
    run = await _new_run(client)
    await _post(client, run, range(50))
    url = f"/tailrace/logs/download?flow_run_id={run}"
    compressed = await client.get(url, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    plain = await client.get(url, headers={"Accept-Encoding": "identity"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert compressed.text == plain.text


async def test_what_breaks_off_does_not_look_like_a_whole_file(
    server: ApiProcess, pool: Pool, objects: S3ObjectStore
) -> None:
    """The second object is gone by the time that its lines are wanted."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        first, second = sorted([await _new_run(client) for _ in range(2)])
        for run in (first, second):
            lines = [_line(run, number) for number in range(9000)]
            assert (await client.post("/logs/", json=lines)).status_code == 201
            await offload_pass(pool, objects, force=True)
        keys = await pool.fetch("SELECT key FROM log_segment ORDER BY id")
        await objects.delete_many([keys[1]["key"]])
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/tailrace/logs/download", params={"format": "ndjson"})


def _line(run: str, number: int) -> Json:
    return {
        "name": "x",
        "level": 20,
        "message": f"line {number}",
        "timestamp": f"2026-11-24T06:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "flow_run_id": run,
    }


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"format": "pdf"}, "format"),
        ({"regex": "("}, "regex"),
        ({"after": "yesterday"}, "after"),
        ({"flow_run_id": "x"}, "flow_run_id"),
    ],
)
async def test_a_wrong_download_names_the_parameter(
    shared_client: httpx.AsyncClient, query: dict[str, str], name: str
) -> None:
    answer = await shared_client.get("/tailrace/logs/download", params=query)
    assert answer.status_code == 422, answer.text
    assert name in str(answer.json()["exception_detail"])
