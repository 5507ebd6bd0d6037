"""From posted lines to the payload of one hot batch, many requests at a time.

Pure computation: it runs in a thread. Ids and timestamps are parsed for all lines at once in
Arrow; only when that refuses something are the bodies looked at one by one, so that the one with
the bad line is named and the others go on.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from app.wire.base import NIL_UUID
from app.wire.logs import LogCreate
from storage.logs.lines import HOT_LINES, TIMESTAMP, UUID_TYPE, microseconds_of, time_of

_IPC = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
# Of so few a loop takes less time than Arrow's kernels.
_FEW_ROWS = 500
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MIN_MICROSECONDS = (dt.datetime.min.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(
    microseconds=1
)
_MAX_MICROSECONDS = (dt.datetime.max.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(
    microseconds=1
)


# Up to here a loop over the lines takes less time than starting Arrow's kernels, which is most of what
# a flush of a few bodies costs: of 80 lines 0.5 ms of CPU instead of 1.
FEW_LINES = 500


class BadLine(Exception):
    """A line whose `field` cannot be stored, and why. `index` counts from 0 in its body."""

    def __init__(self, index: int, field: str, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """What one run has in a batch or a segment. `flow_run_id` is the nil UUID for lines outside
    any run, among which lines posted with the nil UUID count; times and levels are the run's own least and greatest in it."""

    flow_run_id: uuid.UUID
    rows: int
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    min_level: int
    max_level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedBatch:
    """One hot batch, ready to insert. `tasks` are its task runs, each with the flow runs that its lines name,
    None for none."""

    rows: int
    payload: bytes
    runs: list[RunPart]
    tasks: list[tuple[uuid.UUID, uuid.UUID | None]]


def encode_batch(lines: list[LogCreate]) -> EncodedBatch:
    """Encode lines as an Arrow IPC stream of `HOT_LINES`, compressed with zstd.

    Raises:
        BadLine: an id that is no UUID or a timestamp that is no time between years 1 and 9999.
    """
    table = to_table(lines)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, HOT_LINES, options=_IPC) as writer:
        writer.write_table(table)
    return EncodedBatch(
        rows=table.num_rows,
        payload=sink.getvalue().to_pybytes(),
        runs=run_parts(table) if len(lines) > FEW_LINES else _run_parts_of_few(lines, table),
        tasks=task_pairs(table),
    )


def decode_batch(payload: bytes, first_seq: int) -> pa.Table:
    """The lines of a batch, with their `seq`."""
    table = pa.ipc.open_stream(payload).read_all()
    return table.add_column(0, "seq", _seqs(first_seq, table.num_rows))


def decode_times(payload: bytes, first_seq: int) -> pa.Table:
    """The `seq`, `flow_run_id` and `timestamp` of a batch's lines, which takes a third of decoding all."""
    columns = [HOT_LINES.get_field_index(name) for name in ("flow_run_id", "timestamp")]
    options = pa.ipc.IpcReadOptions(included_fields=columns, use_threads=False)
    table = pa.ipc.open_stream(payload, options=options).read_all()
    return table.add_column(0, "seq", _seqs(first_seq, table.num_rows))


def _seqs(first: int, rows: int) -> "pa.Array[Any]":
    # The stubs do not know it yet.
    arange: Any = getattr(pa, "arange")  # noqa: B009
    return arange(first, first + rows)


def to_table(lines: list[LogCreate]) -> pa.Table:
    """The lines as `HOT_LINES`. Raises BadLine."""
    try:
        return pa.table(
            [
                _parse_uuids([line.flow_run_id for line in lines]),
                _parse_uuids([line.task_run_id for line in lines]),
                _parse_timestamps([line.timestamp for line in lines]),
                pa.array([line.level for line in lines], pa.int32()),
                pa.array([line.name for line in lines], pa.string()),
                pa.array([line.message for line in lines], pa.string()),
            ],
            schema=HOT_LINES,
        )
    except (pa.ArrowInvalid, ValueError):
        # Something Arrow does not read: times without a zone or with nanoseconds, or a bad line.
        return _to_table_slowly(lines)


def task_pairs(table: pa.Table) -> list[tuple[uuid.UUID, uuid.UUID | None]]:
    """The task runs of lines, each with the flow runs that the lines name, None for none."""
    columns = [table.column(name) for name in ("task_run_id", "flow_run_id")]
    if table.num_rows <= _FEW_ROWS:
        tasks, runs = (cast("list[bytes | None]", column.to_pylist()) for column in columns)
        found = set(zip(tasks, runs, strict=True))
    else:
        found = set(_distinct_pairs(*columns))
    return [
        (_uuid_of(task), None if run is None else _uuid_of(run))
        for task, run in found
        if task is not None
    ]


def _distinct_pairs(one: Any, other: Any) -> list[tuple[bytes | None, bytes | None]]:
    """As numbers, of which finding the distinct ones takes a third of grouping by two columns."""
    coded = [column.combine_chunks().dictionary_encode() for column in (one, other)]
    ones, others = ([*each.dictionary.to_pylist(), None] for each in coded)
    first, second = (
        pc.fill_null(each.indices.cast(pa.int64()), pa.scalar(len(each.dictionary)))
        for each in coded
    )
    numbers: Any = pc.add(pc.multiply(first, pa.scalar(len(others))), second)
    return [
        (ones[number // len(others)], others[number % len(others)])
        for number in numbers.unique().to_pylist()
    ]


@lru_cache(maxsize=8192)
def _uuid_of(value: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=value)


def run_parts(table: pa.Table) -> list[RunPart]:
    """What each run has in `table`, in the order of the run ids."""
    grouped = table.group_by("flow_run_id", use_threads=False).aggregate(
        [
            ("timestamp", "min"),
            ("timestamp", "max"),
            ("timestamp", "count"),
            ("level", "min"),
            ("level", "max"),
        ]
    )
    parts = [
        RunPart(
            flow_run_id=NIL_UUID if run is None else uuid.UUID(bytes=run),
            rows=rows,
            min_timestamp=time_of(first),
            max_timestamp=time_of(last),
            min_level=min_level,
            max_level=max_level,
        )
        for run, first, last, rows, min_level, max_level in zip(
            cast("list[bytes | None]", grouped.column("flow_run_id").to_pylist()),
            cast("list[int]", grouped.column("timestamp_min").cast(pa.int64()).to_pylist()),
            cast("list[int]", grouped.column("timestamp_max").cast(pa.int64()).to_pylist()),
            cast("list[int]", grouped.column("timestamp_count").to_pylist()),
            cast("list[int]", grouped.column("level_min").to_pylist()),
            cast("list[int]", grouped.column("level_max").to_pylist()),
            strict=True,
        )
    ]
    parts.sort(key=lambda part: part.flow_run_id)
    if len(parts) > 1 and parts[1].flow_run_id == NIL_UUID:
        parts[:2] = [joined_parts(parts[0], parts[1])]
    return parts


def _run_parts_of_few(lines: list[LogCreate], table: pa.Table) -> list[RunPart]:
    """As `run_parts` of the table that `lines` became."""
    times = cast("list[int]", table.column("timestamp").cast(pa.int64()).to_pylist())
    found: dict[bytes, tuple[list[int], list[int]]] = {}
    for line, time in zip(lines, times, strict=True):
        run = NIL_UUID.bytes if line.flow_run_id is None else _uuid_bytes(line.flow_run_id)
        if run not in found:
            found[run] = ([], [])
        run_times, levels = found[run]
        run_times.append(time)
        levels.append(line.level)
    return [
        RunPart(
            flow_run_id=uuid.UUID(bytes=run),
            rows=len(levels),
            min_timestamp=time_of(min(run_times)),
            max_timestamp=time_of(max(run_times)),
            min_level=min(levels),
            max_level=max(levels),
        )
        for run, (run_times, levels) in sorted(found.items())
    ]


def joined_parts(one: RunPart, other: RunPart) -> RunPart:
    """Two neighbouring parts as one: of the same run, or lines without a run and lines whose run is
    named by the nil UUID, for which the manifest has room once."""
    return RunPart(
        flow_run_id=one.flow_run_id,
        rows=one.rows + other.rows,
        min_timestamp=min(one.min_timestamp, other.min_timestamp),
        max_timestamp=max(one.max_timestamp, other.max_timestamp),
        min_level=min(one.min_level, other.min_level),
        max_level=max(one.max_level, other.max_level),
    )


def _parse_uuids(texts: list[str | None]) -> "pa.Array[pa.Scalar[pa.FixedSizeBinaryType]]":
    if len(texts) <= FEW_LINES:
        few = [None if text is None else _uuid_bytes(text) for text in texts]
        return pa.array(few, UUID_TYPE)
    coded = pa.array(texts, pa.string()).dictionary_encode()
    values = [_uuid_bytes(text) for text in coded.dictionary.to_pylist()]
    return pa.array(values, UUID_TYPE).take(coded.indices)


@lru_cache(maxsize=8192)
def _uuid_bytes(text: str) -> bytes:
    """The same runs and tasks come again with each post; parsing one takes longer
    than decoding a line."""
    return uuid.UUID(text).bytes


def _parse_timestamps(texts: list[str]) -> "pa.Array[pa.Scalar[pa.TimestampType[Any, Any]]]":
    times = pa.array(texts, pa.string()).cast(TIMESTAMP)
    bounds = pc.min_max(times.cast(pa.int64()))
    first, last = bounds["min"].as_py(), bounds["max"].as_py()
    if first is not None and (first < _MIN_MICROSECONDS or last > _MAX_MICROSECONDS):
        raise ValueError("a timestamp outside years 1 to 9999")
    return times


def _to_table_slowly(lines: list[LogCreate]) -> pa.Table:
    rows = [
        {
            "flow_run_id": _uuid(index, "flow_run_id", line.flow_run_id),
            "task_run_id": _uuid(index, "task_run_id", line.task_run_id),
            "timestamp": _microseconds(index, line.timestamp),
            "level": line.level,
            "name": line.name,
            "message": line.message,
        }
        for index, line in enumerate(lines)
    ]
    as_numbers = HOT_LINES.set(2, pa.field("timestamp", pa.int64()))
    return pa.Table.from_pylist(rows, schema=as_numbers).cast(HOT_LINES)


def _uuid(index: int, field: str, text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise BadLine(index, field, f"{text[:64]!r} is not a UUID") from None


def _microseconds(index: int, text: str) -> int:
    try:
        time = msgspec.convert(text, dt.datetime)
    except msgspec.ValidationError:
        try:
            time = dt.datetime.fromisoformat(text)
        except ValueError:
            message = f"{text[:64]!r} is not an ISO 8601 date and time"
            raise BadLine(index, "timestamp", message) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    microseconds = microseconds_of(time)
    if not _MIN_MICROSECONDS <= microseconds <= _MAX_MICROSECONDS:
        raise BadLine(index, "timestamp", f"{text[:64]!r} is outside years 1 to 9999 in UTC")
    return microseconds
