"""A plan reads no more than it must and gives exactly the page, whatever the sources look like."""

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from storage.logs.planner import Source, group_by_time, plan_page

START = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)

# A source is its lines' times; several sources may hold the same instants.
SOURCES = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12).map(sorted), max_size=8)


def source(number: int, times: list[int]) -> Source:
    return Source(
        id=number,
        key=None,
        footer_crc32=None,
        object_bytes=None,
        flow_run_id=None,
        first_row=0,
        rows=len(times),
        min_timestamp=START + dt.timedelta(seconds=times[0]),
        max_timestamp=START + dt.timedelta(seconds=times[-1]),
        min_level=None,
        max_level=None,
    )


@given(SOURCES, st.integers(0, 100), st.integers(0, 40), st.booleans())
def test_walking_the_plan_gives_the_page(
    times: list[list[int]], offset: int, limit: int, descending: bool
) -> None:
    """A line is (time, source, row): unique, ordered as (timestamp, seq) is."""
    lines = {
        number: [(time, number, row) for row, time in enumerate(own)]
        for number, own in enumerate(times)
    }
    groups = group_by_time(
        [source(number, own) for number, own in enumerate(times)], descending=descending
    )
    page: list[tuple[int, int, int]] = []
    for step in plan_page(groups, offset=offset, limit=limit):
        merged: list[tuple[int, int, int]] = []
        for part in step.group.sources:
            own = lines[part.id][::-1] if descending else lines[part.id]
            merged += own[: step.take]
        page += sorted(merged, reverse=descending)[step.skip : step.skip + step.give]

    everything = sorted((line for own in lines.values() for line in own), reverse=descending)
    assert page == everything[offset : offset + limit]


@given(SOURCES, st.integers(0, 100), st.integers(1, 40))
def test_no_group_before_the_offset_is_read(
    times: list[list[int]], offset: int, limit: int
) -> None:
    groups = group_by_time(
        [source(number, own) for number, own in enumerate(times)], descending=False
    )
    read = [step.group for step in plan_page(groups, offset=offset, limit=limit)]
    before = 0
    for group in groups:
        needed = before < offset + limit and before + group.rows > offset
        assert (group in read) == needed
        before += group.rows


@given(SOURCES)
def test_groups_follow_one_another_in_time(times: list[list[int]]) -> None:
    groups = group_by_time(
        [source(number, own) for number, own in enumerate(times)], descending=False
    )
    for earlier, later in itertools.pairwise(groups):
        last = max(part.max_timestamp for part in earlier.sources)
        assert last < min(part.min_timestamp for part in later.sources)
    assert sum(group.rows for group in groups) == sum(map(len, times))
