"""What a filter says of the runs, times and levels of lines, and what is left to ask of each line. Pure."""

import uuid
from dataclasses import replace

from app.wire.base import NIL_UUID
from app.wire.line_filters import LevelSetFilter
from app.wire.logs import LogFilter
from storage.logs.lines import Key, time_of
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import Predicate, compile_filter

# Beyond this many runs in a filter a scan is cheaper than one source per run.
MAX_RUNS_BY_MANIFEST = 50
_LEAST_LEVEL = -(2**31)
_GREATEST_LEVEL = 2**31 - 1


def known_runs(log_filter: LogFilter) -> list[uuid.UUID] | None:
    """The runs that a filter asks for, when it asks for a few runs and nothing else besides."""
    asked = log_filter.flow_run_id.any_ if log_filter.flow_run_id else None
    if asked is None or log_filter.operator == "or_":
        return None
    runs = set(asked)
    # In the manifest the nil UUID stands for the lines without a run too.
    if len(runs) > MAX_RUNS_BY_MANIFEST or NIL_UUID in runs:
        return None
    return list(runs)


def bounds_of(log_filter: LogFilter) -> Bounds:
    """What the filter says of times and levels, when it says it of all lines."""
    if log_filter.operator == "or_":
        return Bounds()
    level, timestamp = log_filter.level, log_filter.timestamp
    least, greatest = (level.ge_, level.le_) if level else (None, None)
    among = level_set(log_filter)
    if among is not None:
        # Bounds that hold no level when it is of none.
        first, last = min(among, default=_GREATEST_LEVEL), max(among, default=_LEAST_LEVEL)
        least = first if least is None else max(least, first)
        greatest = last if greatest is None else min(greatest, last)
    return Bounds(
        after=timestamp.after_ if timestamp else None,
        before=timestamp.before_ if timestamp else None,
        least_level=least,
        greatest_level=greatest,
    )


def level_set(log_filter: LogFilter) -> list[int] | None:
    """The only levels of lines that match, when the filter names them."""
    level = log_filter.level
    if log_filter.operator == "or_" or not isinstance(level, LevelSetFilter):
        return None
    return level.any_


def bounds_beyond(bounds: Bounds, start: Key | None, *, descending: bool) -> Bounds:
    """The part of the bounds that lies beyond a key."""
    if start is None:
        return bounds
    moment = time_of(start[0])
    if descending:
        return replace(bounds, before=min(moment, bounds.before or moment))
    return replace(bounds, after=max(moment, bounds.after or moment))


def residual(log_filter: LogFilter, bounds: Bounds, sources: list[Source]) -> Predicate:
    """What of the filter the sources do not ensure by themselves."""
    bounded = level_set(log_filter) is None and all(map(bounds.hold_levels_of, sources))
    return compile_filter(
        LogFilter(
            level=None if bounded else log_filter.level,
            timestamp=None if all(map(bounds.hold_times_of, sources)) else log_filter.timestamp,
            task_run_id=log_filter.task_run_id,
            text=log_filter.text,
        )
    )
