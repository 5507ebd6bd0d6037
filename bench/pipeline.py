"""The bare pipeline: what ingest and offload must do to a log line at least, and nothing else.

Decode the bodies with msgspec, make Arrow arrays of them, sort by (run, time), write Parquet; in a
loop, one process per core, with no server, no network and no disk. Tailrace cannot be faster.
"""

import io
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bench.corpus import CorpusSpec, Line, batches

# Lines sorted and written at once: about a minute of a busy server.
SEGMENT_LINES = 200_000
ROW_GROUP_LINES = 8_192


class PipelineResult(msgspec.Struct, frozen=True, kw_only=True):
    """Lines per second of all processes together, CPU seconds per million lines."""

    batch_lines: int
    processes: int
    lines_per_second: float
    cpu_seconds_per_million: float
    bytes_per_line: float


def _convert(lines: list[Line]) -> int:
    """One segment; the bytes it has."""
    table = pa.table(
        {
            "flow_run_id": pa.array([line.flow_run_id for line in lines]),
            "task_run_id": pa.array([line.task_run_id for line in lines]),
            "timestamp": pa.array([line.timestamp for line in lines]).cast(
                pa.timestamp("us", "UTC")
            ),
            "level": pa.array([line.level for line in lines], pa.int32()),
            "name": pa.array([line.name for line in lines]),
            "message": pa.array([line.message for line in lines]),
        }
    )
    ordered = table.sort_by([("flow_run_id", "ascending"), ("timestamp", "ascending")])
    sink = io.BytesIO()
    pq.write_table(
        ordered,
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP_LINES,
        use_dictionary=["flow_run_id", "task_run_id", "name", "level"],  # pyrefly: ignore
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        store_schema=False,
    )
    return sink.tell()


def _run(spec: CorpusSpec, batch_lines: int) -> tuple[int, float, float, int]:
    bodies = [body for body, _ in batches(spec, batch_lines)]
    decode = msgspec.json.Decoder(list[Line]).decode
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    lines: list[Line] = []
    size = 0
    before = os.times()
    began = time.perf_counter()
    for body in bodies:
        lines += decode(body)
        if len(lines) >= SEGMENT_LINES:
            size += _convert(lines)
            lines = []
    if lines:
        size += _convert(lines)
    seconds = time.perf_counter() - began
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    return spec.lines, seconds, cpu, size


def measure_pipeline(spec: CorpusSpec, batch_lines: int) -> PipelineResult:
    """Run it on every core at once, each with all of the corpus."""
    processes = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
        results = [pool.submit(_run, spec, batch_lines) for _ in range(processes)]
        parts = [result.result() for result in results]
    total = sum(lines for lines, _, _, _ in parts)
    return PipelineResult(
        batch_lines=batch_lines,
        processes=processes,
        lines_per_second=sum(lines / seconds for lines, seconds, _, _ in parts),
        cpu_seconds_per_million=sum(cpu for _, _, cpu, _ in parts) / total * 1e6,
        bytes_per_line=sum(size for _, _, _, size in parts) / total,
    )
