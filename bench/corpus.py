"""Realistic run logs, the same on every machine for the same `CorpusSpec`.

The model: 64 workers each execute one flow run after another. The number of lines of a run is
log-normal (mean 2,000; half of the runs stay below 1,000, a few reach 50,000), and chatty runs log
faster. A run has task runs of 1 to 120 lines each; every tenth line belongs to the flow run alone.
Messages come from 30 weighted templates with numbers, ids, paths and URLs; one in fifty is a
traceback of several lines. A line is 295 bytes of JSON on average.

A *batch* is what one worker posts at once: the JSON array of its next lines, which may span the
end of one run and the start of the next. Batches come in the order in which a server would get
them. The lines do not depend on the batch size.

    python -m bench.corpus --lines 1000000        # generate, print what it is like
"""

import argparse
import datetime as dt
import heapq
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

CACHE_DIR = Path(__file__).parent / "out" / "corpus"
# Part of a cached corpus's name: raise it when a change here changes a line.
MODEL_VERSION = 1

WORKERS = 64
MEAN_RUN_LINES = 2_000
MIN_RUN_LINES = 5
RUN_LINES_SIGMA = 1.2
# Of one worker inside a run of mean size; 64 of them span 10 million lines over about a day.
LINES_PER_SECOND = 1.2
FLOW_RUN_LINE_SHARE = 0.10
MAX_TASK_RUN_LINES = 120


class CorpusSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which corpus. `start` is the time of the first line, in seconds since the epoch."""

    lines: int
    seed: int = 1
    start: int = 1_795_132_800  # 2026-11-20

    @property
    def name(self) -> str:
        return f"v{MODEL_VERSION}-{self.lines}-{self.seed}-{self.start}"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One flow run of a corpus and its number of lines."""

    flow_run_id: str
    lines: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line as clients post it."""

    name: str
    level: int
    message: str
    timestamp: str
    flow_run_id: str
    task_run_id: str | None


# Messages --------------------------------------------------------------------

FLOWS = (
    "daily-ledger", "crm-delta", "forecast-demand", "settle-payouts", "harvest-clicks",
    "rebuild-marts", "merge-accounts", "replay-orders", "rank-offers", "freeze-stock",
)  # fmt: skip
TASKS = (
    "read_source", "clean", "enrich", "check", "get_page", "store_part", "predict",
    "announce", "tidy_up", "report",
)  # fmt: skip
TABLES = ("bookings", "accounts", "clicks", "receipts", "refunds", "visits", "stock", "offers")
BUCKETS = ("nord-landing-zone", "nord-refined", "nord-model-inputs", "nord-outbox")
HOSTS = (
    "pay.partner-sandbox.example", "crm.nord.example", "dwh.nord.example", "hook.nord.example",
)  # fmt: skip
FAULTS = (
    "ConnectionResetError", "ReadTimeout", "ValueError", "LookupError", "PermissionError", "DataError",
)  # fmt: skip
COLUMNS = ("account_id", "net_amount", "booked_at", "mail", "article", "country")
FRAMES = ("dispatch", "invoke", "_post", "perform", "fetch", "guard")
MODULES = ("runner", "steps", "session", "transport", "backoff", "files", "schema")
STATUSES = (200, 200, 200, 200, 304, 404)
BAD_STATUSES = (408, 429, 500, 502, 503)


class Draws:
    """The random values that messages are filled with. Several times faster than `Random`'s own
    methods, which is what makes a million lines a matter of seconds."""

    def __init__(self, seed: str) -> None:
        rng = Random(seed)
        self.fraction = rng.random
        self.exponential = rng.expovariate
        self._bits = rng.getrandbits

    def below(self, bound: int) -> int:
        return int(self.fraction() * bound)

    def one_of(self, values: tuple[str, ...]) -> str:
        return values[int(self.fraction() * len(values))]

    def status(self, values: tuple[int, ...]) -> int:
        return values[int(self.fraction() * len(values))]

    def hexadecimal(self, digits: int) -> str:
        return f"{self._bits(4 * digits):0{digits}x}"

    def uuid7(self, seconds: float) -> str:
        """A version 7 UUID made at `seconds` since the epoch."""
        stamp = f"{int(seconds * 1000):012x}"
        high = f"{self._bits(12):03x}"
        low = f"{2 << 62 | self._bits(62):016x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{high}-{low[:4]}-{low[4:]}"


Build = Callable[[Draws, str, str], str]


def traceback_message(d: Draws, flow: str, task: str) -> str:
    """A failed attempt with a traceback of 3 to 9 frames."""
    fault = d.one_of(FAULTS)
    lines = [f"Attempt of {task} ended with {fault}", "Traceback (most recent call last):"]
    for _ in range(3 + d.below(7)):
        lines.append(
            f'  File "/srv/flows/.venv/lib/python3.12/site-packages/nordkit/{d.one_of(MODULES)}/{task}.py", '
            f"line {10 + d.below(890)}, in {d.one_of(FRAMES)}"
        )
        lines.append(
            f"    return self._{d.one_of(TASKS)}({d.one_of(COLUMNS)}, deadline={1 + d.below(60)})"
        )
    lines.append(
        f"nordkit.faults.{fault}: {task} of {d.one_of(TABLES)} broke in '{flow}': "
        f"status {d.status(BAD_STATUSES)} from https://{d.one_of(HOSTS)}/v3/{d.one_of(TABLES)}/{d.below(10**7)}"
    )
    return "\n".join(lines)


# (weight, level, message) of lines of task runs.
TASK_TEMPLATES: tuple[tuple[int, int, Build], ...] = (
    (90, 20, lambda d, f, t: f"Handled item {d.below(10**9)} of shard {d.below(512)} in {d.fraction():.4f} s, outcome ok"),
    (80, 20, lambda d, f, t: f"Got page {d.below(400)}/{400 + d.below(500)} of https://{d.one_of(HOSTS)}/v3/{d.one_of(TABLES)}?after={d.hexadecimal(16)} with {900 + d.below(400_000)} bytes"),
    (70, 20, lambda d, f, t: f"Stored {100 + d.below(2 * 10**6)} rows as s3://{d.one_of(BUCKETS)}/{d.one_of(TABLES)}/day=2026-0{1 + d.below(9)}-{1 + d.below(28):02d}/block-{d.below(10_000):05d}.parquet"),
    (60, 10, lambda d, f, t: f"GET https://{d.one_of(HOSTS)}/v3/{d.one_of(TABLES)}/{d.below(10**7)} gave {d.status(STATUSES)} after {2 + d.below(1800)} ms"),
    (55, 20, lambda d, f, t: f"Chunk {d.below(300)} of {300 + d.below(100)} completed, new {d.below(5000)}, changed {d.below(900)}, left out {d.below(90)}"),
    (45, 10, lambda d, f, t: f"query {d.hexadecimal(8)}: SELECT * FROM {d.one_of(TABLES)} WHERE {d.one_of(COLUMNS)} >= {d.below(10**6)} LIMIT {1 + d.below(10_000)} took {d.fraction() * 400:.2f} ms"),
    (40, 20, lambda d, f, t: f"Checked {10 + d.below(10**5)} rows against contract {d.one_of(TABLES)}/v{1 + d.below(40)}: {d.below(30)} refused"),
    (40, 20, lambda d, f, t: "Finished in state Completed()"),
    (35, 10, lambda d, f, t: f"no cached value for {d.hexadecimal(32)} (ttl {30 + d.below(86_400)} s, zone eu-north-{1 + d.below(3)})"),
    (35, 10, lambda d, f, t: f"cached value for {d.hexadecimal(32)} is {d.below(86_400)} s old"),
    (30, 20, lambda d, f, t: f"Sending /var/spool/flows/{f}/{d.hexadecimal(8)}/piece_{d.below(10**6):06d}.csv.zst of {1 + d.below(90_000)} KiB to {d.one_of(BUCKETS)}"),
    (30, 30, lambda d, f, t: f"{t} on {d.one_of(TABLES)} is tried again in {1 + d.below(120)} s (try {1 + d.below(5)} of 5) after {d.one_of(FAULTS)}"),
    (25, 20, lambda d, f, t: f"round {d.below(30)} batch {d.below(10**5)}: loss {d.fraction() * 4:.5f}, rate {d.fraction() * 1e-3:.2e}, gradient {d.fraction() * 9:.3f}"),
    (25, 10, lambda d, f, t: f"holding lock {f}/{d.one_of(TABLES)} for worker {d.below(64)} after a wait of {d.fraction():.3f} s"),
    (20, 30, lambda d, f, t: f"Query on {d.one_of(TABLES)} needed {5 + d.fraction() * 60:.1f} s, more than 5.0 s; plan {d.hexadecimal(12)}"),
    (20, 20, lambda d, f, t: f"Model state kept at s3://{d.one_of(BUCKETS)}/models/{d.hexadecimal(12)}/{d.below(10**6)}.ckpt within {d.fraction() * 30:.1f} s"),
    (20, 20, lambda d, f, t: f"Delivery {d.hexadecimal(24)} on queue {d.one_of(TABLES)} completed and confirmed in {1 + d.below(30_000)} ms"),
    (20, 10, lambda d, f, t: f"process: resident {80 + d.below(3920)} MiB, heap {40 + d.below(2960)} MiB, {10 + d.below(890)} descriptors, {2 + d.below(62)} threads"),
    (15, 30, lambda d, f, t: f"{d.fraction() * 100:.2f} % of '{d.one_of(COLUMNS)}' is null in {d.one_of(TABLES)}; {1 + d.below(10)} % are allowed"),
    (15, 20, lambda d, f, t: f"Contact contact{d.below(10**5):05d}@mail.example is in step with remote {d.hexadecimal(16)}"),
    (12, 40, lambda d, f, t: f"Gave up on https://{d.one_of(HOSTS)}/v3/{d.one_of(TABLES)} with {d.status(BAD_STATUSES)} at try {2 + d.below(4)}, trace {d.hexadecimal(32)}"),
    (10, 40, lambda d, f, t: f"Set aside entry {d.hexadecimal(16)} of {d.one_of(TABLES)}: {d.one_of(FAULTS)} in '{d.one_of(COLUMNS)}'"),
    (8, 20, lambda d, f, t: f"Part {d.hexadecimal(8)} completed, output at s3://{d.one_of(BUCKETS)}/outputs/{d.hexadecimal(32)}"),
    (3, 50, lambda d, f, t: f"Quality of {d.one_of(TABLES)} is {d.fraction() * 0.5:.3f}, below {0.5 + d.fraction() * 0.4:.3f}: the run stops here"),
    (18, 40, traceback_message),
)  # fmt: skip

# The same for lines of the flow run alone.
FLOW_TEMPLATES: tuple[tuple[int, int, Build], ...] = (
    (40, 20, lambda d, f, t: f"Created task run '{t}-{d.hexadecimal(3)}' for task '{t}'"),
    (40, 20, lambda d, f, t: f"Submitted task run '{t}-{d.hexadecimal(3)}' for execution."),
    (10, 30, lambda d, f, t: f"No sign of life from '{t}-{d.hexadecimal(3)}' for {d.fraction() * 90:.1f} s"),
    (8, 20, lambda d, f, t: f"Pulling code from s3://{d.one_of(BUCKETS)}/releases/{f}/{d.hexadecimal(10)}.zip"),
    (5, 20, lambda d, f, t: f"Parameters of '{f}' resolved, {1 + d.below(24)} given, digest {d.hexadecimal(16)}"),
)  # fmt: skip


def weighted(templates: tuple[tuple[int, int, Build], ...]) -> list[tuple[int, Build]]:
    """Each template as often as its weight says, so that a uniform pick is a weighted one."""
    return [(level, build) for weight, level, build in templates for _ in range(weight)]


# Runs and workers --------------------------------------------------------------


def run_sizes(spec: CorpusSpec) -> list[int]:
    """Lines of each run: log-normal, at least 5, adding up to `spec.lines`."""
    rng = Random(f"run sizes {spec.seed}")
    count = max(MIN_RUN_LINES, spec.lines // MEAN_RUN_LINES)
    shares = [rng.lognormvariate(0, RUN_LINES_SIGMA) for _ in range(count)]
    scale = spec.lines / sum(shares)
    sizes = [max(MIN_RUN_LINES, round(share * scale)) for share in shares]
    # Rounding is settled on the largest run, which does not notice.
    sizes[sizes.index(max(sizes))] += spec.lines - sum(sizes)
    if min(sizes) < 1:
        raise ValueError(f"{spec.lines} lines are too few for {count} runs")
    return sizes


def line_gap(run_lines: int) -> float:
    """Mean seconds between two lines of a run with `run_lines` lines."""
    return 1 / LINES_PER_SECOND / max(1.0, (run_lines / MEAN_RUN_LINES) ** 0.7)


def deal_runs(sizes: list[int]) -> list[list[int]]:
    """The sizes each worker executes, in order: the next run goes to the worker that is free first."""
    dealt: list[list[int]] = [[] for _ in range(min(WORKERS, len(sizes)))]
    free_at = [(0.0, worker) for worker in range(len(dealt))]
    for size in sizes:
        seconds, worker = heapq.heappop(free_at)
        dealt[worker].append(size)
        heapq.heappush(free_at, (seconds + size * line_gap(size), worker))
    return dealt


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What one worker has to write."""

    spec: CorpusSpec
    worker: int
    sizes: list[int]
    path: Path


def write_shift(shift: Shift) -> list[Run]:
    """Write one worker's lines to its file, one JSON object a line; return its runs."""
    draws = Draws(f"{shift.spec.seed}/{shift.worker}")
    fraction, exponential, below = draws.fraction, draws.exponential, draws.below
    task_templates, flow_templates = weighted(TASK_TEMPLATES), weighted(FLOW_TEMPLATES)
    encode = msgspec.json.Encoder().encode
    clock = shift.spec.start + fraction() * 60
    second, second_text = -1, ""
    runs: list[Run] = []
    with shift.path.open("wb", buffering=1 << 20) as file:
        for size in shift.sizes:
            gap = line_gap(size)
            flow, flow_run_id = draws.one_of(FLOWS), draws.uuid7(clock)
            task, task_run_id, task_lines = "", "", 0
            runs.append(Run(flow_run_id=flow_run_id, lines=size))
            for _ in range(size):
                clock += exponential(1) * gap
                if task_lines == 0:
                    task, task_run_id = draws.one_of(TASKS), draws.uuid7(clock)
                    task_lines = 1 + below(MAX_TASK_RUN_LINES)
                task_lines -= 1
                if int(clock) != second:
                    second = int(clock)
                    second_text = dt.datetime.fromtimestamp(second, dt.UTC).strftime(
                        "%Y-%m-%dT%H:%M:%S"
                    )
                of_flow_run = fraction() < FLOW_RUN_LINE_SHARE
                templates = flow_templates if of_flow_run else task_templates
                level, build = templates[below(len(templates))]
                line = Line(
                    name="prefect.flow_runs" if of_flow_run else "prefect.task_runs",
                    level=level,
                    message=build(draws, flow, task),
                    timestamp=f"{second_text}.{int((clock - second) * 1e6):06d}+00:00",
                    flow_run_id=flow_run_id,
                    task_run_id=None if of_flow_run else task_run_id,
                )
                file.write(encode(line) + b"\n")
    return runs


# What the benchmark asks for ------------------------------------------------------


def ensure_corpus(spec: CorpusSpec, cache: Path = CACHE_DIR) -> Path:
    """The directory with the corpus, generated unless it is there: a file per worker, `runs.json`."""
    target = cache / spec.name
    if (target / "runs.json").exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there whole: an interrupted run leaves nothing that looks done.
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        made = Path(scratch) / "corpus"
        made.mkdir()
        shifts = [
            Shift(spec=spec, worker=worker, sizes=sizes, path=made / f"worker-{worker:02d}.jsonl")
            for worker, sizes in enumerate(deal_runs(run_sizes(spec)))
        ]
        if spec.lines < 50_000:
            written = [write_shift(shift) for shift in shifts]
        else:
            with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
                written = list(pool.map(write_shift, shifts))
        runs = [run for part in written for run in part]
        (made / "runs.json").write_bytes(msgspec.json.encode(runs))
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return target


def corpus_runs(spec: CorpusSpec, cache: Path = CACHE_DIR) -> list[Run]:
    """All runs of the corpus."""
    return msgspec.json.decode(
        (ensure_corpus(spec, cache) / "runs.json").read_bytes(), type=list[Run]
    )


def _worker_batches(path: Path, batch_lines: int) -> Iterator[tuple[bytes, str, bytes, int]]:
    with path.open("rb", buffering=1 << 20) as file:
        while lines := [line[:-1] for _, line in zip(range(batch_lines), file, strict=False)]:
            # The batch arrives when its last line was logged; equal times go by worker.
            key = b'"timestamp":"'
            at = lines[-1].rindex(key) + len(key)
            yield lines[-1][at : at + 26], path.name, b"[" + b",".join(lines) + b"]", len(lines)


def batches(
    spec: CorpusSpec, batch_lines: int, cache: Path = CACHE_DIR
) -> Iterator[tuple[bytes, int]]:
    """Bodies for `POST /api/logs/` with their number of lines, in order of arrival."""
    files = sorted(ensure_corpus(spec, cache).glob("worker-*.jsonl"))
    for _, _, body, count in heapq.merge(*(_worker_batches(file, batch_lines) for file in files)):
        yield body, count


def main() -> None:
    parser = argparse.ArgumentParser(description="Generate a log corpus and say what it is like.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    spec = CorpusSpec(lines=arguments.lines, seed=arguments.seed)
    directory = ensure_corpus(spec)
    runs = sorted(run.lines for run in corpus_runs(spec))
    size = sum(file.stat().st_size for file in directory.glob("worker-*.jsonl"))
    print(
        f"{directory}: {spec.lines:,} lines, {size / spec.lines:.1f} bytes each, {len(runs)} runs of "
        f"{runs[0]} to {runs[-1]:,} lines, median {runs[len(runs) // 2]:,}"
    )


if __name__ == "__main__":
    main()
