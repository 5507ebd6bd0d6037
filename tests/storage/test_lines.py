"""A line survives encoding, and its id carries its seq."""

import datetime as dt
import uuid
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire.base import new_id
from app.wire.logs import LogCreate
from storage.logs.encode import FEW_LINES, BadLine, decode_batch, encode_batch
from storage.logs.layout import layout_of
from storage.logs.lines import first_seq, log_id, seq_of, to_logs
from storage.logs.segment import (
    encode_segment,
    footer_length,
    parse_footer,
    read_row_group,
)

IDS = st.one_of(st.none(), st.uuids())
TIMES = st.datetimes(
    min_value=dt.datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis wants naive bounds
    max_value=dt.datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))]),
)
LINES = st.builds(
    LogCreate,
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    level=st.integers(-(2**31), 2**31 - 1),
    message=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    timestamp=TIMES.map(dt.datetime.isoformat),
    flow_run_id=IDS.map(lambda value: value and str(value)),
    task_run_id=IDS.map(lambda value: value and str(value)),
)


@given(st.integers(0, 2**63 - 1))
def test_an_id_is_a_version_8_uuid_that_carries_its_seq(seq: int) -> None:
    made = log_id(seq)
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert seq_of(made) == seq


def test_ids_are_ordered_as_their_seqs() -> None:
    seqs = [0, 1, 15, 16, 2**16, 2**20, 2**40, 2**63 - 1]
    assert sorted(map(log_id, seqs)) == [log_id(seq) for seq in seqs]


def test_the_id_of_something_else_has_no_seq() -> None:
    with pytest.raises(ValueError, match="not the id of a log line"):
        seq_of(new_id())


@given(st.lists(LINES, min_size=1, max_size=30))
def test_lines_survive_a_batch_and_a_segment(posted: list[LogCreate]) -> None:
    batch = encode_batch(posted)
    hot = decode_batch(batch.payload, first_seq(7))
    logs = to_logs(hot)
    assert [(log.name, log.level, log.message) for log in logs] == [
        (line.name, line.level, line.message) for line in posted
    ]
    assert [log.timestamp for log in logs] == [
        dt.datetime.fromisoformat(line.timestamp) for line in posted
    ]
    assert [log.flow_run_id and str(log.flow_run_id) for log in logs] == [
        line.flow_run_id for line in posted
    ]
    assert sum(run.rows for run in batch.runs) == len(posted)

    segment = encode_segment(hot)
    footer = segment.body[-footer_length(segment.body) :]
    layout = layout_of(footer, parse_footer(footer))
    start, length = layout.span(0, 0)
    read = read_row_group(layout.metadata(0), segment.body[start : start + length])
    assert sorted(to_logs(read), key=lambda log: log.id) == sorted(logs, key=lambda log: log.id)
    for run in segment.summary.runs:
        own = to_logs(read.slice(run.first_row, run.part.rows))
        assert {log.flow_run_id or uuid.UUID(int=0) for log in own} == {run.part.flow_run_id}
        assert own == sorted(own, key=lambda log: (log.timestamp, log.id))
        assert run.errors == sum(log.level >= 40 for log in own)


# No deadline of its own: each example encodes 500 lines, on a machine that may be busy.
@settings(max_examples=20, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=10))
def test_a_small_batch_and_a_large_one_say_the_same_of_their_runs(posted: list[LogCreate]) -> None:
    nil = str(uuid.UUID(int=0))
    posted = [*posted, msgspec.structs.replace(posted[0], flow_run_id=nil)]
    times = FEW_LINES // len(posted) + 1
    small, large = encode_batch(posted), encode_batch(posted * times)
    assert [replace(run, rows=run.rows * times) for run in small.runs] == large.runs
    outside = [line for line in posted if line.flow_run_id in (None, nil)]
    assert (small.runs[0].flow_run_id.int, small.runs[0].rows) == (0, len(outside))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-24T01:59:08.351284+00:00", "2026-11-24T01:59:08.351284+00:00"),
        ("2026-11-24 01:59:08.351284+00:00", "2026-11-24T01:59:08.351284+00:00"),
        ("2026-11-24T01:59:08", "2026-11-24T01:59:08+00:00"),
        ("2026-11-24T01:59:08.351284999Z", "2026-11-24T01:59:08.351285+00:00"),
        ("2026-11-24T01:59:08+05:30", "2026-11-23T20:29:08+00:00"),
    ],
)
def test_a_timestamp_is_read_in_every_form_that_clients_write(written: str, read: str) -> None:
    line = LogCreate(name="n", level=20, message="m", timestamp=written)
    (log,) = to_logs(decode_batch(encode_batch([line]).payload, 0))
    assert log.timestamp == dt.datetime.fromisoformat(read)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "0001-01-01T00:00:00+14:00"),
        ("timestamp", "9999-12-31T23:59:59-14:00"),
        ("timestamp", "10000-01-01T00:00:00Z"),
        ("timestamp", ""),
        ("flow_run_id", "not-a-uuid"),
        ("task_run_id", "0"),
    ],
)
def test_a_bad_field_is_named_with_its_line(field: str, value: str) -> None:
    good = LogCreate(name="n", level=20, message="m", timestamp="2026-11-24T00:00:00Z")
    lines = [good, msgspec.structs.replace(good, **{field: value})]
    with pytest.raises(BadLine) as refused:
        encode_batch(lines)
    assert (refused.value.index, refused.value.field) == (1, field)
