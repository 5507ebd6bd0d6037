"""What a job is: a function that may be run twice.

A job takes no input but its services, does one bounded pass and returns a report. It runs on a
timer and on a nudge, and a nudge carries no data. Loop, clock, lease and record belong to
`jobs.driver`; a pass that fails is retried by the next one.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from app.services import Services

Report = Mapping[str, int | float | str | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`run` does one pass now and says what it did. An empty report means there was nothing to do
    and leaves no record. `nudged_by` is a PostgreSQL channel that wakes the job early. A pass that
    takes longer than `time_limit` is cancelled and counts as failed. `preview` changes nothing and
    gives a line for each thing that a pass would do now, with the reason. `run_by_hand` is what a pass
    does that somebody asks for, when that is not `run`. `description` tells people what the job does."""

    name: str
    description: str
    every: dt.timedelta
    run: Callable[[Services], Awaitable[Report]]
    nudged_by: str | None = None
    time_limit: dt.timedelta = dt.timedelta(minutes=10)
    preview: Callable[[Services], Awaitable[Sequence[str]]] | None = None
    run_by_hand: Callable[[Services], Awaitable[Report]] | None = None
