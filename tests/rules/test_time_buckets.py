"""Stretches of time of one length."""

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.time_buckets import TooManyBuckets, buckets
from app.wire.event_filters import TimeUnit

UTC = dt.UTC
times = st.datetimes(
    min_value=dt.datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=dt.datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
units: st.SearchStrategy[TimeUnit] = st.sampled_from(["week", "day", "hour", "minute", "second"])


@given(times, st.timedeltas(dt.timedelta(0), dt.timedelta(days=1000)), units, st.floats(0.01, 100))
def test_they_cover_the_time_without_a_gap(
    since: dt.datetime, length: dt.timedelta, unit: TimeUnit, interval: float
) -> None:
    until = since + length
    try:
        step, starts = buckets(since, until, unit, interval)
    except TooManyBuckets:
        return
    assert starts[0] <= since < starts[0] + step
    assert starts[-1] < max(until, since + step)
    assert until <= starts[-1] + step
    assert all(after - before == step for before, after in pairwise(starts))


@pytest.mark.parametrize(
    ("since", "until", "unit", "interval", "first", "count"),
    [
        # As the reference has them.
        ("2026-11-02T06:41:30", "2026-11-24T09:41:40", "week", 1, "2026-11-02T00:00:00", 4),
        ("2026-11-20T06:41:30", "2026-11-24T09:41:40", "day", 2, "2026-11-19T00:00:00", 3),
        ("2026-11-24T06:00:00", "2026-11-24T08:00:00", "hour", 1, "2026-11-24T06:00:00", 2),
        ("2026-11-24T06:00:00", "2026-11-24T08:00:00", "minute", 7, "2026-11-24T05:59:00", 18),
        ("2026-11-24T06:41:30", "2026-11-24T06:41:40", "second", 2, "2026-11-24T06:41:30", 5),
    ],
)
def test_they_lie_where_the_reference_has_them(
    since: str, until: str, unit: TimeUnit, interval: float, first: str, count: int
) -> None:
    def time(text: str) -> dt.datetime:
        return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)

    _, starts = buckets(time(since), time(until), unit, interval)
    assert (starts[0], len(starts)) == (time(first), count)
