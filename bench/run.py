"""The benchmark: the reference and Tailrace in turn, one table in the end.

    make bench                                           # everything, a quarter of an hour
    make bench ARGS="--parts ingest"                     # one part
    make bench ARGS="--servers tailrace --seconds 3"     # one server, quickly
    python -m bench.report --write docs/benchmarks.md    # the tables of the last run, into the docs

Only one server runs at a time. Each starts on fresh data, twice: once for what runs do to a server
(lifecycles, visibility, ingest), once for what an archive does (pages, bytes at rest).
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.archive import (
    SizeAtRest,
    compact,
    fill_reference,
    fill_tailrace,
    offload,
    reference_size,
    tailrace_size,
)
from bench.corpus import CorpusSpec, ensure_corpus
from bench.driver import (
    IngestLoad,
    LifecycleLoad,
    Load,
    LoadFailed,
    LoadResult,
    PageLoad,
    run_load,
)
from bench.made_archive import Made, ensure_base, make_archive, together
from bench.pipeline import measure_pipeline
from bench.processes import MemoryWatch, ServerProcesses, cpu_used
from bench.reading import KINDS, ReadCell, ReadLoad, fill_with_runs
from bench.reference import ENVIRONMENT, find_reference, running_reference
from bench.report import render
from bench.results import (
    IngestCell,
    LargeArchive,
    LifecycleCell,
    PageCell,
    Results,
    ServerResults,
    WorkCell,
    describe_machine,
    save,
)
from bench.scale import SEARCHES, NewestLoad, read_archive, searched_texts
from bench.servers import OUT_DIR, CannotMeasure, RunningServer
from bench.tailrace_server import running_tailrace
from bench.task_run_events import EventsLoad, measure_events
from bench.visible import measure_visible
from bench.work import CreateRuns, PollLoad, SetStateLoad
from storage.embedded.errors import CannotStart

PARTS = (
    "ingest",
    "lifecycle",
    "visible",
    "polling",
    "set_state",
    "events",
    "reading",
    "archive",
    "scale",
    "pipeline",
)
SERVERS = ("reference", "tailrace")
DATA_DIR = OUT_DIR / "data"
# Light before heavy, so that no load meets the backlog of another.
CELLS = ((20, 8), (200, 8), (1000, 8), (20, 64), (200, 64), (1000, 64))
# While offload and compaction run.
BUSY_CELL = (1000, 8)
LIFECYCLE_CONNECTIONS = (1, 16, 64)
SMALL_ARCHIVE = CorpusSpec(lines=16_000, seed=3)
ARCHIVE_ROUNDS = 8
WARM_RUNS = 20
# Below a data directory: what was read of objects.
OBJECT_CACHE = "log-cache"
READS = 100
# Of the archive that is made, on the way to the lines that were asked for.
SCALE_LINES = 10_000_000
# Rates are compared; the reference would take minutes to make as many runs as Tailrace is given.
DUE_RUNS = {"reference": 500, "tailrace": 10_000}
STATE_RUNS = {"reference": 500, "tailrace": 4_000}
PIPELINE_LINES = 500_000
SETTLE_SECONDS = 2.0
# A load before the first one that counts: connections are made, statements prepared.
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, how long, and with which reference."""

    parts: tuple[str, ...]
    servers: tuple[str, ...]
    seconds: float
    lines: int
    posted_lines: int
    archive_lines: int
    pages: int
    stored_runs: int
    events_seconds: float
    visible_lines: int
    workers: int | None
    prefect: Path


class Bench:
    """One server under measurement."""

    def __init__(self, options: Options, results: ServerResults, name: str) -> None:
        self.options = options
        self.results = results
        self.name = name

    @contextlib.asynccontextmanager
    async def running(self, directory: Path) -> AsyncIterator[RunningServer]:
        """The server on `directory`, settled."""
        if self.name == "reference":
            starting = running_reference(self.options.prefect, directory)
        else:
            workers = self.options.workers
            settings = {} if workers is None else {"TAILRACE_WORKERS": str(workers)}
            starting = running_tailrace(directory, settings)
        async with starting as server:
            say(f"{self.name} answers after {server.start_seconds:.1f} s")
            await asyncio.sleep(SETTLE_SECONDS)
            yield server

    async def measure_load(
        self, load: Load, server: RunningServer
    ) -> tuple[LoadResult, dict[str, float]]:
        """The load's result and the CPU seconds it cost the server, by role."""
        processes = ServerProcesses(server)
        before: dict[str, float] = {}
        result = await asyncio.to_thread(
            run_load, load, server.target, lambda: before.update(processes.cpu_seconds())
        )
        used = cpu_used(before, processes.cpu_seconds())
        say(
            f"{self.name}: {type(load).__name__} {result.per_second:,.0f}/s, p50 {result.p50_ms:.1f}"
            f" ms, p99 {result.p99_ms:.1f} ms, {sum(used.values()):.1f} CPU s"
        )
        return result, used

    async def serve_runs(self) -> None:
        """Lifecycles, visibility and ingest on fresh data."""
        parts = self.options.parts
        directory = fresh(f"{self.name}-runs")
        async with self.running(directory) as server:
            if "lifecycle" in parts:
                warm_up = LifecycleLoad(connections=16, seconds=WARM_UP_SECONDS)
                await self.measure_load(warm_up, server)
                for connections in LIFECYCLE_CONNECTIONS:
                    load = LifecycleLoad(connections=connections, seconds=self.options.seconds)
                    result, used = await self.measure_load(load, server)
                    cell = LifecycleCell(connections=connections, load=result, cpu_seconds=used)
                    self.results.lifecycles.append(cell)
            if "visible" in parts:
                visible = await asyncio.to_thread(
                    measure_visible, server.target, self.options.visible_lines
                )
                self.results.visible = visible
                say(
                    f"{self.name}: visible p50 {visible.p50_ms:.1f} ms, p99 {visible.p99_ms:.1f} ms"
                )
            if "ingest" in parts:
                with MemoryWatch(server) as memory:
                    await self.ingest(server, directory)
                self.results.ingest_peak_mib = memory.peak_mib
                self.results.ingest_largest_mib = memory.largest_mib

    async def serve_workers(self) -> None:
        """Polls and claims, then states, each on runs made before, on fresh data."""
        parts = self.options.parts
        async with self.running(fresh(f"{self.name}-work")) as server:
            if "polling" in parts:
                runs = DUE_RUNS[self.name]
                await self.measure_load(CreateRuns(count=runs, due=True), server)
                result, used = await self.measure_load(PollLoad(runs=runs), server)
                self.results.polling = WorkCell(load=result, cpu_seconds=used)
            if "set_state" in parts:
                runs = STATE_RUNS[self.name]
                await self.measure_load(CreateRuns(count=runs, due=False), server)
                result, used = await self.measure_load(SetStateLoad(runs=runs), server)
                self.results.set_state = WorkCell(load=result, cpu_seconds=used)

    async def serve_sockets(self) -> None:
        """Task-run events over many websockets, on fresh data; of Tailrace alone."""
        if self.name != "tailrace":
            return
        async with self.running(fresh(f"{self.name}-events")) as server:
            load = EventsLoad(seconds=self.options.events_seconds)
            told = await asyncio.to_thread(measure_events, server, load)
            self.results.events = told
            say(
                f"{self.name}: {told.sent_per_second:,.0f} events/s sent, recorded"
                f" {told.lag_seconds:.2f} s after the last; API {told.settled_mib:.0f} MiB after"
                f" 10 s, {told.end_mib:.0f} MiB at the end; CPU {told.cpu_seconds}"
            )

    async def read_runs(self) -> None:
        """Lists, counts and histories over many runs; of Tailrace alone, whose tables can be filled
        in a minute."""
        if self.name != "tailrace":
            return
        now = dt.datetime.now(dt.UTC)
        runs = self.options.stored_runs
        async with self.running(fresh(f"{self.name}-reading")) as server:
            await fill_with_runs(server, runs, now)
            for kind in KINDS:
                say(f"{self.name}: {kind}")
                load = ReadLoad(kind=kind, now=now, requests=READS)
                result, _ = await self.measure_load(load, server)
                self.results.reads.append(ReadCell(kind=kind, runs=runs, load=result))

    async def ingest(self, server: RunningServer, directory: Path) -> None:
        """All cells, then, with Tailrace, everything to S3."""
        processes = ServerProcesses(server)
        warm_up = CorpusSpec(lines=20_000, seed=99)
        await self.measure_load(
            IngestLoad(corpus=warm_up, batch_lines=100, connections=8, seconds=WARM_UP_SECONDS),
            server,
        )
        before = processes.cpu_seconds()
        for batch_lines, connections in CELLS:
            # Bodies must differ: one that was seen lately is acknowledged without being stored.
            spec = CorpusSpec(lines=self.options.lines, seed=10 + connections)
            load = IngestLoad(
                corpus=spec,
                batch_lines=batch_lines,
                connections=connections,
                seconds=self.options.seconds,
            )
            result, used = await self.measure_load(load, server)
            self.results.ingest.append(
                IngestCell(
                    batch_lines=batch_lines,
                    connections=connections,
                    load=result,
                    cpu_seconds=used,
                )
            )
        if self.name == "tailrace":
            await offload(directory)
            await self.ingest_while_busy(server, directory)
        total = sum(cpu_used(before, processes.cpu_seconds()).values())
        lines = sum(cell.load.units for cell in self.results.ingest)
        self.results.settled_cpu_per_million = total / lines * 1e6

    async def ingest_while_busy(self, server: RunningServer, directory: Path) -> None:
        """One load while everything that it brings is offloaded and merged at once, again and again."""
        batch_lines, connections = BUSY_CELL
        load = IngestLoad(
            corpus=CorpusSpec(lines=self.options.lines, seed=20),
            batch_lines=batch_lines,
            connections=connections,
            seconds=self.options.seconds,
        )

        async def keep_moving() -> None:
            while True:
                await offload(directory)
                await compact(directory)

        moving = asyncio.create_task(keep_moving())
        try:
            result, used = await self.measure_load(load, server)
        finally:
            moving.cancel()
            await asyncio.wait((moving,))
        self.results.busy_ingest = IngestCell(
            batch_lines=batch_lines, connections=connections, load=result, cpu_seconds=used
        )

    async def keep_archive(self) -> None:
        """Pages at 16 thousand and at a million lines, searches, bytes at rest, start on what is
        there."""
        directory = fresh(f"{self.name}-archive")
        stored = self.options.posted_lines
        large = CorpusSpec(lines=stored - SMALL_ARCHIVE.lines, seed=4)
        tier = "table" if self.name == "reference" else "S3"
        async with self.running(directory) as server:
            load = IngestLoad(corpus=SMALL_ARCHIVE, batch_lines=200, connections=4, seconds=120)
            await self.measure_load(load, server)
            if self.name == "tailrace":
                await self.read_pages(server, SMALL_ARCHIVE, SMALL_ARCHIVE.lines, "hot")
                await offload(directory)
            await self.read_pages(server, SMALL_ARCHIVE, SMALL_ARCHIVE.lines, tier)
            with MemoryWatch(server) as memory:
                if self.name == "tailrace":
                    size = await self.fill(server, directory, large)
                else:
                    await fill_reference(server, large)
                    size = await reference_size(server)
                if size.rows != stored:
                    raise LoadFailed(f"{size.rows} lines at rest, not {stored}")
                self.results.size = self.results.compacted_size = size
                say(f"{self.name}: {size.bytes_per_line:.1f} bytes per line at rest")
                await self.read_pages(server, large, stored, tier)
                if self.name == "tailrace":
                    await self.compact(server, directory, stored)
                    await self.read_pages(server, large, stored, "compacted")
                await self.search(server, large)
            self.results.archive_peak_mib = memory.peak_mib
        async with self.running(directory) as server:
            self.results.ready_seconds = server.start_seconds

    async def fill(self, server: RunningServer, directory: Path, spec: CorpusSpec) -> SizeAtRest:
        """Post the corpus and move it to S3, and note the CPU that moving takes."""
        processes = ServerProcesses(server)
        start_only = await offload(directory)
        before = processes.cpu_seconds()
        cpu = await fill_tailrace(server, directory, spec, rounds=ARCHIVE_ROUNDS)
        # The jobs process may have been first.
        cpu += cpu_used(before, processes.cpu_seconds()).get("jobs", 0.0)
        cpu -= ARCHIVE_ROUNDS * start_only
        self.results.offload_cpu_per_million = cpu / spec.lines * 1e6
        return await tailrace_size(server)

    async def compact(self, server: RunningServer, directory: Path, lines: int) -> None:
        """Merge everything, and note the CPU that takes, PostgreSQL's and S3's included."""
        processes = ServerProcesses(server)
        start_only = await offload(directory)
        before = processes.cpu_seconds()
        cpu = await compact(directory) - start_only
        used = cpu_used(before, processes.cpu_seconds())
        cpu += used.get("jobs", 0.0) + used.get("postgres", 0.0) + used.get("s3", 0.0)
        self.results.compact_cpu_per_million = cpu / lines * 1e6
        size = self.results.compacted_size = await tailrace_size(server)
        say(
            f"tailrace: {size.bytes_per_line:.2f} bytes per line compacted; CPU s per million lines:"
            f" offload {self.results.offload_cpu_per_million:.1f},"
            f" compaction {self.results.compact_cpu_per_million:.1f}"
        )

    async def search(self, server: RunningServer, spec: CorpusSpec) -> None:
        """The newest lines with a text, over all runs."""
        for kind, (text, expected) in searched_texts(spec).items():
            load = NewestLoad(text=text, expected=expected, requests=SEARCHES)
            self.results.searches[kind], _ = await self.measure_load(load, server)

    async def keep_large_archive(self) -> None:
        """Pages and searches of ten million lines and of as many as were asked for; of Tailrace alone."""
        if self.name != "tailrace":
            return
        directory = fresh(f"{self.name}-scale")
        made: Made | None = None
        for lines in sorted(
            {min(SCALE_LINES, self.options.archive_lines), self.options.archive_lines}
        ):
            first = 0 if made is None else made.lines
            async with self.running(directory):
                added = await asyncio.to_thread(make_archive, directory, first, lines - first)
            say(f"tailrace: {added.lines:,} lines made in {added.seconds:.0f} s")
            made = added if made is None else together(made, added)
            # What a process that just started reads comes from S3 itself.
            shutil.rmtree(directory / OBJECT_CACHE, ignore_errors=True)
            async with self.running(directory) as server:
                with MemoryWatch(server) as memory:
                    cells = await read_archive(self.measure_load, server, made, self.options.pages)
                size = await tailrace_size(server)
            self.results.scale += cells
            self.results.archives.append(
                LargeArchive(
                    lines=lines,
                    making_seconds=added.seconds,
                    making_cpu_seconds=added.cpu_seconds,
                    size=size,
                    peak_mib=memory.peak_mib,
                    largest_mib=memory.largest_mib,
                )
            )

    async def read_pages(
        self, server: RunningServer, spec: CorpusSpec, stored: int, tier: str
    ) -> None:
        """Pages of any run as they come, then those of a few runs, read twice: the second time
        counts as warm."""
        any_run = PageLoad(corpus=spec, pages=self.options.pages)
        few_runs = PageLoad(corpus=spec, pages=self.options.pages, runs=WARM_RUNS)
        for load, warm in ((any_run, False), (few_runs, True)):
            if warm:
                await asyncio.to_thread(run_load, load, server.target)
            result, _ = await self.measure_load(load, server)
            cell = PageCell(lines=stored, tier=tier, warm=warm, load=result)
            self.results.pages.append(cell)


def fresh(name: str) -> Path:
    """An empty data directory."""
    directory = DATA_DIR / name
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def make_corpora(options: Options) -> None:
    """Everything that is made rather than measured, before the first server starts."""
    specs = [SMALL_ARCHIVE]
    if "ingest" in options.parts:
        specs += [CorpusSpec(lines=options.lines, seed=10 + c) for c in (8, 64)] + [
            CorpusSpec(lines=options.lines, seed=20)
        ]
    if "scale" in options.parts:
        ensure_base()
    if "archive" in options.parts:
        specs.append(CorpusSpec(lines=options.posted_lines - SMALL_ARCHIVE.lines, seed=4))
    for spec in specs:
        ensure_corpus(spec)


def reference_version(prefect: Path) -> str:
    """What `prefect --version` says; "none" when the reference is not measured."""
    if not prefect.exists():
        return "none"
    done = subprocess.run([str(prefect), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


async def measure(options: Options, results: Results) -> None:
    """Everything that was asked for, into `results`, kept after each step."""
    make_corpora(options)
    steps: list[Callable[[Bench], Awaitable[None]]] = []
    if {"ingest", "lifecycle", "visible"} & set(options.parts):
        steps.append(Bench.serve_runs)
    if {"polling", "set_state"} & set(options.parts):
        steps.append(Bench.serve_workers)
    if "events" in options.parts:
        steps.append(Bench.serve_sockets)
    if "reading" in options.parts:
        steps.append(Bench.read_runs)
    if "archive" in options.parts:
        steps.append(Bench.keep_archive)
    if "scale" in options.parts:
        steps.append(Bench.keep_large_archive)
    if "pipeline" in options.parts:
        for batch_lines in (20, 200, 1000):
            spec = CorpusSpec(lines=PIPELINE_LINES, seed=7)
            results.pipeline.append(await asyncio.to_thread(measure_pipeline, spec, batch_lines))
            say(f"pipeline: {results.pipeline[-1].lines_per_second:,.0f} lines/s")
    for step in steps:
        for name in options.servers:
            of_server = results.reference if name == "reference" else results.tailrace
            await step(Bench(options, of_server, name))
            save(results)
    shutil.rmtree(DATA_DIR, ignore_errors=True)


def parse_options() -> Options:
    """From the command line. Raises CannotMeasure when the reference is not installed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=(__doc__ or "").split("\n")[0]
    )
    chosen = partial(parser.add_argument, nargs="+")
    chosen("--parts", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    chosen("--servers", choices=SERVERS, default=SERVERS, help="which servers (default: both)")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="length of a load (default: %(default)s)"
    )
    parser.add_argument(
        "--lines",
        type=int,
        default=2_000_000,
        help="lines to post at most in an ingest load (default: %(default)s)",
    )
    parser.add_argument(
        "--posted-lines",
        type=int,
        default=1_000_000,
        help="lines of the archive that both servers get (default: %(default)s)",
    )
    parser.add_argument(
        "--archive-lines",
        type=int,
        default=SCALE_LINES,
        help="lines of the archive that is made, a multiple of ten million (default: %(default)s)",
    )
    parser.add_argument("--pages", type=int, default=400, help="pages to read (default: 400)")
    parser.add_argument(
        "--stored-runs",
        type=int,
        default=1_000_000,
        help="flow runs to read among (default: %(default)s)",
    )
    parser.add_argument(
        "--events-seconds",
        type=float,
        default=60.0,
        help="how long task-run events are sent (default: %(default)s)",
    )
    parser.add_argument(
        "--visible-lines", type=int, default=300, help="lines to watch appear (default: 300)"
    )
    parser.add_argument("--workers", type=int, help="API processes of Tailrace (default: its own)")
    parser.add_argument(
        "--reference-environment",
        type=Path,
        default=ENVIRONMENT,
        help="environment with the reference server (default: .venv-prefect)",
    )
    given = parser.parse_args()
    prefect: Path = given.reference_environment / "bin" / "prefect"
    if "reference" in given.servers:
        prefect = find_reference(given.reference_environment)
    return Options(
        parts=tuple(given.parts),
        servers=tuple(given.servers),
        seconds=given.seconds,
        lines=given.lines,
        posted_lines=given.posted_lines,
        archive_lines=given.archive_lines,
        pages=given.pages,
        stored_runs=given.stored_runs,
        events_seconds=given.events_seconds,
        visible_lines=given.visible_lines,
        workers=given.workers,
        prefect=prefect,
    )


def main() -> None:
    """Measure, print, keep; exit status 1 when something could not be measured."""
    try:
        options = parse_options()
    except CannotMeasure as error:
        sys.exit(str(error))
    results = Results(
        machine=describe_machine(reference_version(options.prefect)),
        options={
            "seconds": f"{options.seconds:g}",
            "lines": str(options.lines),
            "posted lines": str(options.posted_lines),
            "archive lines": str(options.archive_lines),
            "pages": str(options.pages),
            "stored runs": str(options.stored_runs),
            "workers": "default" if options.workers is None else str(options.workers),
        },
    )
    failure = ""
    try:
        asyncio.run(measure(options, results))
    except (LoadFailed, CannotMeasure, CannotStart) as error:
        failure = str(error)
    save(results)
    text = render(results)
    (OUT_DIR / "results.md").write_text(text)
    print(f"\n{text}\nkept in {OUT_DIR / 'results.json'} and results.md")
    if failure:
        sys.exit(f"not finished: {failure}")


if __name__ == "__main__":
    main()
