"""What reading lines needs of a segment's footer, in little memory.

A footer has about 1 KB for each row group, and parsed several times that in small pieces: the footers of
100 million lines would fill what a process may have. A layout keeps 0.4 KB of it in a few large pieces: where
row groups lie, bounds on what they hold, and for each one the footer of a Parquet file that has it alone,
from which Arrow decodes it. Those are written here in Thrift's compact protocol, as in
https://github.com/apache/parquet-format (`parquet.thrift`), without statistics.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass

import pyarrow.parquet as pq

from storage.logs.lines import LINES
from storage.logs.segment import chunk_start, parse_footer

# Of columns whose bounds are kept, each as a least and a greatest value.
BOUNDED = ("timestamp", "seq", "level")

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_TYPES = {"INT32": 1, "INT64": 2, "BYTE_ARRAY": 6, "FIXED_LEN_BYTE_ARRAY": 7}
_ENCODINGS = {
    "PLAIN": 0,
    "PLAIN_DICTIONARY": 2,
    "RLE": 3,
    "BIT_PACKED": 4,
    "DELTA_BINARY_PACKED": 5,
    "DELTA_LENGTH_BYTE_ARRAY": 6,
    "DELTA_BYTE_ARRAY": 7,
    "RLE_DICTIONARY": 8,
    "BYTE_STREAM_SPLIT": 9,
}
_CODECS = {"UNCOMPRESSED": 0, "ZSTD": 6}


@dataclass(frozen=True, slots=True)
class Layout:
    """The row groups of a segment. Of row group n: `starts[n]` is its first row, `starts[n + 1]` that
    after its last; `offsets` alike in bytes of the object; `decoded_bytes[n]` what Parquet says that it
    has. `bounds` has `BOUNDED`'s least and greatest values, six for each row group."""

    starts: "array[int]"
    offsets: "array[int]"
    decoded_bytes: "array[int]"
    bounds: "array[int]"
    key_values: dict[bytes, bytes] | None
    _schema: bytes
    _groups: bytes
    _places: "array[int]"

    @property
    def groups(self) -> int:
        """How many row groups there are."""
        return len(self.decoded_bytes)

    @property
    def nbytes(self) -> int:
        """About what it takes in memory."""
        arrays = (self.starts, self.offsets, self.decoded_bytes, self.bounds, self._places)
        return len(self._groups) + sum(len(each) * each.itemsize for each in arrays) + 1000

    def group_of(self, row: int) -> int:
        """The row group of a row."""
        return bisect_right(self.starts, row) - 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where row groups `first` to `last` (inclusive) lie in the object: (offset, length)."""
        return self.offsets[first], self.offsets[last + 1] - self.offsets[first]

    def metadata(self, group: int) -> pq.FileMetaData:
        """As of a file that begins with this row group and has no other."""
        rows = self.starts[group + 1] - self.starts[group]
        footer = (
            self._schema
            + _rows_and_groups(rows, 1)
            + self._groups[self._places[group] : self._places[group + 1]]
            + b"\0"
        )
        return parse_footer(footer + len(footer).to_bytes(4, "little") + b"PAR1")


def layout_of(footer: bytes, metadata: pq.FileMetaData) -> Layout:
    """The layout of a segment from the bytes of its footer and what they say; takes 30 µs for each row
    group.

    Raises:
        ValueError: a row group has no statistics of a bounded column, or a column is not as segments have
            them.
    """
    # The schema, and the version before it, go into every footer as they are.
    schema_end = footer.find(_rows_and_groups(metadata.num_rows, metadata.num_row_groups))
    if schema_end < 0:
        raise ValueError("its footer does not begin with a schema")
    starts, offsets, places = array("q", [0]), array("q"), array("q", [0])
    decoded_bytes, bounds = array("q"), array("q")
    groups = bytearray()
    end = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        chunks = [group.column(column) for column in range(group.num_columns)]
        starts.append(starts[-1] + group.num_rows)
        offsets.append(chunk_start(chunks[0]))
        decoded_bytes.append(group.total_byte_size)
        for name in BOUNDED:
            bounds.extend(_bounds(index, name, chunks[LINES.names.index(name)]))
        groups += _row_group(group, chunks)
        places.append(len(groups))
        end = max(chunk_start(chunk) + chunk.total_compressed_size for chunk in chunks)
    offsets.append(end)
    return Layout(
        starts,
        offsets,
        decoded_bytes,
        bounds,
        metadata.metadata,
        footer[:schema_end],
        bytes(groups),
        places,
    )


def _bounds(index: int, name: str, chunk: pq.ColumnChunkMetaData) -> tuple[int, int]:
    known = chunk.statistics
    low, high = (known.min_raw, known.max_raw) if known else (None, None)
    if low is None or high is None:
        raise ValueError(f"row group {index} has no statistics of {name}")
    return low, high


# Thrift ---------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _field(step: int, type_: int) -> bytes:
    """Begins a field whose id is `step` more than that of the field before."""
    return bytes([step << 4 | type_])


def _list(type_: int, count: int) -> bytes:
    return bytes([count << 4 | type_]) if count < 15 else bytes([0xF0 | type_]) + _varint(count)


def _rows_and_groups(rows: int, groups: int) -> bytes:
    """`num_rows` and the beginning of `row_groups` of FileMetaData, after its version and schema."""
    return _field(1, _I64) + _number(rows) + _field(1, _LIST) + _list(_STRUCT, groups)


def _row_group(group: pq.RowGroupMetaData, chunks: list[pq.ColumnChunkMetaData]) -> bytes:
    start = chunk_start(chunks[0])
    return b"".join(
        (
            _field(1, _LIST) + _list(_STRUCT, len(chunks)),
            *(_column_chunk(chunk, start) for chunk in chunks),
            _field(1, _I64) + _number(group.total_byte_size),
            _field(1, _I64) + _number(group.num_rows),
            b"\0",
        )
    )


def _column_chunk(chunk: pq.ColumnChunkMetaData, start: int) -> bytes:
    """Of a chunk whose places are counted from `start`."""
    try:
        type_ = _TYPES[chunk.physical_type]
        codec = _CODECS[chunk.compression]
        encodings = [_ENCODINGS[name] for name in chunk.encodings]
    except KeyError as error:
        raise ValueError(f"{chunk.path_in_schema} is stored as {error}") from error
    path = chunk.path_in_schema.encode()
    dictionary = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    return b"".join(
        (
            # file_offset, then meta_data.
            _field(2, _I64) + _number(0) + _field(1, _STRUCT),
            _field(1, _I32) + _number(type_),
            _field(1, _LIST) + _list(_I32, len(encodings)) + b"".join(map(_number, encodings)),
            _field(1, _LIST) + _list(_BINARY, 1) + _varint(len(path)) + path,
            _field(1, _I32) + _number(codec),
            _field(1, _I64) + _number(chunk.num_values),
            _field(1, _I64) + _number(chunk.total_uncompressed_size),
            _field(1, _I64) + _number(chunk.total_compressed_size),
            _field(2, _I64) + _number(chunk.data_page_offset - start),
            b"" if dictionary is None else _field(2, _I64) + _number(dictionary - start),
            # The ends of both.
            b"\0\0",
        )
    )
