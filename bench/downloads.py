"""The memory of an API process while it gives a large run as a file.

The run's lines are those of a corpus, whose 64 workers are its tasks: they are posted in bodies of 1,000
lines of a task, an eighth of the tasks at a time with an offload after it, so that the eight segments
overlap in time from end to end. It is downloaded as it lies then, and once more when it is compacted.
The peak is the process's resident size at most during a download, as Linux counts it (`VmHWM`).

    python -m bench.downloads --lines 1000000
"""

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psutil

from bench.archive import compact, offload
from bench.corpus import CorpusSpec, ensure_corpus
from bench.driver import LoadFailed
from bench.processes import MIB, ServerProcesses
from bench.servers import RunningServer
from bench.tailrace_server import running_tailrace

FORMATS = ("text", "ndjson", "csv", "parquet")
ROUNDS = 8
BODY_LINES = 1000
CONNECTIONS = 8
SECONDS = 300.0


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """One download. Memory in MiB of the API process that took the most."""

    format: str
    bytes: int
    seconds: float
    cpu_seconds: float
    before_mib: float
    peak_mib: float


def bodies(spec: CorpusSpec, run: uuid.UUID, number: int) -> Iterator[bytes]:
    """What is posted in round `number`: lines of an eighth of the tasks, all of `run`."""
    files = sorted(ensure_corpus(spec).glob("worker-*.jsonl"))[number::ROUNDS]
    decode = msgspec.json.Decoder(dict[str, object]).decode
    readers = [path.open("rb") for path in files]
    try:
        while readers:
            for reader in list(readers):
                lines = [decode(line) for _, line in zip(range(BODY_LINES), reader, strict=False)]
                if not lines:
                    reader.close()
                    readers.remove(reader)
                    continue
                yield msgspec.json.encode([{**line, "flow_run_id": str(run)} for line in lines])
    finally:
        for reader in readers:
            reader.close()


async def fill(server: RunningServer, directory: Path, spec: CorpusSpec, run: uuid.UUID) -> None:
    """Post and offload the run. Raises LoadFailed."""
    async with _client(server) as client:
        for number in range(ROUNDS):
            waiting = bodies(spec, run, number)
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(_post(client, waiting))
            await offload(directory)


async def _post(client: httpx.AsyncClient, waiting: Iterator[bytes]) -> None:
    for body in waiting:
        answer = await client.post("/api/logs/", content=body)
        if answer.status_code != 201:
            raise LoadFailed(f"{answer.status_code} {answer.text[:300]}")


async def download(server: RunningServer, run: uuid.UUID, format_: str) -> Downloaded:
    """Download the run once, uncompressed."""
    processes = _api_processes(server)
    before = max(_status(process, "VmRSS") for process in processes)
    for process in processes:
        _forget_peak(process)
    cpu, began, size = _cpu(processes), time.monotonic(), 0
    query = {"flow_run_id": str(run), "format": format_}
    headers = {"Accept-Encoding": "identity"}
    async with (
        _client(server) as client,
        client.stream(
            "GET", "/api/tailrace/logs/download", params=query, headers=headers
        ) as answer,
    ):
        if answer.status_code != 200:
            raise LoadFailed(f"the download is answered {answer.status_code}")
        async for part in answer.aiter_raw():
            size += len(part)
    return Downloaded(
        format=format_,
        bytes=size,
        seconds=time.monotonic() - began,
        cpu_seconds=_cpu(processes) - cpu,
        before_mib=before,
        peak_mib=max(_status(process, "VmHWM") for process in processes),
    )


def _api_processes(server: RunningServer) -> list[psutil.Process]:
    return [process for process, role in ServerProcesses(server).walk() if role == "api"]


def _forget_peak(process: psutil.Process) -> None:
    """Make the peak what the size is now; see proc(5)."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def _status(process: psutil.Process, name: str) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / MIB
    raise ValueError(f"/proc/{process.pid}/status has no {name}")


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _client(server: RunningServer) -> httpx.AsyncClient:
    url = f"http://127.0.0.1:{server.target.port}"
    return httpx.AsyncClient(base_url=url, timeout=SECONDS, trust_env=False)


async def _measure(directory: Path, lines: int) -> None:
    spec, run = CorpusSpec(lines=lines), uuid.uuid4()
    async with running_tailrace(directory) as server:
        await fill(server, directory, spec, run)
        for state in ("offloaded", "compacted"):
            if state == "compacted":
                await compact(directory)
            for format_ in FORMATS:
                print(f"{state:10} {told(await download(server, run, format_))}", flush=True)


def told(done: Downloaded) -> str:
    """One line for people."""
    return (
        f"{done.format:8} {done.bytes / 1e6:6.1f} MB in {done.seconds:5.1f} s,"
        f" {done.cpu_seconds:5.1f} s of CPU; {done.before_mib:4.0f} MiB before,"
        f" {done.peak_mib:4.0f} at the peak"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.downloads", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-downloads-") as directory:
        asyncio.run(_measure(Path(directory), given.lines))


if __name__ == "__main__":
    main()
