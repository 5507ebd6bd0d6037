"""How runs are spread over time: counts and sums by interval and state."""

import datetime as dt
from collections.abc import Iterable

import asyncpg

from app.wire.filters import HistoryQuery, Selection
from app.wire.results import HistoryInterval, HistoryState
from storage.postgres import history_filters
from storage.postgres.pool import Conn

# A longer history is cut off at its end.
MAX_INTERVALS = 500


async def flow_run_history(
    conn: Conn, query: HistoryQuery, *, now: dt.datetime
) -> list[HistoryInterval]:
    """Flow runs by the time they were expected to start. Raises OverflowError if the intervals
    leave the calendar."""
    times = _intervals(query)
    if not times:
        return []
    seconds = query.history_interval_seconds
    sql, values = history_filters.flow_run_history(query, times[0][0], times[-1][1], seconds, now)
    return _filled(times, await conn.fetch(sql, *values))


async def task_run_history(
    conn: Conn, query: HistoryQuery, *, now: dt.datetime
) -> list[HistoryInterval]:
    """Task runs by the time they were expected to start. Raises as `flow_run_history` does."""
    times = _intervals(query)
    if not times:
        return []
    seconds = query.history_interval_seconds
    sql, values = history_filters.task_run_history(query, times[0][0], times[-1][1], seconds, now)
    return _filled(times, await conn.fetch(sql, *values))


async def flow_run_lateness(conn: Conn, selection: Selection, *, now: dt.datetime) -> float | None:
    """Seconds by which the runs start late, on average; None if there are no runs."""
    sql, values = history_filters.flow_run_lateness(selection, now)
    lateness: float | None = await conn.fetchval(sql, *values)
    return lateness


def _intervals(query: HistoryQuery) -> list[tuple[dt.datetime, dt.datetime]]:
    length = dt.timedelta(seconds=query.history_interval_seconds)
    found: list[tuple[dt.datetime, dt.datetime]] = []
    start = query.history_start
    while start < query.history_end and len(found) < MAX_INTERVALS:
        found.append((start, start + length))
        start += length
    return found


def _filled(
    times: list[tuple[dt.datetime, dt.datetime]], rows: Iterable[asyncpg.Record]
) -> list[HistoryInterval]:
    states: list[list[HistoryState]] = [[] for _ in times]
    for row in rows:
        states[min(row["interval"], len(times) - 1)].append(
            HistoryState(
                state_type=row["state_type"],
                state_name=row["state_name"],
                count_runs=row["count_runs"],
                sum_estimated_run_time=row["sum_estimated_run_time"],
                sum_estimated_lateness=row["sum_estimated_lateness"],
            )
        )
    return [
        HistoryInterval(interval_start=start, interval_end=end, states=in_interval)
        for (start, end), in_interval in zip(times, states, strict=True)
    ]
