"""What is kept of a segment's footer says the same as the footer."""

import datetime as dt
import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.logs.layout import BOUNDED, layout_of
from storage.logs.lines import LINES
from storage.logs.segment import (
    ROW_GROUP_ROWS,
    SegmentWriter,
    from_file,
    in_segment_order,
    read_row_group,
)

BEGAN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def segment_of(rows: int, *, level: int = 20) -> bytes:
    lines = pa.Table.from_pylist(
        [
            {
                "seq": 7 * row,
                "flow_run_id": uuid.UUID(int=row // 3000 + 1).bytes,
                "task_run_id": uuid.UUID(int=row % 40).bytes if row % 10 else None,
                "timestamp": BEGAN + dt.timedelta(milliseconds=row * 37 % 100_000),
                "level": level + row % 3,
                "name": "prefect.task_runs",
                "message": f"Handled item {row * 7919} of shard {row % 512} äöü" * (row % 4),
            }
            for row in range(rows)
        ],
        schema=LINES,
    )
    sink = io.BytesIO()
    writer = SegmentWriter(sink, final=True, indexed=True)
    writer.append(in_segment_order(lines))
    writer.close()
    return sink.getvalue()


def parsed(body: bytes) -> tuple[bytes, pq.FileMetaData]:
    length = int.from_bytes(body[-8:-4], "little") + 8
    return body[-length:], pq.read_metadata(io.BytesIO(body))


@pytest.mark.parametrize("rows", [1, ROW_GROUP_ROWS, 3 * ROW_GROUP_ROWS + 17])
def test_each_row_group_decodes_from_its_own_bytes_alone(rows: int) -> None:
    body = segment_of(rows)
    layout = layout_of(*parsed(body))
    file = pq.ParquetFile(io.BytesIO(body))
    assert layout.groups == file.num_row_groups
    for group in range(layout.groups):
        offset, length = layout.span(group, group)
        read = read_row_group(layout.metadata(group), body[offset : offset + length])
        assert read == from_file(file.read_row_group(group))
    assert layout.starts[-1] == rows


def test_some_columns_of_a_row_group_decode_alone() -> None:
    body = segment_of(ROW_GROUP_ROWS + 5)
    layout = layout_of(*parsed(body))
    offset, length = layout.span(1, 1)
    data = body[offset : offset + length]
    read = read_row_group(layout.metadata(1), data, ["seq", "message"])
    whole = pq.ParquetFile(io.BytesIO(body)).read_row_group(1)
    assert read.column("message").to_pylist() == whole.column("message").to_pylist()
    assert read.column_names == ["seq", "message"]


def test_bounds_are_those_of_the_lines() -> None:
    body = segment_of(2 * ROW_GROUP_ROWS + 100, level=-5)
    layout = layout_of(*parsed(body))
    file = pq.ParquetFile(io.BytesIO(body))
    for group in range(layout.groups):
        lines = from_file(file.read_row_group(group))
        expected: list[int] = []
        for name in BOUNDED:
            values = sorted(
                int(value or 0) for value in lines.column(name).cast(pa.int64()).to_pylist()
            )
            expected += [values[0], values[-1]]
        assert list(layout.bounds[6 * group : 6 * group + 6]) == expected


def test_a_layout_takes_less_memory_than_the_footer_has_bytes() -> None:
    footer, metadata = parsed(segment_of(40 * ROW_GROUP_ROWS // 8))
    assert layout_of(footer, metadata).nbytes < len(footer)


def test_a_footer_of_other_bytes_is_refused() -> None:
    footer, metadata = parsed(segment_of(10))
    with pytest.raises(ValueError, match="schema"):
        layout_of(footer[len(footer) // 2 :], metadata)
