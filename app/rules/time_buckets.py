"""Stretches of time of one length, one after another. Pure."""

import datetime as dt

from app.wire.event_filters import TimeUnit

# A Monday; stretches of any length are counted from here, so that they lie the same every time.
ORIGIN = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
MAX_BUCKETS = 1000

_UNITS: dict[TimeUnit, dt.timedelta] = {
    "week": dt.timedelta(weeks=1),
    "day": dt.timedelta(days=1),
    "hour": dt.timedelta(hours=1),
    "minute": dt.timedelta(minutes=1),
    "second": dt.timedelta(seconds=1),
}


class TooManyBuckets(ValueError):
    """More stretches than anybody looks at."""


def buckets(
    since: dt.datetime, until: dt.datetime, unit: TimeUnit, interval: float
) -> tuple[dt.timedelta, list[dt.datetime]]:
    """The length of a stretch, and where each begins that has a part between the two times.

    Raises:
        TooManyBuckets: there would be more than 1,000.
    """
    step = _UNITS[unit] * interval
    first = ORIGIN + (since - ORIGIN) // step * step
    count = max(-((first - until) // step), 1)
    if count > MAX_BUCKETS:
        raise TooManyBuckets(
            f"The interval would make {count} buckets; at most {MAX_BUCKETS} are allowed."
        )
    return step, [first + number * step for number in range(count)]
