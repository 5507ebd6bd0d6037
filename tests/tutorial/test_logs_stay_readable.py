"""A run's logs read the same before, during and after they move to S3."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from app.services import ServicesConfig
from storage.objects.s3 import S3ObjectStore
from tests.chaos.eager_jobs import eager_jobs
from tests.tutorial.conftest import FlowProcess, LogLine, Prefect, users_machine

TASKS, LINES = 5, 400
DOWNLOAD_HEADER = ["timestamp", "level", "flow_run_id", "task_run_id", "message"]


async def _download(prefect: Prefect, flow_run_id: str) -> list[list[str]]:
    response = await prefect.api.get(f"/flow_runs/{flow_run_id}/logs/download")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(response.text, newline="")))


async def _shown(prefect: Prefect, flow_run_id: str) -> str:
    """Every way to read a run's logs that the client has."""
    return await prefect.command("flow-run", "logs", flow_run_id)


def _assert_subsequence(earlier: list[LogLine], later: list[LogLine]) -> None:
    """What was shown once is still shown, in the same order."""
    place = iter(later)
    assert all(line in place for line in earlier)


async def _watch(prefect: Prefect, process: FlowProcess) -> list[list[LogLine]]:
    """What a reader sees while the flow runs and its lines move."""
    seen: list[list[LogLine]] = []
    while process.process.returncode is None:
        runs = await prefect.flow_runs("chatty")
        seen.extend([await prefect.logs(run["id"]) for run in runs])
        await asyncio.sleep(0.1)
    return seen


async def _is_drained(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return not await conn.fetchval("SELECT EXISTS (SELECT FROM log_batch)")


async def test_logs_read_the_same_wherever_they_lie(
    prefect_python: Path,
    tmp_path: Path,
    services_config: ServicesConfig,
    objects: S3ObjectStore,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    async with users_machine(prefect_python, tmp_path, services_config) as prefect:
        process = await prefect.start("chatty", str(TASKS), str(LINES))
        async with eager_jobs(services_config):
            watching = asyncio.create_task(_watch(prefect, process))
            finished = await process.finish()
            assert finished.returncode == 0, finished.output
            seen = await watching
        run = await prefect.flow_run("chatty")
        logged = process.logged()
        assert len(logged) > TASKS * LINES

        # Some lines came after the offload was gone, some before: both tiers have a part.
        between = await prefect.logs(run["id"])
        assert sorted(between) == logged
        for earlier in seen:
            _assert_subsequence(earlier, between)
        assert any(seen)
        shown = await _shown(prefect, run["id"])
        downloaded = await _download(prefect, run["id"])

        async with eager_jobs(services_config):
            conn = await asyncpg.connect(services_config.database_url)
            try:
                await eventually(lambda: _is_drained(conn))
            finally:
                await conn.close()
        keys = list(await objects.list_objects(""))
        assert keys
        assert all(key.endswith(".parquet") for key in keys)
        assert await prefect.logs(run["id"]) == between
        assert await _shown(prefect, run["id"]) == shown
        assert await _download(prefect, run["id"]) == downloaded

        assert downloaded[0] == DOWNLOAD_HEADER
        assert [(row[4], int(row[1]), row[3] or None) for row in downloaded[1:]] == [
            (line.message, line.level, line.task_run_id) for line in between
        ]
        first_lines = [line.message.splitlines()[0] for line in between]
        assert sum(line.startswith("task 0 says line") for line in first_lines) == LINES
        assert all(line in shown for line in first_lines)


async def test_a_secured_server_takes_the_clients_secret_and_refuses_another(
    prefect_python: Path, tmp_path: Path, services_config: ServicesConfig
) -> None:
    async with users_machine(
        prefect_python, tmp_path, services_config, auth_string="admin:open sesame"
    ) as prefect:
        process = await prefect.run("retries")
        run = await prefect.flow_run("retries")
        # Task runs come over the websocket, which asks for the secret too.
        assert len(await prefect.settled_task_runs(run["id"], 2)) == 2
        assert sorted(await prefect.logs(run["id"])) == process.logged()

        stranger = Prefect(
            python=prefect.python,
            home=prefect.home,
            config=prefect.config,
            api_url=prefect.api_url,
            api=prefect.api,
            auth_string="admin:wrong",
        )
        shown = await stranger.command("flow-run", "ls", returncode=1)
        assert "401" in shown
