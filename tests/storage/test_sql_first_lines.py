"""A statement that wants the newest or oldest lines has the same result without the other row groups."""

import datetime as dt

import duckdb
import msgspec
import pyarrow as pa
import pytest

from storage.logs.lines import LINES
from storage.logs.segment import encode_segment
from storage.sql import child
from storage.sql.first_lines import FirstLines, first_lines
from storage.sql.logs_view import SEGMENTS, LogsView, create_logs
from storage.sql.messages import Ask, SegmentFile, Tier
from storage.sql.tier_files import TierDataset

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
SEGMENT_COUNT = 8
LINES_EACH = 50


class Segments:
    """Segments in memory, each of one row group, that overlap in time; tells which were read."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.files: list[SegmentFile] = []
        self.read_from: set[int] = set()
        for number in range(SEGMENT_COUNT):
            seconds = [number * 40 + line for line in range(LINES_EACH)]
            lines = pa.table(
                [
                    [number * 1000 + line for line in range(LINES_EACH)],
                    pa.nulls(LINES_EACH, LINES.field("flow_run_id").type),
                    pa.nulls(LINES_EACH, LINES.field("task_run_id").type),
                    [START + dt.timedelta(seconds=each) for each in seconds],
                    [40 if line == 25 and number == 3 else 20 for line in range(LINES_EACH)],
                    ["app"] * LINES_EACH,
                    [f"order {each}" for each in seconds],
                ],
                schema=LINES,
            )
            segment = encode_segment(lines)
            self.bodies.append(segment.body)
            crc32 = segment.summary.footer_crc32
            self.files.append(SegmentFile(bytes=len(segment.body), footer_crc32=crc32, parts=None))

    def read(self, segment: int, offset: int, length: int, /) -> bytes:
        self.read_from.add(segment)
        return self.bodies[segment][offset : offset + length]


@pytest.fixture
def segments() -> Segments:
    return Segments()


@pytest.fixture
def opened(segments: Segments) -> tuple[duckdb.DuckDBPyConnection, TierDataset, LogsView]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    tier = TierDataset(segments, segments.files)
    view = create_logs(
        connection,
        Tier(
            segments=segments.files,
            deleted_runs=[],
            deleted_tasks=[],
            below_level={},
            runless_before=None,
        ),
        {SEGMENTS: tier.dataset},
    )
    segments.read_from.clear()
    return connection, tier, view


# Each with the greatest number of segments that it may read, None when it has to read all.
STATEMENTS: list[tuple[str, int | None]] = [
    ("SELECT timestamp, message FROM logs ORDER BY timestamp DESC LIMIT 20", 2),
    ("SELECT * FROM logs ORDER BY timestamp LIMIT 20", 2),
    ("SELECT message FROM logs ORDER BY timestamp DESC, seq DESC LIMIT 10 OFFSET 5", 2),
    ("SELECT message || '!' FROM logs l ORDER BY l.timestamp DESC LIMIT 70", 4),
    ("SELECT message FROM logs WHERE message LIKE '%7' ORDER BY timestamp DESC LIMIT 3", 2),
    ("SELECT message FROM logs WHERE level = 40 ORDER BY timestamp DESC LIMIT 3", None),
    ("SELECT count(*) FROM logs ORDER BY count(*) LIMIT 1", None),
    ("SELECT max(message) AS m FROM logs ORDER BY 1 DESC LIMIT 1", None),
]


@pytest.mark.parametrize(("sql", "most"), STATEMENTS)
def test_the_result_is_the_same_and_few_segments_are_read(
    segments: Segments,
    opened: tuple[duckdb.DuckDBPyConnection, TierDataset, LogsView],
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    most: int | None,
) -> None:
    connection, tier, view = opened
    monkeypatch.setattr(child, "TRIED", (2, 4))
    ask = Ask(sql=sql, limit=1000, format="json", memory_bytes=2**30)
    found = child._first_lines(connection, ask, tier, view)
    assert (found is None) == (most is None)
    read = set(segments.read_from)
    answer, body = child._run(connection, ask)
    if found is not None and most is not None:
        assert msgspec.json.decode(found[1]) == msgspec.json.decode(body)
        assert found[0] == answer
        assert len(read) <= most


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("FROM logs ORDER BY timestamp LIMIT 3", FirstLines(False, 3)),
        ("SELECT * EXCLUDE (id) FROM logs ORDER BY timestamp DESC", FirstLines(True, None)),
        ("SELECT level + 1 FROM logs ORDER BY timestamp LIMIT 3", FirstLines(False, 3)),
        ("SELECT message AS timestamp FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT * REPLACE (now() AS timestamp) FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT DISTINCT level FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT level FROM logs GROUP BY level, timestamp ORDER BY timestamp LIMIT 3", None),
        ("SELECT max(timestamp) FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT unnest([1, 2]) FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT row_number() OVER () FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT 1 + row_number() OVER () FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT 1 + count(*) FROM logs ORDER BY timestamp LIMIT 3", None),
        ("SELECT * FROM logs WHERE seq IN (SELECT max(seq) FROM logs) ORDER BY timestamp", None),
        ("SELECT * FROM logs QUALIFY row_number() OVER () < 3 ORDER BY timestamp LIMIT 3", None),
        ("SELECT * FROM logs USING SAMPLE 10 ORDER BY timestamp LIMIT 3", None),
        ("SELECT * FROM logs, logs AS other ORDER BY logs.timestamp LIMIT 3", None),
        ("SELECT * FROM logs ORDER BY level, timestamp LIMIT 3", None),
        ("SELECT * FROM logs ORDER BY timestamp LIMIT 3 %", None),
        ("SELECT * FROM logs ORDER BY timestamp LIMIT 1 + 2", None),
        ("WITH logs AS (SELECT 1 AS timestamp) SELECT * FROM logs ORDER BY timestamp", None),
        ("SELECT * FROM logs UNION ALL FROM logs ORDER BY timestamp LIMIT 3", None),
    ],
)
def test_only_lines_as_they_are_in_the_order_of_time_are_first_lines(
    sql: str, expected: FirstLines | None
) -> None:
    with duckdb.connect() as connection:
        assert first_lines(connection, sql) == expected
