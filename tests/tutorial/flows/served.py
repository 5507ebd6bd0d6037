"""Serve a flow until SIGTERM, on three schedules at once. Argument: the deployment's name."""

import datetime as dt
import sys

import witness  # noqa: F401
from prefect import flow, get_run_logger
from prefect.schedules import Cron, Interval, RRule


@flow(name="served")
def served(word: str = "nothing"):
    get_run_logger().info("said %s", word)


if __name__ == "__main__":
    served.serve(
        name=sys.argv[1],
        tags=["at-home"],
        schedules=[
            Cron("0 7 * * 1-5", timezone="Europe/Berlin", parameters={"word": "cron"}),
            Interval(
                dt.timedelta(hours=6),
                anchor_date=dt.datetime(2026, 1, 1, 0, 30, tzinfo=dt.UTC),
                parameters={"word": "interval"},
            ),
            RRule("FREQ=DAILY;BYHOUR=12;BYMINUTE=15;BYSECOND=0", parameters={"word": "rrule"}),
        ],
    )
