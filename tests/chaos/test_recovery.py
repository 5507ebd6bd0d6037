"""Parts die while flows of the real client run, in real time: every run ends in the right state, none
is executed twice at once, and logs and states tell what happened.

The limits are short: a run that has sent a heartbeat is dead after 8 s without a word; the jobs that
find it have a pass every second. The flow (`lasting`) says something three times a second, and writes
down in a file each time it is begun and ended.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.rules.recovery import Recovery
from storage.embedded.data_directory import open_data_directory
from storage.embedded.postgres import open_postgres
from storage.postgres.migrate import migrate
from storage.postgres.pool import Pool, open_pool
from tests.chaos.eager_jobs import eager_jobs, kill, start_eager_jobs
from tests.chaos.front_door import FrontDoor
from tests.conftest import EmbeddedServers, installation, own_bucket, own_database
from tests.processes import ApiProcess
from tests.tutorial.conftest import FLOWS, FlowProcess, Prefect, users_machine

Eventually = Callable[..., Awaitable[None]]
# `make test-crash` asks for 200, and so has ten workers killed.
ROUNDS = int(os.environ.get("TAILRACE_TEST_CRASH_ROUNDS", "20")) // 20
QUICK = Recovery(heartbeat_seconds=4.0, heartbeats_missed=2, lazarus_crashed="always")
POOL = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """What the flow writes down, and the file that lets it end."""

    path: Path
    until: Path

    @property
    def arguments(self) -> tuple[str, str]:
        """As the flow takes them."""
        return str(self.path), str(self.until)

    def words(self, word: str) -> list[tuple[int, str]]:
        """Process and run of each line that begins with this."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        found = [line.split() for line in lines]
        return [(int(pid), run_id) for said, pid, run_id in found if said == word]

    async def begun(self, times: int = 1, *, within: float = 60.0) -> tuple[int, str]:
        """Process and run of the attempt of that number, once it has begun."""
        deadline = time.monotonic() + within
        while len(found := self.words("begins")) < times:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)
        return found[times - 1]


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    """A new one."""
    return Diary(path=tmp_path / "diary", until=tmp_path / "until")


@pytest.fixture(scope="module")
async def machine(
    embedded_servers: EmbeddedServers,
    prefect_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Prefect]:
    """A server with short limits and a user's machine."""
    home = tmp_path_factory.mktemp("recovery")
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        users_machine(
            prefect_python, home, replace(installation(database_url, s3), recovery=QUICK)
        ) as machine,
    ):
        yield machine


async def deployed(machine: Prefect, directory: Path, diary: Diary) -> str:
    """The id of a deployment of `lasting` in the pool, from a directory of its own."""
    for file in ("lasting.py", "witness.py"):
        shutil.copy(FLOWS / file, directory)
    flow = await _made(machine.api, "/flows/", name="lasting")
    deployment = await _made(
        machine.api,
        "/deployments/",
        name="by-worker",
        flow_id=flow["id"],
        work_pool_name=POOL,
        entrypoint="lasting.py:lasting",
        pull_steps=[
            {
                "prefect.deployments.steps.set_working_directory": {"directory": str(directory)},
            }
        ],
        parameters={"diary": str(diary.path), "until": str(diary.until)},
    )
    id: str = deployment["id"]
    return id


async def _made(api: httpx.AsyncClient, path: str, **body: object) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    assert answer.is_success, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def is_promised(machine: Prefect, run_id: str) -> None:
    """Wait until the server has heard a heartbeat of the run: from now on it may be missed."""
    wanted = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run_id}"]},
        }
    }
    deadline = time.monotonic() + 30
    while True:
        answer = await machine.api.post("/events/filter", json=wanted)
        assert answer.status_code == 200, answer.text
        if answer.json()["total"] > 0:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def loggers_of(machine: Prefect, run_id: str) -> list[str]:
    """Who of Tailrace has told something in the run's logs, in order."""
    lines = await machine.logs(run_id)
    return [line.name for line in lines if line.name.startswith("tailrace.")]


def kill_process(pid: int) -> None:
    """SIGKILL, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def lasting(machine: Prefect, diary: Diary) -> AsyncIterator[FlowProcess]:
    """The flow as a process of its own, without deployment and worker; killed after the block."""
    process = await machine.start("lasting", *diary.arguments)
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()
            await process.process.communicate()


@pytest.mark.timeout(180)
async def test_a_run_whose_worker_is_killed_with_it_is_executed_again_and_a_reported_one_is_not(
    machine: Prefect, diary: Diary, tmp_path: Path
) -> None:
    async with eager_jobs(machine.config, "recovery"):
        async with machine.worker(POOL, "--name", "doomed") as doomed:
            await doomed.says("started!")
            deployment = await deployed(machine, tmp_path, diary)
            path = f"/deployments/{deployment}/create_flow_run"
            run_id = (await _made(machine.api, path))["id"]
            pid, begun = await diary.begun()
            assert begun == run_id
            await is_promised(machine, run_id)
            os.killpg(doomed.process.pid, signal.SIGKILL)
            kill_process(pid)
        await machine.reaches(run_id, "AwaitingRetry", within=60)

        async with machine.worker(POOL, "--name", "heir") as heir:
            await heir.says("started!")
            other_pid, again = await diary.begun(2)
            assert again == run_id
            assert other_pid != pid
            diary.until.touch()
            run = await machine.reaches(run_id, "Completed", within=60)
            assert run["run_count"] == 2
            assert diary.words("ends") == [(other_pid, run_id)]
            names = await machine.states("flow", run_id)
            found_dead = names.index("Crashed")
            assert names[found_dead - 1 : found_dead + 2] == ["Running", "Crashed", "AwaitingRetry"]
            assert names.count("Crashed") == 1
            assert await loggers_of(machine, run_id) == [
                "tailrace.zombie_killer",
                "tailrace.lazarus",
            ]

            # A process that is killed alone: its worker tells, and nobody knows better.
            diary.until.unlink()
            run_id = (await _made(machine.api, path))["id"]
            pid, begun = await diary.begun(3)
            assert begun == run_id
            kill_process(pid)
            run = await machine.reaches(run_id, "Crashed", within=60)
            assert "Tailrace" not in run["state"]["message"]
            async with _pool(machine.config.database_url) as pool:
                assert await deaths_of(pool, run_id) == []
    assert len(diary.words("begins")) == 3


@pytest.mark.timeout(180)
async def test_a_flow_that_dies_together_with_the_jobs_is_found_dead_by_the_next_jobs_and_stays_so(
    machine: Prefect, diary: Diary, eventually: Eventually
) -> None:
    first = await start_eager_jobs(machine.config, "recovery")
    try:
        async with _pool(machine.config.database_url) as pool, lasting(machine, diary):

            async def leads(process: asyncio.subprocess.Process) -> bool:
                rows = await pool.fetch(
                    "SELECT holder FROM job_lease WHERE name IN ('zombie-killer', 'lazarus')"
                )
                pids = [row["holder"].split(":")[1] for row in rows if row["holder"]]
                return pids == [str(process.pid)] * 2

            pid, run_id = await diary.begun()
            await is_promised(machine, run_id)
            await eventually(lambda: leads(first), within=30)
            async with eager_jobs(machine.config, "recovery") as second:
                await kill(first)
                kill_process(pid)
                await eventually(lambda: leads(second), within=30)
                run = await machine.reaches(run_id, "Crashed", within=60)

                async def is_left() -> bool:
                    return await deaths_of(pool, run_id) == [
                        "it has no deployment, so nobody could run it again"
                    ]

                await eventually(is_left, within=30)
        assert "zombie killer" in run["state"]["message"]
        assert "missed 2 of them" in run["state"]["message"]
        assert await machine.states("flow", run_id) == ["Pending", "Running", "Crashed"]
        assert await loggers_of(machine, run_id) == ["tailrace.zombie_killer"]
    finally:
        await kill(first)
    assert len(diary.words("begins")) == 1


@pytest.mark.timeout(240)
async def test_when_a_replica_and_then_postgresql_are_killed_only_what_is_dead_is_found_dead(
    embedded_servers: EmbeddedServers,
    prefect_python: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    diary: Diary,
    eventually: Eventually,
) -> None:
    killed = Diary(path=tmp_path / "killed", until=diary.until)
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(open_data_directory(tmp_path_factory.mktemp("crash")))
        postgres = await stack.enter_async_context(open_postgres(directory))
        await migrate(postgres.dsn)
        s3 = await stack.enter_async_context(own_bucket(embedded_servers.seaweedfs.s3))
        config = replace(installation(postgres.dsn, s3), recovery=QUICK)
        machine = await stack.enter_async_context(users_machine(prefect_python, tmp_path, config))
        victim = await ApiProcess.start(config)
        stack.push_async_callback(victim.kill)
        ports = [victim.port, machine.api.base_url.port or 0]
        port = await stack.enter_async_context(FrontDoor.open(ports))
        behind = replace(machine, api_url=f"http://127.0.0.1:{port}/api")
        await stack.enter_async_context(eager_jobs(config, "recovery"))
        alive = await stack.enter_async_context(lasting(behind, diary))
        await stack.enter_async_context(lasting(behind, killed))
        _, run_id = await diary.begun()
        pid, killed_id = await killed.begun()
        for each in (run_id, killed_id):
            await is_promised(machine, each)

        await victim.kill()
        said = {each: len(await machine.logs(each)) for each in (run_id, killed_id)}
        for each, lines in said.items():
            # It goes on for longer than it may be silent.
            await machine.says(each, "lasts", times=lines + 28)
            assert (await machine.read_run(each))["state_name"] == "Running"

        dsn = postgres.dsn
        os.kill(postgres.process.pid, signal.SIGKILL)
        await postgres.process.wait()
        kill_process(pid)
        await asyncio.sleep(2)
        await postgres.start()
        assert postgres.dsn == dsn, "somebody took its port meanwhile"
        async with _pool(dsn) as pool:
            # What was heard before the crash is gone.
            assert await pool.fetchval("SELECT count(*) FROM flow_run_sign") <= 1

            async def is_found() -> bool:
                return await state_of(pool, killed_id) == "Crashed"

            await eventually(is_found, within=60)
            assert await state_of(pool, run_id) == "Running"

        async def is_told() -> bool:
            # The run's line follows its state.
            return await loggers_of(machine, killed_id) == ["tailrace.zombie_killer"]

        await eventually(is_told, within=30)

        diary.until.touch()
        finished = await alive.finish()
        assert finished.returncode == 0, finished.output
        run = await machine.reaches(run_id, "Completed", within=10)
        assert run["run_count"] == 1
        assert await machine.states("flow", run_id) == ["Pending", "Running", "Completed"]
        assert await loggers_of(machine, run_id) == []
        assert set(alive.logged()) <= set(await machine.logs(run_id))
    assert [len(each.words("begins")) for each in (diary, killed)] == [1, 1]


@pytest.mark.crash
@pytest.mark.skipif(ROUNDS < 2, reason="only `make test-crash` has the time")
@pytest.mark.timeout(240)
async def test_a_process_that_comes_back_after_its_run_was_put_back_is_told_to_stop(
    machine: Prefect, diary: Diary, tmp_path: Path, eventually: Eventually
) -> None:
    async with (
        eager_jobs(machine.config, "recovery"),
        machine.worker(POOL, "--name", "stalled") as worker,
    ):
        await worker.says("started!")
        deployment = await deployed(machine, tmp_path, diary)
        run_id = (await _made(machine.api, f"/deployments/{deployment}/create_flow_run"))["id"]
        pid, _ = await diary.begun()
        await is_promised(machine, run_id)
        paused = await machine.api.patch(f"/work_pools/{POOL}", json={"is_paused": True})
        assert paused.status_code == 204, paused.text
        os.kill(pid, signal.SIGSTOP)
        await machine.reaches(run_id, "AwaitingRetry", within=60)

        diary.until.touch()
        os.kill(pid, signal.SIGCONT)

        async def is_gone() -> bool:
            return not psutil.pid_exists(pid)

        await eventually(is_gone, within=60)
        assert diary.words("ends") == [(pid, run_id)]
        assert (await machine.read_run(run_id))["state_name"] in {"AwaitingRetry", "Late"}

        paused = await machine.api.patch(f"/work_pools/{POOL}", json={"is_paused": False})
        assert paused.status_code == 204, paused.text
        run = await machine.reaches(run_id, "Completed", within=60)
        assert run["run_count"] == 2
        assert len(diary.words("ends")) == 2
        assert (await machine.states("flow", run_id)).count("Crashed") == 1


@pytest.mark.crash
@pytest.mark.skipif(ROUNDS < 2, reason="only `make test-crash` has the time")
@pytest.mark.timeout(300 + 60 * ROUNDS)
async def test_runs_of_workers_that_are_killed_at_any_moment_all_complete(
    embedded_servers: EmbeddedServers, prefect_python: Path, tmp_path: Path, diary: Diary
) -> None:
    """Killed before it has claimed a run, between claim and process, while the process starts, runs
    or ends."""
    patient = replace(QUICK, patience_seconds=15.0, lazarus_attempts=100)
    chance = random.Random(time.time_ns())
    diary.until.touch()
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        users_machine(
            prefect_python, tmp_path, replace(installation(database_url, s3), recovery=patient)
        ) as machine,
        eager_jobs(machine.config, "recovery"),
    ):
        await _made(machine.api, "/work_pools/", name=POOL, type="process")
        deployment = await deployed(machine, tmp_path, diary)
        run_ids: list[str] = []
        for number in range(ROUNDS):
            for _ in range(2):
                made = await _made(machine.api, f"/deployments/{deployment}/create_flow_run")
                run_ids.append(made["id"])
            async with machine.worker(POOL, "--name", f"doomed-{number}") as doomed:
                await doomed.says("started!")
                await asyncio.sleep(chance.uniform(0.0, 6.0))
                os.killpg(doomed.process.pid, signal.SIGKILL)
        async with machine.worker(POOL, "--name", "heir"):
            for run_id in run_ids:
                await machine.reaches(run_id, "Completed", within=180)
        for run_id in run_ids:
            attempts = [pid for pid, begun in diary.words("begins") if begun == run_id]
            assert len(attempts) == len(set(attempts))
            run = await machine.read_run(run_id)
            assert 1 <= len(attempts) <= run["run_count"]
            ended = [pid for pid, ended in diary.words("ends") if ended == run_id]
            # One that died between its last word and its last state is executed again.
            assert set(ended) <= set(attempts)
            assert attempts[-1] in ended
            states = await machine.states("flow", run_id)
            told = await loggers_of(machine, run_id)
            assert states.count("Crashed") == told.count("tailrace.zombie_killer")
            assert told.count("tailrace.lazarus") >= states.count("Crashed")


async def deaths_of(pool: Pool, run_id: str) -> list[str | None]:
    """What became of each time that the run was found dead; None where that is not settled."""
    rows = await pool.fetch("SELECT reason FROM flow_run_death WHERE flow_run_id = $1", run_id)
    return [row["reason"] for row in rows]


async def state_of(pool: Pool, run_id: str) -> str | None:
    """The name of the run's state, whether the API answers or not."""
    name: str | None = await pool.fetchval("SELECT state_name FROM flow_run WHERE id = $1", run_id)
    return name


@contextlib.asynccontextmanager
async def _pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, max_size=2)
    try:
        yield pool
    finally:
        await pool.close()
