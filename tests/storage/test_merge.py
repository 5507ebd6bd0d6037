"""Merged segments hold exactly the lines of the inputs, in order, without those that were deleted."""

import datetime as dt
import threading
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire.logs import LogCreate
from storage.logs import merge as merging
from storage.logs.encode import to_table
from storage.logs.manifest import Deleted, Unwanted
from storage.logs.merge import Cancelled, DamagedInput, Merged, merge_segments
from storage.logs.segment import encode_segment, from_file

START = dt.datetime(2026, 11, 24, 23, 59, 58, tzinfo=dt.UTC)
RUNS = [None, *(str(uuid.UUID(int=number << 64)) for number in (0, 1, 2, 2**40, 2**60))]
TASKS = [None, str(uuid.UUID(int=5)), str(uuid.UUID(int=6))]
NOBODY = Unwanted(deleted=Deleted(runs=[], tasks=[]), below_level={})

LINES = st.builds(
    LogCreate,
    name=st.sampled_from(["a", "b"]),
    level=st.sampled_from([10, 20, 40, 50]),
    message=st.text("xyz", max_size=5),
    timestamp=st.integers(0, 4).map(lambda n: (START + dt.timedelta(seconds=n)).isoformat()),
    flow_run_id=st.sampled_from(RUNS),
    task_run_id=st.sampled_from(TASKS),
)


def numbered(lines: list[LogCreate], first: int) -> pa.Table:
    """Lines as a table, with seqs from `first` on."""
    seqs = pa.array(range(first, first + len(lines)), pa.int64())
    return to_table(lines).add_column(0, "seq", seqs)


def run(
    tables: list[pa.Table], directory: Path, *, unwanted: Unwanted = NOBODY, final: bool = True
) -> tuple[Merged, list[list[dict[str, Any]]]]:
    """Merge segments of these lines; gives the lines of each output."""
    directory.mkdir(exist_ok=True)
    inputs = []
    for index, table in enumerate(tables):
        path = directory / f"{index}.parquet"
        path.write_bytes(encode_segment(table).body)
        inputs.append(path)
    merged = merge_segments(
        inputs, directory, unwanted=unwanted, final=final, cancel=threading.Event()
    )
    return merged, [from_file(pq.read_table(each.path)).to_pylist() for each in merged.files]


def goes(line: dict[str, Any], unwanted: Unwanted) -> bool:
    """What `Unwanted` means, line by line."""
    run, task = line["flow_run_id"], line["task_run_id"]
    if run in {each.bytes for each in unwanted.deleted.runs}:
        return True
    if task in {each.bytes for each in unwanted.deleted.tasks}:
        return True
    if run in (None, bytes(16)):
        before = unwanted.runless_before
        return before is not None and line["timestamp"] < before
    levels = {each.bytes: level for each, level in unwanted.below_level.items()}
    return bool(line["level"] < levels.get(run, line["level"]))


def order(line: dict[str, Any]) -> tuple[object, ...]:
    return (line["flow_run_id"] or b"", line["timestamp"], line["seq"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(LINES, min_size=1, max_size=40), min_size=1, max_size=6),
    st.sets(st.sampled_from(RUNS[1:])),
    st.sets(st.sampled_from(TASKS[1:])),
    st.dictionaries(st.sampled_from(RUNS[2:]), st.sampled_from([20, 40, 60])),
    st.none() | st.integers(0, 6).map(lambda n: START + dt.timedelta(seconds=n)),
    st.booleans(),
    st.integers(1, 400),
    st.integers(1, 3000),
)
def test_outputs_are_the_inputs_without_what_was_deleted(
    tmp_path_factory: pytest.TempPathFactory,
    inputs: list[list[LogCreate]],
    dead_runs: set[str],
    dead_tasks: set[str],
    below_level: dict[str, int],
    runless_before: dt.datetime | None,
    final: bool,
    window: int,
    output: int,
) -> None:
    first = 0
    tables = []
    for lines in inputs:
        tables.append(numbered(lines, first))
        first += len(lines)
    deleted = Deleted(
        runs=[uuid.UUID(each) for each in sorted(dead_runs)],
        tasks=[uuid.UUID(each) for each in sorted(dead_tasks)],
    )
    levels = {uuid.UUID(run): level for run, level in below_level.items()}
    unwanted = Unwanted(deleted=deleted, below_level=levels, runless_before=runless_before)
    with pytest.MonkeyPatch.context() as patch:
        # Small, so that a few lines make many windows and many files.
        patch.setattr(merging, "WINDOW_BYTES", window)
        patch.setattr(merging, "OUTPUT_BYTES", output)
        merged, files = run(
            tables, tmp_path_factory.mktemp("merge"), unwanted=unwanted, final=final
        )

    every = [line for table in tables for line in table.to_pylist()]
    kept = [line for line in every if not goes(line, unwanted)]
    assert sorted((line for file in files for line in file), key=order) == sorted(kept, key=order)
    assert merged.dropped_rows == len(every) - len(kept)
    for each, lines in zip(merged.files, files, strict=True):
        assert lines == sorted(lines, key=order)
        assert each.summary.rows == len(lines)
        assert each.summary.bytes == each.path.stat().st_size
        assert each.summary.min_timestamp == min(line["timestamp"] for line in lines)
        assert each.summary.max_timestamp == max(line["timestamp"] for line in lines)
        if final:
            assert len({line["timestamp"].date() for line in lines}) == 1
        for part in each.summary.runs:
            own = lines[part.first_row : part.first_row + part.part.rows]
            assert {line["flow_run_id"] or bytes(16) for line in own} == {
                part.part.flow_run_id.bytes
            }
            assert part.errors == sum(line["level"] >= 40 for line in own)
            assert part.part.max_level == max(line["level"] for line in own)
        assert sum(part.part.rows for part in each.summary.runs) == len(lines)


def lines_of(flow_run: uuid.UUID, count: int, *, message: str = "loaded") -> list[LogCreate]:
    return [
        LogCreate(
            name="n",
            level=20,
            message=f"{message} {number}",
            timestamp=(START + dt.timedelta(milliseconds=number)).isoformat(),
            flow_run_id=str(flow_run),
        )
        for number in range(count)
    ]


def test_row_groups_are_whole_so_that_a_row_is_found_by_division(tmp_path: Path) -> None:
    tables = [
        numbered(lines_of(uuid.UUID(int=number), 30_000), number << 20) for number in range(3)
    ]
    merged, _ = run(tables, tmp_path, final=False)
    (file,) = merged.files
    metadata = pq.read_metadata(file.path)
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert sizes == [8192] * (90_000 // 8192) + [90_000 % 8192]


def test_an_output_ends_where_a_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "OUTPUT_BYTES", 100_000)
    tables = [
        numbered(lines_of(uuid.UUID(int=number), 70_000), number << 20) for number in range(4)
    ]
    merged, _ = run(tables, tmp_path, final=False)
    runs = [[part.part.flow_run_id for part in each.summary.runs] for each in merged.files]
    assert len(runs) > 1
    assert sorted(each for file in runs for each in file) == [uuid.UUID(int=n) for n in range(4)]


def test_a_damaged_input_is_named(tmp_path: Path) -> None:
    tables = [numbered(lines_of(uuid.UUID(int=n), 5000), n << 20) for n in range(3)]
    inputs = []
    for index, table in enumerate(tables):
        path = tmp_path / f"{index}"
        body = bytearray(encode_segment(table).body)
        if index == 1:
            body[len(body) // 4] ^= 0xFF
        path.write_bytes(body)
        inputs.append(path)
    with pytest.raises(DamagedInput) as caught:
        merge_segments(inputs, tmp_path, unwanted=NOBODY, final=False, cancel=threading.Event())
    assert caught.value.index == 1


def test_a_cancelled_merge_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "0"
    path.write_bytes(encode_segment(numbered(lines_of(uuid.UUID(int=1), 10), 0)).body)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        merge_segments([path], tmp_path, unwanted=NOBODY, final=False, cancel=cancel)
