"""To plan a page of one run costs what that run has, however large the manifest is.

The manifest here is that of ten billion lines: 40,000 segments, an hour apart, of 256,000 lines each.
"""

import datetime as dt
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from storage.logs.manifest import all_sources, run_sources
from storage.logs.planner import Bounds, Source, Step, group_by_time, plan_page
from storage.postgres.pool import Conn, connect
from tests.conftest import EmbeddedServers, own_database
from tests.storage.executed_plans import Plan, PlanMode, telling, told_plans

SEGMENTS = 40_000
# Every run but one lies in so many segments that follow one another, with as many lines in each.
SPAN = 3
ROWS = 32_000
# One run goes on through the last of the segments.
LONG = 1_000
BEGIN = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PAGE = 200
# Forty times what it takes on a machine that does nothing else; a scan of the manifest takes longer.
MOST_SECONDS = 0.05

_SEGMENTS = """
INSERT INTO log_segment (
    key, state, tier, published, format, rows, bytes, min_timestamp, max_timestamp, min_run_id,
    max_run_id, hour
)
SELECT 'logs/' || n, 'published', 2, now(), 1, 256000, 5000000,
    $2::timestamptz + interval '1 hour' * n,
    $2::timestamptz + interval '1 hour' * n + interval '59 minutes',
    lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid,
    $2::timestamptz + interval '1 hour' * n
FROM generate_series(0, $1::integer - 1) n
"""
_SHORT_RUNS = """
INSERT INTO log_segment_run (
    flow_run_id, segment_id, first_row, rows, errors, min_timestamp, max_timestamp, min_level,
    max_level
)
SELECT lpad(to_hex(run), 32, '0')::uuid, s.id, 0, $2, 0, s.min_timestamp, s.max_timestamp, 20, 40
FROM log_segment s, generate_series(0, $1::integer - 1) AS place,
    LATERAL (SELECT substr(s.key, 6)::integer - place AS run) AS it
WHERE run >= 0
"""
_LONG_RUN = """
INSERT INTO log_segment_run (
    flow_run_id, segment_id, first_row, rows, errors, min_timestamp, max_timestamp, min_level,
    max_level
)
SELECT $3, id, 96000, $2, 0, min_timestamp, max_timestamp, 20, 40
FROM log_segment ORDER BY id DESC LIMIT $1
"""
# Segments that are not final, or have lines of several days; with the hours of their first and last line.
UNUSUAL = [
    ("logs/not-merged", SEGMENTS // 2 + 2, SEGMENTS // 2 + 2),
    ("logs/of-days", SEGMENTS // 2 - 500, SEGMENTS // 2 + 100),
    ("logs/of-all-days", 1, SEGMENTS - 2),
]
_UNUSUAL = """
INSERT INTO log_segment (
    key, state, tier, published, format, rows, bytes, min_timestamp, max_timestamp, min_run_id,
    max_run_id, hour
)
VALUES (
    $1, 'published', CASE WHEN $1 LIKE '%days' THEN 2 ELSE 0 END, now(), 1, 9, 9, $2, $3, $4, $4, $2
)
"""
THE_LAST = "logs/of-the-last-of-days"
THE_LONG_RUN = uuid.UUID(int=2**64)


def short_run(number: int) -> uuid.UUID:
    """The run that begins in this segment."""
    return uuid.UUID(int=number)


def keys(*numbers: int) -> list[str]:
    """Of these segments."""
    return [f"logs/{number}" for number in numbers]


@pytest.fixture(scope="module")
async def url(embedded_servers: EmbeddedServers) -> AsyncIterator[str]:
    """A database with that manifest."""
    async with own_database(embedded_servers) as url:
        conn = await connect(url)
        await conn.execute(_SEGMENTS, SEGMENTS, BEGIN, timeout=60.0)
        await conn.execute(_SHORT_RUNS, SPAN, ROWS, timeout=60.0)
        await conn.execute(_LONG_RUN, LONG, ROWS, THE_LONG_RUN, timeout=60.0)
        for key, begin, end in UNUSUAL:
            times = (BEGIN + begin * HOUR, BEGIN + end * HOUR)
            await conn.execute(_UNUSUAL, key, *times, uuid.UUID(int=1))
        end_of_time = dt.datetime.max.replace(tzinfo=dt.UTC)
        await conn.execute(_UNUSUAL, THE_LAST, end_of_time, end_of_time, uuid.UUID(int=1))
        await conn.execute("VACUUM (ANALYZE) log_segment, log_segment_run", timeout=60.0)
        await conn.close()
        yield url


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
async def conn(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Conn]:
    """A connection whose plans are told."""
    mode: PlanMode = request.param
    opened = await connect(telling(url, mode))
    yield opened
    await opened.close()


async def plan(
    conn: Conn, run: uuid.UUID, bounds: Bounds, *, offset: int = 0, descending: bool = False
) -> tuple[list[Source], list[Step]]:
    """What `LogReader` does before it reads anything."""
    sources, _ = await run_sources(conn, [run], bounds)
    groups = group_by_time(sources, descending=descending)
    return sources, plan_page(groups, offset=offset, limit=PAGE)


def read_of(steps: list[Step]) -> list[str | None]:
    """The objects that are read, in order."""
    return [source.key for step in steps for source in step.group.sources]


def sole(plans: list[Plan]) -> Plan:
    """The plan of the only statement that was executed on the manifest."""
    [plan] = [plan for plan in plans if "log_segment_run" in plan.rows]
    assert plan.read_whole <= {"log_batch", "log_tombstone", "log_task_tombstone"}, plan.shown
    return plan


@pytest.mark.parametrize("number", [0, SEGMENTS // 2, SEGMENTS - SPAN])
async def test_a_page_of_a_run_is_planned_from_what_the_run_has(
    conn: Conn, embedded_servers: EmbeddedServers, number: int
) -> None:
    run = short_run(number)
    with told_plans(embedded_servers.postgres.log_file) as plans:
        sources, steps = await plan(conn, run, Bounds(), offset=ROWS + 10)
    told = sole(plans)
    assert told.rows["log_segment_run"] == SPAN, told.shown
    assert told.rows["log_segment"] == SPAN, told.shown
    assert sorted(source.key or "" for source in sources) == sorted(
        keys(number, number + 1, number + 2)
    )
    # One page, from the one segment in which it lies.
    assert read_of(steps) == keys(number + 1)
    assert [(step.skip, step.give) for step in steps] == [(10, PAGE)]

    _, newest = await plan(conn, run, Bounds(), descending=True)
    assert read_of(newest) == keys(number + 2)


async def test_only_segments_that_overlap_the_times_asked_for_are_in_a_plan(
    conn: Conn, embedded_servers: EmbeddedServers
) -> None:
    first = SEGMENTS - LONG // 2
    bounds = Bounds(after=BEGIN + first * HOUR, before=BEGIN + (first + 5) * HOUR - HOUR / 60)
    with told_plans(embedded_servers.postgres.log_file) as plans:
        sources, steps = await plan(conn, THE_LONG_RUN, bounds, offset=3 * ROWS)
    told = sole(plans)
    # Its own rows are looked at, and of segments those that the plan has.
    assert told.rows["log_segment_run"] <= LONG, told.shown
    assert told.rows["log_segment"] == 5, told.shown
    assert [source.key for source in sources] == keys(*range(first, first + 5))
    assert read_of(steps) == keys(first + 3)


@pytest.mark.parametrize("first", [0, SEGMENTS // 2, SEGMENTS - 5])
async def test_lines_of_all_runs_are_planned_from_what_the_time_range_has(
    conn: Conn, embedded_servers: EmbeddedServers, first: int
) -> None:
    bounds = Bounds(after=BEGIN + first * HOUR, before=BEGIN + (first + 5) * HOUR - HOUR / 60)
    with told_plans(embedded_servers.postgres.log_file) as plans:
        sources = await all_sources(conn, bounds)
    [told] = [plan for plan in plans if "log_segment" in plan.rows]
    assert told.read_whole <= {"log_batch"}, told.shown
    # What begins within a day after the range has to be looked at.
    assert told.rows["log_segment"] <= 5 + 24 + 1 + len(UNUSUAL), told.shown
    overlapping = range(first, first + 5)
    unusual = [key for key, begin, end in UNUSUAL if begin < first + 5 and end >= first]
    assert sorted(source.key or "" for source in sources) == sorted(keys(*overlapping) + unusual)


async def test_without_a_time_range_every_segment_is_in_the_plan(url: str) -> None:
    conn = await connect(url)
    sources = await all_sources(conn, Bounds())
    await conn.close()
    unusual = [key for key, _, _ in UNUSUAL]
    assert sorted(source.key or "" for source in sources) == sorted(
        [*keys(*range(SEGMENTS)), *unusual, THE_LAST]
    )


async def test_the_longest_run_costs_its_own_rows_and_a_page_of_it_one_segment(
    conn: Conn, embedded_servers: EmbeddedServers
) -> None:
    with told_plans(embedded_servers.postgres.log_file) as plans:
        sources, steps = await plan(conn, THE_LONG_RUN, Bounds(), offset=ROWS * LONG // 2)
    told = sole(plans)
    assert told.rows["log_segment_run"] == LONG, told.shown
    assert told.rows["log_segment"] == LONG, told.shown
    assert len(sources) == LONG
    assert read_of(steps) == keys(SEGMENTS - LONG // 2)


async def test_a_run_without_lines_costs_nothing(
    conn: Conn, embedded_servers: EmbeddedServers
) -> None:
    with told_plans(embedded_servers.postgres.log_file) as plans:
        sources, steps = await plan(conn, uuid.uuid4(), Bounds())
    told = sole(plans)
    assert (told.rows["log_segment_run"], told.rows.get("log_segment", 0)) == (0, 0), told.shown
    assert (sources, steps) == ([], [])


async def test_planning_takes_milliseconds(url: str) -> None:
    conn = await connect(url)
    taken = []
    for number in range(0, SEGMENTS - SPAN, SEGMENTS // 40):
        began = time.perf_counter()
        await plan(conn, short_run(number), Bounds(), offset=ROWS)
        taken.append(time.perf_counter() - began)
    await conn.close()
    # Others may use the processors at any one moment, not at each.
    assert sorted(taken)[len(taken) // 4] < MOST_SECONDS, taken
