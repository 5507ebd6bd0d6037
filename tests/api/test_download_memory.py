"""A download takes little memory of an API process, however large the run is."""

import datetime as dt
import uuid
from pathlib import Path

import httpx
import pytest

from app.server_process import process_environment
from app.services import Services, ServicesConfig
from app.wire.base import new_id
from app.wire.logs import LogCreate
from tests.processes import ApiProcess
from tests.storage.test_log_tier import offload_everything, post

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
SEGMENTS = 8
LINES = 20_000
BODY_LINES = 1000
# What the process takes at most besides what it had when it began.
MEBIBYTES = 110


@pytest.fixture
async def large_run(services: Services) -> uuid.UUID:
    """A run whose lines lie in segments that overlap in time from end to end."""
    run = new_id()
    for segment in range(SEGMENTS):
        numbers = range(segment, SEGMENTS * LINES, SEGMENTS)
        for first in range(0, LINES, BODY_LINES):
            await post(services, *(_line(run, i) for i in numbers[first : first + BODY_LINES]))
        await offload_everything(services)
    return run


def _line(run: uuid.UUID, number: int) -> LogCreate:
    return LogCreate(
        name="prefect.task_runs",
        level=20,
        message=f"{number:09}: stored part {number * 7919 % 100_003} of the visits, " + "x" * 80,
        timestamp=(START + dt.timedelta(milliseconds=number)).isoformat(),
        flow_run_id=str(run),
        task_run_id=None,
    )


async def test_every_format_of_a_large_run_takes_little_memory(
    large_run: uuid.UUID, services_config: ServicesConfig
) -> None:
    api = await ApiProcess.start(services_config, environment=process_environment())
    try:
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
            before = _mebibytes(api, "VmRSS")
            taken = {}
            for form in ("text", "ndjson", "csv", "parquet"):
                _forget_peak(api)
                await _download(client, large_run, form)
                taken[form] = _mebibytes(api, "VmHWM") - before
    finally:
        await api.stop()
    assert all(each < MEBIBYTES for each in taken.values()), taken


async def _download(client: httpx.AsyncClient, run: uuid.UUID, form: str) -> None:
    query = {"flow_run_id": str(run), "format": form}
    headers = {"Accept-Encoding": "identity"}
    lines = 0
    async with client.stream(
        "GET", "/tailrace/logs/download", params=query, headers=headers
    ) as answer:
        assert answer.status_code == 200
        async for part in answer.aiter_raw():
            lines += part.count(b"\n")
    assert form == "parquet" or lines >= SEGMENTS * LINES


def _forget_peak(api: ApiProcess) -> None:
    """Make the peak what the size is now; see proc(5)."""
    Path(f"/proc/{api.pid}/clear_refs").write_text("5")


def _mebibytes(api: ApiProcess, name: str) -> int:
    for entry in Path(f"/proc/{api.pid}/status").read_text().splitlines():
        if entry.startswith(name + ":"):
            return int(entry.split()[1]) // 1024
    raise AssertionError(f"/proc has no {name}")
