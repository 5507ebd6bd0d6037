"""What is counted: lines of some times and levels that match, by bucket of time or by run. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from app.wire.logs import LogFilter
from storage.logs.lines import LINES, UUID_TYPE, microseconds_of
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import EVERYTHING, Predicate, both, compile_filter
from storage.logs.questions import bounds_of, level_set
from storage.logs.required_text import Clauses, required_text
from storage.logs.rollup import RUNS, runs_of, summed
from storage.logs.source_rows import Block
from storage.logs.text import parse_text_query
from storage.logs.text_rows import searched_clauses

BUCKETS = pa.schema(
    [pa.field("bucket", pa.int64()), LINES.field("level"), pa.field("lines", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Span:
    """Times from `start` until before `end`, in microseconds since the epoch."""

    start: int
    end: int

    def holds(self, source: Source) -> bool:
        """Whether every line of the source is within."""
        return self.start <= microseconds_of(source.min_timestamp) and (
            microseconds_of(source.max_timestamp) < self.end
        )

    def overlaps(self, block: Block) -> bool:
        """Whether the block may have a line within."""
        return self.start < self.end and (
            self.start <= block.upper[0] and block.lower[0] < self.end
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is counted: lines in `span` with levels within `bounds`, and among `levels` unless that is
    None, that match `predicate`; `bucket` is the width of a bucket in microseconds, None counts by run.
    `text` is what lines that match hold, and `beside_text` what is left of the predicate for lines that hold
    all of it whose terms are plain (`text_rows.searched_clauses`). Unless `runs` is None only their lines are counted, whatever else
    the sources hold."""

    span: Span
    bounds: Bounds
    levels: Sequence[int] | None
    predicate: Predicate
    bucket: int | None
    text: Clauses
    beside_text: Predicate
    runs: Sequence[uuid.UUID] | None = None

    @property
    def columns(self) -> list[str]:
        """Columns that counting needs."""
        return (
            ["timestamp", "level"]
            if self.bucket is not None
            else ["timestamp", "level", "flow_run_id"]
        )

    @property
    def schema(self) -> pa.Schema:
        """Of the counts: `BUCKETS`, whose bucket is its first microsecond, or `rollup.RUNS`."""
        return RUNS if self.bucket is None else BUCKETS

    def buckets_of(
        self, times: "pa.ChunkedArray[pa.Scalar[pa.DataType]]", bucket: int
    ) -> "pa.ChunkedArray[pa.Int64Scalar]":
        """The buckets of times within the span."""
        origin = self.span.start // bucket * bucket
        numbers = pc.divide(pc.subtract(times.cast(pa.int64()), origin), bucket)
        return pc.add(pc.multiply(numbers, bucket), origin)

    def of_levels(self, table: pa.Table) -> pa.Table:
        """The lines, or counts, of the levels that are counted."""
        least, greatest = self.bounds.least_level, self.bounds.greatest_level
        if least is not None:
            table = table.filter(pc.greater_equal(table["level"], pa.scalar(least, pa.int64())))
        if greatest is not None:
            table = table.filter(pc.less_equal(table["level"], pa.scalar(greatest, pa.int64())))
        if self.levels is not None:
            wanted = pa.array(self.levels, table.schema.field("level").type)
            table = table.filter(pc.is_in(table["level"], value_set=wanted))
        return table

    def of_runs(self, counts: pa.Table) -> pa.Table:
        """Counts of the runs that are counted."""
        if self.runs is None:
            return counts
        wanted = pa.array([run.bytes for run in self.runs], UUID_TYPE)
        return counts.filter(pc.is_in(counts.column("flow_run_id"), value_set=wanted))

    def counted(self, lines: pa.Table, sign: int) -> pa.Table:
        """Counts of lines, `sign` times."""
        if self.bucket is None:
            counts = runs_of(lines)
        else:
            ones = pa.repeat(pa.scalar(1, pa.int64()), lines.num_rows)
            buckets = self.buckets_of(lines.column("timestamp"), self.bucket)
            counts = summed(
                [pa.table({"bucket": buckets, "level": lines.column("level"), "lines": ones})],
                BUCKETS,
            )
        return counts.set_column(2, "lines", pc.multiply(counts.column("lines"), sign))


def counting_of(
    log_filter: LogFilter,
    runs: list[uuid.UUID] | None,
    span: Span,
    bucket: int | None,
    also: Predicate = EVERYTHING,
) -> Counting:
    """What is counted, by bucket of so many microseconds and level, or without buckets by run and level;
    `runs` are those of the filter when it names them, and `also` holds besides."""
    span, bounds, levels, rest = _bounds_and_rest(log_filter, span)
    if runs is not None:
        rest = msgspec.structs.replace(rest, flow_run_id=None)
    return Counting(
        span=span,
        bounds=bounds,
        levels=levels,
        predicate=both(compile_filter(rest), also),
        bucket=bucket,
        text=[*required_text(rest), *also.text],
        beside_text=both(compile_filter(_beside_plain_text(rest)), also),
        runs=runs,
    )


def _bounds_and_rest(
    log_filter: LogFilter, span: Span
) -> tuple[Span, Bounds, list[int] | None, LogFilter]:
    """What a filter says of times and levels, when it says it of all lines, and what it says besides."""
    if log_filter.operator == "or_":
        return span, Bounds(), None, log_filter
    timestamp = log_filter.timestamp
    start, end = span.start, span.end
    if timestamp is not None and timestamp.after_ is not None:
        start = max(start, microseconds_of(timestamp.after_))
    if timestamp is not None and timestamp.before_ is not None:
        end = min(end, microseconds_of(timestamp.before_) + 1)
    near = bounds_of(log_filter)
    bounds = Bounds(
        least_level=_near_levels(near.least_level),
        greatest_level=_near_levels(near.greatest_level),
    )
    rest = LogFilter(
        flow_run_id=log_filter.flow_run_id,
        task_run_id=log_filter.task_run_id,
        text=log_filter.text,
    )
    return Span(start, end), bounds, level_set(log_filter), rest


def _beside_plain_text(log_filter: LogFilter) -> LogFilter:
    """The filter without its text, when that is no more than its plain clauses."""
    if log_filter.text is None or log_filter.operator == "or_":
        return log_filter
    clauses = required_text(log_filter)
    if parse_text_query(log_filter.text.query).none_of or searched_clauses(clauses) != [
        tuple(map(str.lower, clause)) for clause in clauses
    ]:
        return log_filter
    return msgspec.structs.replace(log_filter, text=None)


def _near_levels(level: int | None) -> int | None:
    """A bound that means the same for levels, which have 32 bits, and has 64 bits."""
    return None if level is None else min(max(level, -(2**31) - 1), 2**31)
