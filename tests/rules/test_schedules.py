"""When schedules are due. The dates are what Prefect 3.8.8 answered to the same questions, but for
those under "Tailrace's own"."""

import datetime as dt
import itertools
import zoneinfo
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules.schedules import TooCostly, dates_ahead, dates_between
from app.wire.schedules import schedule_from


def dates(schedule: dict[str, Any], start: str, count: int = 4, *, days: int = 500) -> list[str]:
    """The first dates from a time on, as texts."""
    begin = dt.datetime.fromisoformat(start)
    found = dates_ahead(
        schedule_from(schedule),
        start=begin,
        end=begin + dt.timedelta(days=days),
        min_runs=count,
        max_runs=count,
        min_time=dt.timedelta(),
    )
    return [str(date) for date in found]


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        # A local time that is skipped comes an hour earlier.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T05:00:00+00:00",
            ["2026-03-08 01:30:00-05:00", "2026-03-09 02:30:00-04:00"],
        ),
        # One that comes twice means the first.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T00:30:00+00:00",
            ["2026-10-25 02:30:00+02:00", "2026-10-26 02:30:00+01:00"],
        ),
        (
            "30 * * * *",
            "America/New_York",
            "2026-11-01T05:00:00+00:00",
            ["2026-11-01 01:30:00-04:00", "2026-11-01 02:30:00-05:00"],
        ),
        ("0 0 29 2 *", "UTC", "2026-11-24T09:00:00+00:00", ["2028-02-29 00:00:00+00:00"]),
        (
            "0 0 31 * *",
            "UTC",
            "2027-01-30T09:00:00+00:00",
            ["2027-01-31 00:00:00+00:00", "2027-03-31 00:00:00+00:00"],
        ),
        (
            "0 0 L * *",
            "Europe/Dublin",
            "2027-02-01T00:00:00+00:00",
            ["2027-02-28 00:00:00+00:00", "2027-03-31 00:00:00+01:00"],
        ),
        (
            "0 12 * * MON#2",
            "UTC",
            "2026-11-24T09:00:00+00:00",
            ["2026-12-14 12:00:00+00:00", "2027-01-11 12:00:00+00:00"],
        ),
        # The sixth field is seconds.
        (
            "*/20 * * * * */30",
            "UTC",
            "2026-11-24T09:00:00+00:00",
            ["2026-11-24 09:00:00+00:00", "2026-11-24 09:00:30+00:00"],
        ),
    ],
)
def test_a_cron_expression_is_due_by_local_clocks(
    cron: str, zone: str, start: str, expected: list[str]
) -> None:
    assert dates({"cron": cron, "timezone": zone}, start, len(expected)) == expected


def test_a_cron_day_matches_by_date_or_weekday_or_by_both() -> None:
    start = "2026-11-24T09:00:00+00:00"
    either = dates({"cron": "0 9 1-7 * 1", "day_or": True}, start, 3)
    both = dates({"cron": "0 9 1-7 * 1", "day_or": False}, start, 3)
    assert [date[:10] for date in either] == ["2026-11-30", "2026-12-01", "2026-12-02"]
    assert [date[:10] for date in both] == ["2026-12-07", "2027-01-04", "2027-02-01"]


@pytest.mark.parametrize(
    ("rule", "zone", "start", "expected"),
    [
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "UTC",
            "2026-12-01T00:00:00+00:00",
            ["2026-12-31 00:00:00+00:00", "2027-01-29 00:00:00+00:00"],
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "Europe/Berlin",
            "2027-01-30T23:30:00+00:00",
            ["2027-03-31 00:00:00+02:00", "2027-05-31 00:00:00+02:00"],
        ),
        (
            "DTSTART:20260101T093000\nRRULE:FREQ=DAILY;UNTIL=20261105T000000",
            "Europe/Berlin",
            "2026-11-03T10:00:00+01:00",
            ["2026-11-04 09:30:00+01:00"],
        ),
        (
            "DTSTART:20260101T093000\nRRULE:FREQ=DAILY;COUNT=320",
            "UTC",
            "2026-11-15T00:00:00+00:00",
            ["2026-11-15 09:30:00+00:00", "2026-11-16 09:30:00+00:00"],
        ),
        (
            "DTSTART:20260101T000000\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SU,SA\n"
            "EXDATE:20261124T000000",
            "UTC",
            "2026-11-24T00:00:00+00:00",
            [
                "2026-11-25 00:00:00+00:00",
                "2026-11-26 00:00:00+00:00",
                "2026-11-27 00:00:00+00:00",
                "2026-11-30 00:00:00+00:00",
            ],
        ),
        (
            "DTSTART:20240229T010000\nRRULE:FREQ=YEARLY",
            "UTC",
            "2026-11-24T09:00:00+00:00",
            ["2028-02-29 01:00:00+00:00"],
        ),
        (
            "FREQ=YEARLY;BYEASTER=-2",
            "UTC",
            "2026-11-24T09:00:00+00:00",
            ["2027-03-26 00:00:00+00:00"],
        ),
        (
            "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
            "America/New_York",
            "2027-03-14T03:59:59.500000+00:00",
            ["2027-03-14 01:30:00-05:00", "2027-03-15 02:30:00-04:00"],
        ),
    ],
)
def test_a_recurrence_rule_is_due_by_local_clocks(
    rule: str, zone: str, start: str, expected: list[str]
) -> None:
    found = dates({"rrule": rule, "timezone": zone}, start, 4)
    assert found[: len(expected)] == expected
    if "UNTIL" in rule or "COUNT" in rule:
        assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("seconds", "anchor", "start", "expected"),
    [
        (
            5400,
            "2027-01-01T00:00:00Z",
            "2026-10-25T00:30:00+00:00",
            ["2026-10-25 02:30:00+01:00", "2026-10-25 04:00:00+01:00"],
        ),
        (
            0.5,
            "2026-11-24T00:00:00Z",
            "2026-10-25T00:30:00+00:00",
            ["2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00.500000+02:00"],
        ),
        (
            604800,
            "2026-10-20T13:30:00+05:30",
            "2026-10-25T00:30:00+00:00",
            ["2026-10-27 10:00:00+01:00", "2026-11-03 10:00:00+01:00"],
        ),
    ],
)
def test_an_interval_counts_from_its_anchor(
    seconds: float, anchor: str, start: str, expected: list[str]
) -> None:
    schedule = {"interval": seconds, "anchor_date": anchor, "timezone": "Europe/Berlin"}
    assert dates(schedule, start, len(expected)) == expected


def test_an_interval_of_days_keeps_its_local_hour_whenever_it_is_asked() -> None:
    """Tailrace's own: the reference gives 8:30 when it is asked in winter."""
    schedule = {
        "interval": 86_400,
        "anchor_date": "2026-10-20T13:30:00Z",
        "timezone": "America/New_York",
    }
    for start in ("2026-10-21T00:00:00+00:00", "2026-12-01T00:00:00+00:00"):
        assert [date[11:19] for date in dates(schedule, start)] == ["09:30:00"] * 4


def test_an_interval_of_hours_keeps_its_distance_when_an_hour_comes_twice() -> None:
    """Tailrace's own: the reference leaves out the second 1:20."""
    schedule = {
        "interval": 3600,
        "anchor_date": "2026-01-01T00:20:00Z",
        "timezone": "America/New_York",
    }
    assert [date[11:] for date in dates(schedule, "2026-11-01T05:00:00+00:00", 3)] == [
        "01:20:00-04:00",
        "01:20:00-05:00",
        "02:20:00-05:00",
    ]


def test_a_rule_with_hardly_any_dates_costs_a_bounded_time() -> None:
    rule = "DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY;COUNT=100000000"
    with pytest.raises(TooCostly, match="DTSTART"):
        dates({"rrule": rule}, "2026-11-24T00:00:00+00:00")


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "every day"},
        {"cron": "61 * * * *"},
        {"cron": "R * * * *"},
        {"rrule": "FREQ=SOMETIMES"},
        {"rrule": "FREQ=DAILY;INTERVAL=0"},
        {"rrule": "x" * 7000},
        {"interval": 0},
        {"interval": -5},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron": "* * * * *", "interval": 5},
        {},
    ],
)
def test_what_is_no_schedule_is_refused(schedule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        schedule_from(schedule)


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"]
SCHEDULES: list[dict[str, Any]] = [
    {"cron": "*/15 * * * *"},
    {"cron": "30 2 * * *"},
    {"interval": 5400, "anchor_date": "2026-01-01T00:00:00Z"},
    {"interval": 90_000, "anchor_date": "2026-01-01T00:00:00Z"},
    {"rrule": "FREQ=HOURLY;INTERVAL=5"},
    {"rrule": "FREQ=WEEKLY;BYDAY=SU,MO;BYHOUR=1,2,3"},
]


@settings(deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    zone=st.sampled_from(ZONES),
    start=st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2028, 1, 1)),  # noqa: DTZ001
    hours=st.integers(1, 400),
)
def test_dates_ascend_and_do_not_depend_on_where_one_begins_to_ask(
    schedule: dict[str, Any], zone: str, start: dt.datetime, hours: int
) -> None:
    parsed = schedule_from({**schedule, "timezone": zone})
    begin = start.replace(tzinfo=dt.UTC)
    middle = begin + dt.timedelta(hours=hours)
    end = middle + dt.timedelta(days=20)
    whole = list(dates_between(parsed, begin, end))
    assert all(one < other for one, other in itertools.pairwise(whole))
    assert all(date.tzinfo == zoneinfo.ZoneInfo(zone) for date in whole)
    assert [date for date in whole if date >= middle] == list(dates_between(parsed, middle, end))
