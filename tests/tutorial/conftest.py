"""The unmodified Prefect client, in an environment of its own, against our server.

Flows run as subprocesses, as a user would run them. Each writes down what it logs
(`flows/witness.py`), so that tests can compare it with what the server gives back.
"""

import asyncio
import contextlib
import datetime as dt
import os
import shlex
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.services import ServicesConfig, open_services
from jobs.by_hand import run_job_now
from jobs.registry import ALL_JOBS
from storage.postgres.jobs import JobRun
from tests.conftest import EmbeddedServers, installation, own_bucket, own_database
from tests.processes import ApiProcess, JobsProcess

FLOWS = Path(__file__).parent / "flows"
FLOW_SECONDS = 100.0
STOP_SECONDS = 15.0
START_SECONDS = 60.0
CLIENT_PAGE = 200
# Workers and runners ask and tell every second here, where they would every 10 to 30 s.
EVERY_SECOND = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    "PREFECT_RUNNER_PROCESS_LIMIT": "10",
}


class LogLine(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a line says, on the client's side and on the server's."""

    timestamp: dt.datetime
    flow_run_id: str
    task_run_id: str | None
    name: str
    level: int
    message: str


_LINE = msgspec.json.Decoder(LogLine)
_LINES = msgspec.json.Decoder(list[LogLine])


class Said(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a command of the client printed."""

    status: int
    text: str

    def rows(self) -> list[list[str]]:
        """The rows of the table in it, below its head."""
        lines = [line for line in self.text.splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


_SAID = msgspec.json.Decoder(Said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A process of the client that has ended."""

    returncode: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowProcess:
    """A flow in its own process. `witness` is the file of what it logs."""

    process: asyncio.subprocess.Process
    witness: Path

    async def finish(self) -> Finished:
        """Wait until it ends; what it printed is kept."""
        async with asyncio.timeout(FLOW_SECONDS):
            output, _ = await self.process.communicate()
        if self.process.returncode is None:
            raise RuntimeError("the process has no exit status although it has ended")
        return Finished(returncode=self.process.returncode, output=output.decode())

    def logged(self) -> list[LogLine]:
        """What the flow and its tasks have logged so far, by time."""
        with self.witness.open("rb") as file:
            return sorted(_LINE.decode(line) for line in file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A worker, or a process that serves flows. `witness` is the file of what its runs log."""

    process: asyncio.subprocess.Process
    output: Path
    witness: Path

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; gives the exit status. The client now and then swallows the interrupt
        that it makes of the first signal and goes on polling, so it is told again."""
        for _ in range(3):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    return await self.process.wait()
        raise TimeoutError

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    async def says(self, words: str) -> None:
        """Wait until it has printed this."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            if words in (said := self.said()):
                return
            assert asyncio.get_running_loop().time() < deadline, said
            await asyncio.sleep(0.1)

    def logged(self) -> list[LogLine]:
        """What its runs and their tasks have logged so far, by time."""
        with self.witness.open("rb") as file:
            return sorted(_LINE.decode(line) for line in file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefect:
    """A user's machine: the client's interpreter, its home, and the server that it talks to."""

    python: Path
    home: Path
    config: ServicesConfig
    api_url: str
    api: httpx.AsyncClient
    auth_string: str | None = None

    def environment(self, **more: str) -> dict[str, str]:
        """What the client's processes are told."""
        told = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
            "PREFECT_CLI_COLORS": "false",
            "DO_NOT_TRACK": "1",
            "COLUMNS": "250",
            "PYTHONUTF8": "1",
            **more,
        }
        if self.auth_string is not None:
            told["PREFECT_API_AUTH_STRING"] = self.auth_string
        return told

    async def start(self, flow: str, *arguments: str) -> FlowProcess:
        """Run `flows/<flow>.py` as a process."""
        witness = self.home / f"{flow}-{uuid.uuid4().hex}.jsonl"
        witness.touch()
        process = await asyncio.create_subprocess_exec(
            str(self.python),
            str(FLOWS / f"{flow}.py"),
            *arguments,
            cwd=self.home,
            env=self.environment(WITNESS=str(witness)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return FlowProcess(process=process, witness=witness)

    async def run(self, flow: str, *arguments: str, returncode: int = 0) -> FlowProcess:
        """Run a flow to its end, which must be as expected."""
        started = await self.start(flow, *arguments)
        finished = await started.finish()
        assert finished.returncode == returncode, finished.output
        assert "Error logged" not in finished.output, finished.output
        return started

    @contextlib.asynccontextmanager
    async def worker(self, pool: str, *options: str) -> AsyncIterator[Agent]:
        """`prefect worker start` for a pool of processes; ended with the block."""
        command = (str(self.python.with_name("prefect")), "worker", "start", "--type", "process")
        async with self._agent(*command, "--pool", pool, *options) as agent:
            yield agent

    @contextlib.asynccontextmanager
    async def server_of(self, flow: str, *arguments: str) -> AsyncIterator[Agent]:
        """Run `flows/<flow>.py`, which serves deployments; ended with the block."""
        async with self._agent(str(self.python), str(FLOWS / f"{flow}.py"), *arguments) as agent:
            yield agent

    @contextlib.asynccontextmanager
    async def _agent(self, *command: str) -> AsyncIterator[Agent]:
        name = uuid.uuid4().hex
        output, witness = self.home / f"{name}.txt", self.home / f"{name}.jsonl"
        witness.touch()
        with output.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.home,
                env=self.environment(WITNESS=str(witness), **EVERY_SECOND),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        agent = Agent(process=process, output=output, witness=witness)
        try:
            yield agent
            try:
                await agent.stop()
            except TimeoutError as error:
                raise AssertionError(f"it does not end; it said:\n{agent.said()}") from error
        finally:
            # Its runs are in its session: none outlives the test.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def command(
        self, *arguments: str, returncode: int = 0, directory: Path | None = None
    ) -> str:
        """Run the client's own command line, `prefect …`; gives its output."""
        process = await asyncio.create_subprocess_exec(
            str(self.python.with_name("prefect")),
            *arguments,
            cwd=directory or self.home,
            env=self.environment(PREFECT_LOGGING_LEVEL="WARNING"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(FLOW_SECONDS):
            output, _ = await process.communicate()
        assert process.returncode == returncode, output.decode()
        return output.decode()

    async def commands(self, *lines: str) -> list[Said]:
        """Run several commands, each as after `prefect`, in one process; gives what each said."""
        process = await asyncio.create_subprocess_exec(
            str(self.python),
            str(FLOWS / "commands.py"),
            cwd=self.home,
            env=self.environment(PREFECT_LOGGING_LEVEL="WARNING"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        words = msgspec.json.encode([shlex.split(line) for line in lines])
        async with asyncio.timeout(FLOW_SECONDS):
            output, _ = await process.communicate(words)
        said = [_SAID.decode(line) for line in output.splitlines()]
        assert (process.returncode, len(said)) == (0, len(lines)), output.decode()
        return said

    async def deploy(self, flow: str, name: str, **more: object) -> dict[str, Any]:
        """Register a deployment of the flow of this name in `flows/deployed.py`, as agents do."""
        response = await self.api.post("/flows/", json={"name": flow})
        body = {
            "name": name,
            "flow_id": response.json()["id"],
            "entrypoint": f"deployed.py:{flow}",
            "pull_steps": [
                {"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}
            ],
            **more,
        }
        response = await self.api.post("/deployments/", json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def deployment(self, name: str) -> dict[str, Any]:
        """The deployment `<flow>/<name>`."""
        response = await self.api.get(f"/deployments/name/{name}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def run_deployment(self, name: str, **body: object) -> str:
        """Ask for a run of the deployment `<flow>/<name>`, now; gives its id."""
        deployment = await self.deployment(name)
        response = await self.api.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"state": {"type": "SCHEDULED"}, **body},
        )
        assert response.status_code == 201, response.text
        run_id: str = response.json()["id"]
        return run_id

    async def cancel(self, run_id: str) -> dict[str, Any]:
        """Ask for the end of a flow run as the UI does; gives the answer."""
        response = await self.api.post(
            f"/flow_runs/{run_id}/set_state", json={"state": {"type": "CANCELLING"}}
        )
        assert response.status_code in {200, 201}, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """All runs of the deployment of this name (without its flow's)."""
        return await self._post(
            "/flow_runs/filter", {"deployments": {"name": {"any_": [deployment]}}}
        )

    async def read_run(self, run_id: str) -> dict[str, Any]:
        """One flow run."""
        response = await self.api.get(f"/flow_runs/{run_id}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def subflow_runs(self, run_id: str, count: int = 1) -> list[dict[str, Any]]:
        """The runs started from within this one, in their order, once there are so many."""
        body = {
            "flow_runs": {"parent_flow_run_id": {"any_": [run_id]}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            found = await self._post("/flow_runs/filter", body)
            if len(found) == count:
                return found
            assert asyncio.get_running_loop().time() < deadline, found
            await asyncio.sleep(0.1)

    async def says(
        self, run_id: str, begin: str, *, times: int = 1, within: float = 60.0
    ) -> LogLine:
        """The first line of a flow run that begins like this, once the server has so many."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            lines = await self.logs(run_id)
            found = [line for line in lines if line.message.startswith(begin)]
            if len(found) >= times:
                return found[0]
            said = "\n".join(line.message for line in lines)
            assert asyncio.get_running_loop().time() < deadline, said
            await asyncio.sleep(0.2)

    async def run_job(self, name: str) -> JobRun:
        """One pass of a job, now, as `tailrace jobs run` would."""
        [job] = [job for job in ALL_JOBS if job.name == name]
        async with open_services(self.config) as services:
            run = await run_job_now(services, job, waiting_for=lambda holder: None)
        assert run.outcome == "done", run.error
        return run

    async def reaches(self, run_id: str, *names: str, within: float = 60.0) -> dict[str, Any]:
        """The run, once the name of its state is one of these."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            run = await self.read_run(run_id)
            if run["state_name"] in names:
                return run
            assert asyncio.get_running_loop().time() < deadline, run["state"]
            await asyncio.sleep(0.1)

    async def flow_runs(self, flow: str) -> list[dict[str, Any]]:
        """All runs of the flow of this name."""
        return await self._post("/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})

    async def flow_run(self, flow: str) -> dict[str, Any]:
        """The only run of the flow of this name."""
        [run] = await self.flow_runs(flow)
        return run

    async def task_runs(self, flow_run_id: str) -> list[dict[str, Any]]:
        """All task runs of a flow run."""
        return await self._post(
            "/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}, "limit": 200}
        )

    async def settled_task_runs(
        self, flow_run_id: str, count: int, *, never_began: int = 0
    ) -> list[dict[str, Any]]:
        """The same, once there are `count` and all that began have ended: they are told by events,
        which arrive later."""
        deadline = asyncio.get_running_loop().time() + 15
        while True:
            found = await self.task_runs(flow_run_id)
            ended = [run for run in found if run["end_time"] is not None]
            if len(found) == count == len(ended) + never_began:
                return found
            assert asyncio.get_running_loop().time() < deadline, found
            await asyncio.sleep(0.1)

    async def states(self, kind: str, run_id: str) -> list[str]:
        """Names of the states of a flow or task run, in order."""
        response = await self.api.get(f"/{kind}_run_states/", params={f"{kind}_run_id": run_id})
        assert response.status_code == 200, response.text
        ordered = sorted(response.json(), key=lambda state: state["timestamp"])
        return [state["name"] for state in ordered]

    async def logs(self, flow_run_id: str, **filters: object) -> list[LogLine]:
        """Every line of a run, page by page, as the server orders them."""
        found: list[LogLine] = []
        while True:
            response = await self.api.post(
                "/logs/filter",
                json={
                    "logs": {"flow_run_id": {"any_": [flow_run_id]}, **filters},
                    "sort": "TIMESTAMP_ASC",
                    "limit": CLIENT_PAGE,
                    "offset": len(found),
                },
            )
            assert response.status_code == 200, response.text
            page = _LINES.decode(response.content)
            if not page:
                return found
            found.extend(page)

    async def _post(self, path: str, body: object) -> list[dict[str, Any]]:
        response = await self.api.post(path, json=body)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()
        return found


@contextlib.asynccontextmanager
async def users_machine(
    python: Path, home: Path, config: ServicesConfig, *, auth_string: str | None = None
) -> AsyncIterator[Prefect]:
    """A user's machine and an API process that it talks to."""
    async with (
        ApiProcess.run(config, auth_string=auth_string) as process,
        httpx.AsyncClient(
            base_url=process.url,
            timeout=30,
            auth=httpx.BasicAuth(*auth_string.split(":", 1)) if auth_string else None,
        ) as api,
    ):
        yield Prefect(
            python=python,
            home=home,
            config=config,
            api_url=process.url,
            api=api,
            auth_string=auth_string,
        )


@pytest.fixture(scope="session")
async def prefect(
    embedded_servers: EmbeddedServers,
    prefect_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Prefect]:
    """One server for all of these tests: each looks at flows of its own name."""
    async with (
        own_database(embedded_servers) as database_url,
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        users_machine(
            prefect_python, tmp_path_factory.mktemp("prefect"), installation(database_url, s3)
        ) as machine,
    ):
        yield machine


@pytest.fixture(scope="session")
async def prefect_with_jobs(prefect: Prefect) -> AsyncIterator[Prefect]:
    """The same machine and server, with a process that runs the jobs."""
    async with JobsProcess.run(prefect.config):
        yield prefect


@pytest.fixture(scope="session")
async def on_call(prefect_with_jobs: Prefect) -> AsyncIterator[Prefect]:
    """The same again, with a process that serves the flows of `flows/on_call.py`; each has a
    deployment that is named on-call."""
    async with prefect_with_jobs.server_of("on_call") as agent:
        await agent.says("are being served")
        yield prefect_with_jobs
