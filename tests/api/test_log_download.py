"""All lines of a run as one file: whole, in order, or visibly not whole."""

import csv
import io

import httpx
import pytest

from app.wire.base import new_id
from storage.logs import streams
from storage.logs.offload import offload_pass
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Pool


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
