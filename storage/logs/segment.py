"""One segment: an immutable Parquet object of log lines, format version 1.

Columns as in `storage.logs.lines.LINES`, the two ids as Parquet UUIDs. Rows are sorted by
(flow_run_id, timestamp, seq), lines without a run first, so that a run's rows are contiguous.
Row groups have 8,192 rows: one known row group decodes in about 1.5 ms, and halving a page's time
against larger ones costs nothing in size. `seq` and `timestamp` are delta-encoded (they are sorted
within a run: 1.5 bytes a line less than dictionary or plain), `message` is plain under zstd
(delta-length encoding makes it 1.6 bytes a line larger).
"""

import datetime as dt
import io
import uuid
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from storage.logs.encode import RunPart, run_parts
from storage.logs.lines import LINES, UUID_TYPE

FORMAT_VERSION = 1
ROW_GROUP_ROWS = 8192
ZSTD_LEVEL = 3
ERROR_LEVEL = 40
# Read at first to find the footer; 600,000 rows have a footer of about 60 KB.
FOOTER_GUESS_BYTES = 128 * 1024

_UUID_COLUMNS = ("flow_run_id", "task_run_id")
_FILE_SCHEMA = pa.schema(
    [field.with_type(pa.uuid()) if field.name in _UUID_COLUMNS else field for field in LINES]
)
# The stubs of pyarrow know neither a key's null placement nor a list of dictionary columns.
_SORT_KEYS: Any = [
    ("flow_run_id", "ascending", "at_start"),
    ("timestamp", "ascending"),
    ("seq", "ascending"),
]
_DICTIONARY_COLUMNS: Any = ["flow_run_id", "task_run_id", "name", "level"]
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
class EncodedSegment:
    """A segment ready to upload, and what the manifest says of it."""

    body: bytes
    rows: int
    min_timestamp: dt.datetime
    max_timestamp: dt.datetime
    min_run_id: uuid.UUID
    max_run_id: uuid.UUID
    runs: list[SegmentRun]


def encode_segment(lines: pa.Table) -> EncodedSegment:
    """Sort lines and write them as one Parquet file. `lines` is a `LINES` table, not empty."""
    table = lines.take(pc.sort_indices(lines, sort_keys=_SORT_KEYS)).combine_chunks()
    sink = pa.BufferOutputStream()
    pq.write_table(
        _to_file(table),
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=_DICTIONARY_COLUMNS,
        column_encoding=_ENCODINGS,
        write_page_index=True,
        bloom_filter_options=_BLOOM_FILTERS,
        store_schema=False,
    )
    runs = _segment_runs(table)
    return EncodedSegment(
        body=sink.getvalue().to_pybytes(),
        rows=table.num_rows,
        min_timestamp=min(run.part.min_timestamp for run in runs),
        max_timestamp=max(run.part.max_timestamp for run in runs),
        min_run_id=runs[0].part.flow_run_id,
        max_run_id=runs[-1].part.flow_run_id,
        runs=runs,
    )


def _segment_runs(table: pa.Table) -> list[SegmentRun]:
    failures = table.filter(pc.field("level") >= ERROR_LEVEL)
    errors = {part.flow_run_id: part.rows for part in run_parts(failures)}
    runs = []
    first_row = 0
    for part in run_parts(table):
        runs.append(
            SegmentRun(part=part, first_row=first_row, errors=errors.get(part.flow_run_id, 0))
        )
        first_row += part.rows
    return runs


def footer_length(tail: bytes) -> int:
    """Bytes of the footer of a Parquet file that ends with `tail`, its 8-byte trailer included."""
    return int.from_bytes(tail[-8:-4], "little") + 8


def parse_footer(footer: bytes) -> pq.FileMetaData:
    """The metadata from the last `footer_length` bytes of a file."""
    return pq.read_metadata(io.BytesIO(b"PAR1" + footer))


def row_group_span(metadata: pq.FileMetaData, first: int, last: int) -> tuple[int, int]:
    """Where row groups `first` to `last` (inclusive) lie in the file: (offset, length)."""
    start = _chunk_start(metadata.row_group(first).column(0))
    group = metadata.row_group(last)
    end = 0
    for index in range(group.num_columns):
        chunk = group.column(index)
        end = max(end, _chunk_start(chunk) + chunk.total_compressed_size)
    return start, end - start


def read_row_group(metadata: pq.FileMetaData, group: int, data: bytes) -> pa.Table:
    """Decode a row group from its bytes, which `row_group_span` says where to find."""
    offset, _ = row_group_span(metadata, group, group)
    window = pa.PythonFile(_Window(offset, data), mode="r")
    with pq.ParquetFile(window, metadata=metadata, pre_buffer=False) as file:
        return _from_file(file.read_row_group(group, use_threads=False))


def _chunk_start(chunk: pq.ColumnChunkMetaData) -> int:
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        return min(chunk.dictionary_page_offset, chunk.data_page_offset)
    return chunk.data_page_offset


def _to_file(table: pa.Table) -> pa.Table:
    return pa.table([_to_uuid(table.column(name)) for name in LINES.names], schema=_FILE_SCHEMA)


def _from_file(table: pa.Table) -> pa.Table:
    return pa.table([_from_uuid(table.column(name)) for name in LINES.names], schema=LINES)


def _to_uuid(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    return column.cast(pa.uuid()) if column.type == UUID_TYPE else column


def _from_uuid(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    return column.cast(UUID_TYPE) if column.type == pa.uuid() else column


class _Window(io.RawIOBase):
    """A file of which only the bytes from `offset` on are here."""

    def __init__(self, offset: int, data: bytes) -> None:
        super().__init__()
        self._offset = offset
        self._data = memoryview(data)
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._offset + len(self._data),
        }
        self._position = base[whence] + position
        return self._position

    @override
    def read(self, size: int = -1) -> bytes:
        if self._position < self._offset:
            raise OSError(
                f"byte {self._position} was not fetched, the window starts at {self._offset}"
            )
        start = self._position - self._offset
        chunk = self._data[start:] if size < 0 else self._data[start : start + size]
        self._position += len(chunk)
        return bytes(chunk)
