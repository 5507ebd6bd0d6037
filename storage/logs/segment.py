"""One segment: an immutable Parquet object of log lines, format version 1.

Columns as in `storage.logs.lines.LINES`, the two ids as Parquet UUIDs. Rows are sorted by
(flow_run_id, timestamp, seq), lines without a run first, so that a run's rows are contiguous.
Row groups have 8,192 rows, fewer where that would be more than 4 MiB: one known row group decodes in about
1.5 ms, and halving a page's time against larger ones costs nothing in size. `seq` and `timestamp` are delta-encoded (they are sorted
within a run: 1.5 bytes a line less than dictionary or plain), `message` is plain under zstd
(delta-length encoding makes it 1.6 bytes a line larger). Between the last row group and the file's end
lies an index of segments that were merged (`storage.logs.segment_index`).
"""

import bisect
import datetime as dt
import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from storage.logs.encode import RunPart, joined_parts, run_parts
from storage.logs.lines import LINES, UUID_TYPE
from storage.logs.messages import MESSAGE_TYPE, in_dictionary
from storage.logs.segment_index import FOOTER_KEY, IndexBuilder

FORMAT_VERSION = 1
ROW_GROUP_ROWS = 8192
# Decoded: where lines are long, a row group ends before it has more, or after one line.
ROW_GROUP_BYTES = 4 * 1024**2
# Lines that a writer collects before it writes their row groups, and their decoded bytes.
WRITE_ROWS = 8 * ROW_GROUP_ROWS
WRITE_BYTES = 8 * ROW_GROUP_BYTES
# Of segments that will be merged: level 3 takes longer and makes lines 0.7 % larger.
QUICK_ZSTD_LEVEL = 1
# Of those that stay: 14 % smaller for 1.9 s of CPU more per million lines, and read no slower. Level 19
# saves another 5 % and takes 26 s.
FINAL_ZSTD_LEVEL = 11
ERROR_LEVEL = 40

_UUID_COLUMNS = ("flow_run_id", "task_run_id")
_FILE_TYPES = {**dict.fromkeys(_UUID_COLUMNS, pa.uuid()), "message": MESSAGE_TYPE}
# With the field ids by which readers of the Iceberg table find the columns (`storage.archive.tables`).
_FILE_SCHEMA = pa.schema(
    [
        pa.field(
            field.name,
            _FILE_TYPES.get(field.name, field.type),
            metadata={"PARQUET:field_id": str(number)},
        )
        for number, field in enumerate(LINES, start=1)
    ]
)
# The stubs of pyarrow know neither a key's null placement nor a list of dictionary columns.
_SORT_KEYS: Any = [
    ("flow_run_id", "ascending", "at_start"),
    ("timestamp", "ascending"),
    ("seq", "ascending"),
]
_DICTIONARY_COLUMNS: Any = ["flow_run_id", "task_run_id", "name", "level", "message"]
# A dictionary that reaches it is given up for plain encoding, which no row group's messages shall be.
_DICTIONARY_BYTES = 1024**3
_STATISTICS: Any = ["seq", "flow_run_id", "task_run_id", "timestamp", "level"]
_ENCODINGS = {"seq": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BINARY_PACKED"}
_BLOOM_FILTERS = {"task_run_id": {"ndv": 256, "fpp": 0.01}}


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRun:
    """A run's rows in a segment: [first_row, first_row + part.rows), `errors` of them of level
    ERROR or above."""

    part: RunPart
    first_row: int
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSummary:
    """What the manifest says of a segment; `sha256` is of the whole object of `bytes` bytes,
    `footer_crc32` of its footer."""

    rows: int
    bytes: int
    sha256: bytes
    footer_crc32: int
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    min_run_id: uuid.UUID
    max_run_id: uuid.UUID
    runs: list[SegmentRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSegment:
    """A segment ready to upload."""

    body: bytes
    summary: SegmentSummary


class SegmentWriter:
    """Writes lines that come in the order of a segment, a few row groups in memory at a time.

    `sink` is written from its start to its end. A `final` segment, which is not to be rewritten, is
    compressed with more effort; one that will be merged soon needs not be `indexed`. Not thread-safe.
    """

    def __init__(self, sink: IO[bytes], *, final: bool = False, indexed: bool = True) -> None:
        self._sink = _Digesting(sink)
        self._index = IndexBuilder() if indexed else None
        self._file = pq.ParquetWriter(
            self._sink,  # pyrefly: ignore[bad-argument-type]
            _FILE_SCHEMA,
            compression="zstd",
            compression_level=FINAL_ZSTD_LEVEL if final else QUICK_ZSTD_LEVEL,
            use_dictionary=_DICTIONARY_COLUMNS,
            column_encoding=_ENCODINGS,
            write_statistics=_STATISTICS,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_page_checksum=True,
            bloom_filter_options=_BLOOM_FILTERS,
            store_schema=False,
        )
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._rows = 0
        self._runs: list[SegmentRun] = []

    @property
    def rows(self) -> int:
        """Lines appended so far."""
        return self._rows + self._waiting_rows

    @property
    def written_bytes(self) -> int:
        """Bytes of the row groups written so far; at most `WRITE_ROWS` lines wait besides."""
        return self._sink.size

    def append(self, lines: pa.Table) -> None:
        """Take a `LINES` table whose lines follow all lines taken before."""
        self._waiting.append(lines)
        self._waiting_rows += lines.num_rows
        self._waiting_bytes += lines.nbytes
        if self._waiting_rows >= WRITE_ROWS or self._waiting_bytes >= WRITE_BYTES:
            self._write(all_=False)

    def close(self) -> SegmentSummary:
        """Write what waits, the index, and the footer. At least one line must have been appended."""
        self._write(all_=True)
        if self._index is not None:
            section, place = self._index.encode(self._sink.size)
            self._sink.write(section)
            self._file.add_key_value_metadata({FOOTER_KEY.decode(): place.decode()})
        end = self._sink.end_of(self._file.close)
        return SegmentSummary(
            rows=self._rows,
            bytes=self._sink.size,
            sha256=self._sink.digest(),
            footer_crc32=crc32(end[-footer_length(end) :]),
            min_timestamp=min(run.part.min_timestamp for run in self._runs),
            max_timestamp=max(run.part.max_timestamp for run in self._runs),
            min_run_id=self._runs[0].part.flow_run_id,
            max_run_id=self._runs[-1].part.flow_run_id,
            runs=self._runs,
        )

    def _write(self, *, all_: bool) -> None:
        """Write the row groups of what waits; unless `all_`, what may become part of a larger one
        goes on waiting."""
        lines = pa.concat_tables(self._waiting).combine_chunks()
        written = 0
        while written < lines.num_rows:
            rows = _rows_of_group(lines, written)
            if not all_ and written + rows == lines.num_rows and rows < ROW_GROUP_ROWS:
                break
            group = lines.slice(written, rows)
            self._file.write_table(_to_file(group), row_group_size=rows)
            if self._index is not None:
                self._index.add(group)
            written += rows
        if written:
            _add_runs(self._runs, _segment_runs(lines.slice(0, written), self._rows))
            self._rows += written
        rest = lines.slice(written)
        self._waiting = [rest]
        self._waiting_rows = rest.num_rows
        self._waiting_bytes = rest.nbytes


def _rows_of_group(lines: pa.Table, first: int) -> int:
    """How many lines from `first` on make the next row group."""
    rows = min(ROW_GROUP_ROWS, lines.num_rows - first)
    if lines.slice(first, rows).nbytes <= ROW_GROUP_BYTES:
        return rows
    fitting = bisect.bisect_right(
        range(rows), ROW_GROUP_BYTES, key=lambda row: lines.slice(first, row + 1).nbytes
    )
    return max(1, fitting)


def encode_segment(lines: pa.Table) -> EncodedSegment:
    """Sort lines and write them as one segment. `lines` is a `LINES` table, not empty."""
    sink = io.BytesIO()
    # It will be merged within the hour.
    writer = SegmentWriter(sink, indexed=False)
    writer.append(in_segment_order(lines))
    summary = writer.close()
    return EncodedSegment(body=sink.getvalue(), summary=summary)


def in_segment_order(lines: pa.Table) -> pa.Table:
    """The lines in the order of a segment: (flow_run_id, timestamp, seq), no run first."""
    return lines.take(pc.sort_indices(lines, sort_keys=_SORT_KEYS))


def _segment_runs(table: pa.Table, first_row: int) -> list[SegmentRun]:
    failures = table.filter(pc.field("level") >= ERROR_LEVEL)
    errors = {part.flow_run_id: part.rows for part in run_parts(failures)}
    runs = []
    for part in run_parts(table):
        runs.append(
            SegmentRun(part=part, first_row=first_row, errors=errors.get(part.flow_run_id, 0))
        )
        first_row += part.rows
    return runs


def _add_runs(runs: list[SegmentRun], following: list[SegmentRun]) -> None:
    """Add those of the next rows; the run in which the rows before ended may go on."""
    for run in following:
        goes_on = runs and runs[-1].part.flow_run_id == run.part.flow_run_id
        runs.append(_joined(runs.pop(), run) if goes_on else run)


def _joined(one: SegmentRun, next_: SegmentRun) -> SegmentRun:
    """A run's rows and those that follow them, as one."""
    return SegmentRun(
        part=joined_parts(one.part, next_.part),
        first_row=one.first_row,
        errors=one.errors + next_.errors,
    )


def runs_of_file(path: Path) -> list[SegmentRun]:
    """The runs in a segment on disk, as its writer listed them."""
    runs: list[SegmentRun] = []
    rows = 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = from_file(file.read_row_group(group, columns=None, use_threads=False))
            _add_runs(runs, _segment_runs(table, rows))
            rows += table.num_rows
    return runs


def footer_length(tail: bytes) -> int:
    """Bytes of the footer of a Parquet file that ends with `tail`, its 8-byte trailer included."""
    return int.from_bytes(tail[-8:-4], "little") + 8


def parse_footer(footer: bytes) -> pq.FileMetaData:
    """The metadata from the last `footer_length` bytes of a file."""
    return pq.read_metadata(pa.BufferReader(b"PAR1" + footer))


def read_row_group(
    metadata: pq.FileMetaData, data: bytes, columns: list[str] | None = None
) -> pa.Table:
    """Decode a row group, or some of its columns, from its bytes. `metadata` is that of a file which begins
    with them and has nothing else (`Layout.metadata`)."""
    # Not a file object of Python: Arrow asks it for each column, and must have the interpreter for that.
    with pq.ParquetFile(
        pa.BufferReader(pa.py_buffer(data)),
        metadata=metadata,
        pre_buffer=False,
        page_checksum_verification=True,
    ) as file:
        return from_file(file.read_row_group(0, columns=columns, use_threads=False))


def chunk_start(chunk: pq.ColumnChunkMetaData) -> int:
    """Where a column of a row group begins in the file."""
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        return min(chunk.dictionary_page_offset, chunk.data_page_offset)
    return chunk.data_page_offset


def _to_file(table: pa.Table) -> pa.Table:
    columns: list[Any] = [_to_uuid(table.column(name)) for name in LINES.names]
    columns[LINES.names.index("message")] = in_dictionary(table.column("message"))
    return pa.table(columns, schema=_FILE_SCHEMA)


def from_file(table: pa.Table) -> pa.Table:
    """Lines as a segment's file has them, as `LINES`, or those columns of it that are there."""
    names = [name for name in LINES.names if name in table.schema.names]
    return pa.table(
        [_from_uuid(table.column(name)) for name in names],
        schema=pa.schema([LINES.field(name) for name in names]),
    )


def _to_uuid(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    return column.cast(pa.uuid()) if column.type == UUID_TYPE else column


def _from_uuid(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    return column.cast(UUID_TYPE) if column.type == pa.uuid() else column


class _Digesting(io.RawIOBase):
    """A file that knows the size and the hash of what was written to it."""

    def __init__(self, sink: IO[bytes]) -> None:
        super().__init__()
        self._sink = sink
        self._hash = sha256()
        self._end: bytearray | None = None
        self.size = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Any) -> int:
        self._hash.update(data)
        if self._end is not None:
            self._end += data
        self.size += len(data)
        return self._sink.write(data)

    @override
    def tell(self) -> int:
        return self.size

    def end_of(self, close: Callable[[], None]) -> bytes:
        """What is written while `close` runs."""
        self._end = bytearray()
        close()
        return bytes(self._end)

    def digest(self) -> bytes:
        """SHA-256 of everything written."""
        return self._hash.digest()
