"""Counts of lines as they are answered."""

import datetime as dt
import uuid

import pyarrow as pa
import pyarrow.compute as pc

from app.wire.log_counts import LogBucket, LogCounts, LogHistogram, RunLogCounts
from storage.logs.lines import microseconds_of, time_of


def to_histogram(counts: pa.Table, bucket_seconds: float, start: dt.datetime) -> LogHistogram:
    """The answer of counts by bucket and level (`histogram.BUCKETS`) of lines from `start` on."""
    buckets: dict[int, dict[int, int]] = {}
    for bucket, level, lines in zip(
        *(counts.column(name).to_pylist() for name in ("bucket", "level", "lines")), strict=True
    ):
        buckets.setdefault(bucket, {})[level] = lines
    earliest = microseconds_of(start)
    return LogHistogram(
        bucket_seconds=bucket_seconds,
        lines=_total(counts),
        buckets=[
            LogBucket(
                start=time_of(max(bucket, earliest)),
                lines=sum(levels.values()),
                levels=levels,
            )
            for bucket, levels in buckets.items()
        ],
    )


def to_run_counts(counts: pa.Table, limit: int) -> LogCounts:
    """The answer of counts by run and level (`rollup.RUNS`): at most `limit` runs."""
    runs = counts.group_by("flow_run_id", use_threads=False).aggregate([("lines", "sum")])
    most = runs.sort_by([("lines_sum", "descending"), ("flow_run_id", "ascending")]).slice(0, limit)
    told = most.column("flow_run_id").to_pylist()
    wanted = pa.array(told, counts.schema.field("flow_run_id").type)
    theirs = counts.filter(pc.is_in(counts.column("flow_run_id"), value_set=wanted))
    levels: dict[bytes | None, dict[int, int]] = {}
    for run, level, lines in zip(
        *(theirs.column(name).to_pylist() for name in ("flow_run_id", "level", "lines")),
        strict=True,
    ):
        levels.setdefault(run, {})[level] = lines
    return LogCounts(
        lines=_total(counts),
        run_count=runs.num_rows,
        runs=[
            RunLogCounts(
                flow_run_id=None if run is None else uuid.UUID(bytes=run),
                lines=sum(levels[run].values()),
                levels=levels[run],
            )
            for run in told
        ],
    )


def _total(counts: pa.Table) -> int:
    total: int | None = pc.sum(counts.column("lines")).as_py()
    return total or 0
