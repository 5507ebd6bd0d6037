"""What a run of the benchmark measured, as it is kept in `bench/out/results.json`."""

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from bench.archive import SizeAtRest
from bench.driver import LoadResult
from bench.pipeline import PipelineResult
from bench.reading import ReadCell
from bench.scale import ScaleCell
from bench.servers import OUT_DIR
from bench.task_run_events import EventsResult
from bench.visible import VisibleResult

RESULTS_FILE = OUT_DIR / "results.json"


class IngestCell(msgspec.Struct, frozen=True, kw_only=True):
    """One ingest load: batch size, connections, what came of it. CPU seconds by role."""

    batch_lines: int
    connections: int
    load: LoadResult
    cpu_seconds: dict[str, float]

    @property
    def cpu_per_million(self) -> float:
        return sum(self.cpu_seconds.values()) / max(1, self.load.units) * 1e6


class LifecycleCell(msgspec.Struct, frozen=True, kw_only=True):
    """One load of run lifecycles."""

    connections: int
    load: LoadResult
    cpu_seconds: dict[str, float]

    @property
    def cpu_ms_each(self) -> float:
        return sum(self.cpu_seconds.values()) / max(1, self.load.units) * 1e3


class PageCell(msgspec.Struct, frozen=True, kw_only=True):
    """Pages read with so many lines stored; `tier` is where they lie. Warm: pages of a few runs
    that were read before; else any page of any run."""

    lines: int
    tier: str
    warm: bool
    load: LoadResult


class WorkCell(msgspec.Struct, frozen=True, kw_only=True):
    """One load of workers or of states: what came of it, and CPU seconds by role."""

    load: LoadResult
    cpu_seconds: dict[str, float]


class LargeArchive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was made, not posted: how long that took, what it takes at rest, and the memory of
    the server that was read from, by role."""

    lines: int
    making_seconds: float
    making_cpu_seconds: float
    size: SizeAtRest
    peak_mib: dict[str, float]
    largest_mib: dict[str, float]


class ServerResults(msgspec.Struct, kw_only=True):
    """All that was measured of one server. `settled_cpu_per_million` is the CPU seconds of all
    ingest loads and, with Tailrace, of moving their lines to S3, per million lines."""

    ready_seconds: float | None = None
    lifecycles: list[LifecycleCell] = msgspec.field(default_factory=list)
    polling: WorkCell | None = None
    set_state: WorkCell | None = None
    reads: list[ReadCell] = msgspec.field(default_factory=list)
    events: EventsResult | None = None
    visible: VisibleResult | None = None
    ingest: list[IngestCell] = msgspec.field(default_factory=list)
    settled_cpu_per_million: float | None = None
    ingest_peak_mib: dict[str, float] = msgspec.field(default_factory=dict)
    ingest_largest_mib: dict[str, float] = msgspec.field(default_factory=dict)
    pages: list[PageCell] = msgspec.field(default_factory=list)
    archive_peak_mib: dict[str, float] = msgspec.field(default_factory=dict)
    scale: list[ScaleCell] = msgspec.field(default_factory=list)
    archives: list[LargeArchive] = msgspec.field(default_factory=list)
    # CPU seconds per million lines of moving lines to S3, and of merging them into final segments.
    offload_cpu_per_million: float | None = None
    compact_cpu_per_million: float | None = None
    # Texts searched for in the archive that was posted, by what they are.
    searches: dict[str, LoadResult] = msgspec.field(default_factory=dict)
    # An ingest load while everything that comes is offloaded and compacted at once.
    busy_ingest: IngestCell | None = None
    size: SizeAtRest | None = None
    # What compaction makes of it; the same for the reference, which has none.
    compacted_size: SizeAtRest | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what it was measured. `load` is the load average before anything began."""

    date: str
    commit: str
    cores: int
    memory_gib: float
    cpu: str
    system: str
    python: str
    versions: dict[str, str]
    load: float


class Results(msgspec.Struct, kw_only=True):
    """One run of the benchmark."""

    machine: Machine
    options: dict[str, str]
    reference: ServerResults = msgspec.field(default_factory=ServerResults)
    tailrace: ServerResults = msgspec.field(default_factory=ServerResults)
    pipeline: list[PipelineResult] = msgspec.field(default_factory=list)


def describe_machine(reference_version: str) -> Machine:
    """This machine, now."""
    packages = ("litestar", "msgspec", "uvicorn", "asyncpg", "pyarrow", "duckdb")
    versions = {name: version(name) for name in packages}
    versions["prefect"] = reference_version
    return Machine(
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
        cpu=_cpu_name(),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        versions=versions,
        load=round(os.getloadavg()[0], 2),
    )


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def save(results: Results) -> None:
    """Keep the results, readable by people too."""
    OUT_DIR.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(results), indent=1)
    RESULTS_FILE.write_bytes(text + b"\n")


def load_results(file: Path = RESULTS_FILE) -> Results:
    """The results of an earlier run."""
    return msgspec.json.decode(file.read_bytes(), type=Results)
