"""The dates of a schedule before anybody keeps it."""

from typing import Any

import httpx
import pytest

PATH = "/tailrace/schedules/preview"
AFTER = "2026-10-24T12:00:00Z"


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        # The clocks go back on the 25th.
        (
            {"cron": "0 9 * * *", "timezone": "Europe/Berlin"},
            ["2026-10-25T09:00:00+01:00", "2026-10-26T09:00:00+01:00"],
        ),
        (
            {"interval": 3600, "anchor_date": "2020-01-01T00:30:00Z"},
            ["2026-10-24T12:30:00Z", "2026-10-24T13:30:00Z"],
        ),
        ({"rrule": "FREQ=DAILY;UNTIL=20261025T000000"}, ["2026-10-25T00:00:00Z"]),
        ({"rrule": "FREQ=DAILY;UNTIL=20201025T000000"}, []),
    ],
)
async def test_the_next_dates_of_a_schedule(
    shared_client: httpx.AsyncClient, schedule: dict[str, Any], times: list[str]
) -> None:
    answer = await shared_client.post(PATH, json={"schedule": schedule, "n": 2, "after": AFTER})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"times": times}


async def test_ten_dates_from_now_on_come_by_themselves(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.post(PATH, json={"schedule": {"cron": "* * * * *"}})
    assert len(answer.json()["times"]) == 10


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"schedule": {"cron": "often"}}, ["schedule", "cron"]),
        ({"schedule": {"cron": "* * * * *", "timezone": "Mars/Olympus"}}, ["schedule", "timezone"]),
        ({"schedule": {"interval": 0}}, ["schedule", "interval"]),
        ({"schedule": {"interval": "often"}}, ["schedule", "interval"]),
        ({"schedule": {"rrule": "FREQ=SOMETIMES"}}, ["schedule", "rrule"]),
        ({"schedule": {}}, ["schedule"]),
        ({"schedule": {"cron": "* * * * *"}, "n": 51}, ["n"]),
        ({"schedule": {"cron": "* * * * *"}, "after": "soon"}, ["after"]),
        ({}, ["schedule"]),
    ],
)
async def test_a_schedule_that_is_none_is_refused_by_its_field(
    shared_client: httpx.AsyncClient, body: dict[str, Any], loc: list[str]
) -> None:
    answer = await shared_client.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["exception_detail"][0]["loc"] == ["body", *loc]
