"""Many segments become few: a streaming merge, pure of S3 and PostgreSQL.

Inputs are segments on disk, each in the order of a segment. A window of each is in memory; what is
not greater than the least of the windows' last lines is merged and given on, and the windows that are
used up are filled again. So memory is bounded by the number of inputs, not by their size.

Runs in a thread. What is dropped on the way is what `Unwanted` names.
"""

import bisect
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.wire.base import NIL_UUID
from storage.logs.lines import TIMESTAMP, UUID_TYPE
from storage.logs.manifest import Unwanted
from storage.logs.segment import (
    ROW_GROUP_ROWS,
    SegmentSummary,
    SegmentWriter,
    from_file,
    in_segment_order,
)

# An output that has this many bytes ends at the next run; one twice as large ends at once.
OUTPUT_BYTES = 128 * 1024**2
# Decoded, of each input. A row group of usual lines has 1.4 MB.
WINDOW_BYTES = 2 * 1024**2
READ_BUFFER_BYTES = 1024**2
# Days that get an object of their own in one merge. Clocks of clients can name any day; lines of more
# days than this lie together until the next merge, of that object alone.
MAX_DAYS = 8

_Key: TypeAlias = tuple[bytes, int, int]
_ANY_DAY = 2**62


class DamagedInput(Exception):
    """An input, the `index`th, is no readable segment."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class Cancelled(Exception):
    """Whoever asked for the merge does not want it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFile:
    """One output on disk."""

    path: Path
    summary: SegmentSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The outputs of a merge, and how many unwanted lines were left out."""

    files: list[MergedFile]
    dropped_rows: int


def merge_segments(
    inputs: list[Path],
    directory: Path,
    *,
    unwanted: Unwanted,
    final: bool,
    cancel: threading.Event,
) -> Merged:
    """Merge segments into files in `directory`. `final` ones are not merged again: each has lines of
    one day (UTC) only, but for one with the lines of all days beyond the first `MAX_DAYS`, and is
    compressed with more effort.

    Raises:
        DamagedInput: an input cannot be decoded.
        Cancelled: `cancel` was set.
        OSError: the disk is full.
    """
    outputs = _Outputs(directory=directory, final=final)
    dropped = 0
    try:
        for lines in _merged([_Input(index, path) for index, path in enumerate(inputs)]):
            if cancel.is_set():
                raise Cancelled
            kept = _without(lines, unwanted)
            dropped += lines.num_rows - kept.num_rows
            if kept.num_rows:
                outputs.append(kept)
        return Merged(files=outputs.close(), dropped_rows=dropped)
    finally:
        outputs.abandon()


class _Input:
    """A segment of which a window is in memory."""

    def __init__(self, index: int, path: Path) -> None:
        self._index = index
        self._path = path
        self._batches = self._read()
        self.window = self._next()

    @property
    def ended(self) -> bool:
        """Whether the window is empty and nothing follows."""
        return not self.window.num_rows

    def last(self) -> _Key:
        """The key of the window's last line."""
        return _key(self.window, self.window.num_rows - 1)

    def take(self, bound: _Key) -> pa.Table:
        """The window's lines up to and with `bound`; when none are left, the window is filled."""
        window = self.window
        count = bisect.bisect_right(
            range(window.num_rows), bound, key=lambda row: _key(window, row)
        )
        self.window = window.slice(count) if count < window.num_rows else self._next()
        return window.slice(0, count)

    def _next(self) -> pa.Table:
        return next(self._batches, _NOTHING)

    def _read(self) -> Iterator[pa.Table]:
        try:
            with pq.ParquetFile(
                self._path,
                buffer_size=READ_BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
            ) as file:
                for group in range(file.num_row_groups):
                    metadata = file.metadata.row_group(group)
                    line_bytes = max(1, metadata.total_byte_size // metadata.num_rows)
                    for batch in file.iter_batches(
                        batch_size=max(1, min(ROW_GROUP_ROWS, WINDOW_BYTES // line_bytes)),
                        row_groups=[group],
                        use_threads=False,
                    ):
                        yield from_file(pa.Table.from_batches([batch])).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            raise DamagedInput(self._index, str(error)) from error


_NOTHING = pa.table(
    {
        "flow_run_id": pa.array([], UUID_TYPE),
        "timestamp": pa.array([], TIMESTAMP),
        "seq": pa.array([], pa.int64()),
    }
)


def _key(lines: pa.Table, row: int) -> _Key:
    """Where a line stands in the order of a segment; a line without a run stands first."""
    run: bytes | None = lines.column("flow_run_id")[row].as_py()
    time: int = lines.column("timestamp")[row].value
    seq: int = lines.column("seq")[row].as_py()
    return (run or b"", time, seq)


def _merged(inputs: list[_Input]) -> Iterator[pa.Table]:
    """All lines of the inputs in order, a few windows at a time."""
    open_ = [each for each in inputs if not each.ended]
    while open_:
        bound = min(each.last() for each in open_)
        parts = [part for each in open_ if (part := each.take(bound)).num_rows]
        yield parts[0] if len(parts) == 1 else in_segment_order(pa.concat_tables(parts))
        open_ = [each for each in open_ if not each.ended]


def _without(lines: pa.Table, unwanted: Unwanted) -> pa.Table:
    deleted = unwanted.deleted
    for name, ids in (("flow_run_id", deleted.runs), ("task_run_id", deleted.tasks)):
        if ids:
            lines = _drop(lines, _is_one_of(lines, name, ids))
    for level in set(unwanted.below_level.values()):
        runs = [run for run, below in unwanted.below_level.items() if below == level]
        low = pc.less(lines.column("level"), pa.scalar(level, pa.int32()))
        lines = _drop(lines, pc.and_(low, _is_one_of(lines, "flow_run_id", runs)))
    if unwanted.runless_before is not None:
        runs_none = pc.or_(
            pc.is_null(lines.column("flow_run_id")),
            _is_one_of(lines, "flow_run_id", [NIL_UUID]),
        )
        old = pc.less(lines.column("timestamp"), pa.scalar(unwanted.runless_before, TIMESTAMP))
        lines = _drop(lines, pc.and_(runs_none, old))
    return lines


def _is_one_of(lines: pa.Table, name: str, ids: list[uuid.UUID]) -> Any:
    return pc.is_in(lines.column(name), pa.array([each.bytes for each in ids], UUID_TYPE))


def _drop(lines: pa.Table, unwanted: Any) -> pa.Table:
    return lines.filter(pc.invert(unwanted)) if pc.any(unwanted).as_py() else lines


@dataclass(slots=True)
class _Output:
    path: Path
    sink: IO[bytes]
    writer: SegmentWriter
    last_run: bytes | None = None


@dataclass(slots=True, kw_only=True)
class _Outputs:
    """The files that are written: one open for each day, those that are full closed."""

    directory: Path
    final: bool
    done: list[MergedFile] = field(default_factory=list)
    _open: dict[int, _Output] = field(default_factory=dict)
    _made: int = 0

    def append(self, lines: pa.Table) -> None:
        """Write lines that follow all lines before."""
        if not self.final:
            self._append(0, lines)
            return
        days = pc.floor_temporal(lines.column("timestamp"), unit="day").cast(pa.int64())
        bounds = pc.min_max(days)
        if bounds["min"] == bounds["max"]:
            self._append(self._day(bounds["min"].as_py()), lines)
            return
        for day in sorted(set(days.to_pylist())):
            self._append(self._day(day), lines.filter(pc.equal(days, day)))

    def close(self) -> list[MergedFile]:
        """End the files; gives all."""
        for day in list(self._open):
            self._finish(day)
        return self.done

    def abandon(self) -> None:
        """Let go of files that were not ended."""
        for output in self._open.values():
            output.sink.close()
        self._open.clear()

    def _day(self, day: int) -> int:
        return day if day in self._open or len(self._open) < MAX_DAYS else _ANY_DAY

    def _append(self, day: int, lines: pa.Table) -> None:
        output = self._open.get(day)
        if output is not None and output.writer.written_bytes >= OUTPUT_BYTES:
            # Runs of one object and of the next do not overlap, unless one alone is larger.
            same = _rows_of(lines, output.last_run)
            if output.writer.written_bytes < 2 * OUTPUT_BYTES and same:
                self._write(output, lines.slice(0, same))
                lines = lines.slice(same)
            if lines.num_rows:
                self._finish(day)
                output = None
        if lines.num_rows:
            self._write(output or self._begin(day), lines)

    def _write(self, output: _Output, lines: pa.Table) -> None:
        output.writer.append(lines)
        output.last_run = lines.column("flow_run_id")[-1].as_py()

    def _begin(self, day: int) -> _Output:
        self._made += 1
        path = self.directory / f"merged-{self._made}.parquet"
        sink = path.open("wb")
        output = _Output(path=path, sink=sink, writer=SegmentWriter(sink, final=self.final))
        self._open[day] = output
        return output

    def _finish(self, day: int) -> None:
        output = self._open[day]
        summary = output.writer.close()
        output.sink.close()
        del self._open[day]
        self.done.append(MergedFile(path=output.path, summary=summary))


def _rows_of(lines: pa.Table, run: bytes | None) -> int:
    """How many lines at the beginning are of this run."""
    column = lines.column("flow_run_id")
    return bisect.bisect_right(
        range(lines.num_rows), run or b"", key=lambda row: column[row].as_py() or b""
    )
