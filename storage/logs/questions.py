"""What a filter says of the runs, times and levels of lines, and what is left to ask of each line. Pure."""

import uuid
from dataclasses import replace

import msgspec

from app.wire.base import NIL_UUID
from app.wire.logs import LogFilter
from storage.logs.histogram import Counting, Span, bounds_and_rest
from storage.logs.lines import Key, time_of
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import EVERYTHING, Predicate, both, compile_filter
from storage.logs.required_text import required_text

# Beyond this many runs in a filter a scan is cheaper than one source per run.
MAX_RUNS_BY_MANIFEST = 50


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


def counting_of(
    log_filter: LogFilter,
    runs: list[uuid.UUID] | None,
    span: Span,
    bucket_seconds: int | None,
    also: Predicate = EVERYTHING,
) -> Counting:
    """What is counted, by bucket and level, or without buckets by run and level; `runs` are those of the
    filter when it names them."""
    span, bounds, rest = bounds_and_rest(log_filter, span)
    if runs is not None:
        rest = msgspec.structs.replace(rest, flow_run_id=None)
    return Counting(
        span=span,
        bounds=bounds,
        predicate=both(compile_filter(rest), also),
        bucket=None if bucket_seconds is None else bucket_seconds * 1_000_000,
        text=required_text(rest),
        runs=runs,
    )


def bounds_of(log_filter: LogFilter) -> Bounds:
    """What the filter says of times and levels, when it says it of all lines."""
    if log_filter.operator == "or_":
        return Bounds()
    level, timestamp = log_filter.level, log_filter.timestamp
    return Bounds(
        after=timestamp.after_ if timestamp else None,
        before=timestamp.before_ if timestamp else None,
        least_level=level.ge_ if level else None,
        greatest_level=level.le_ if level else None,
    )


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
    return compile_filter(
        LogFilter(
            level=None if all(map(bounds.hold_levels_of, sources)) else log_filter.level,
            timestamp=None if all(map(bounds.hold_times_of, sources)) else log_filter.timestamp,
            task_run_id=log_filter.task_run_id,
            text=log_filter.text,
        )
    )
