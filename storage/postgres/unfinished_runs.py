"""Runs that are to change state although nobody asks: each finds at most so many ids.

Nothing is locked here. Who changes a run looks again once it is locked.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_BECOMING_LATE = statement("select_runs_becoming_late")
_EXPIRED_PAUSES = statement("select_expired_pauses")
_TASK_RUNS = statement("select_unfinished_task_runs_of_cancelled_runs")
_SUBFLOW_RUNS = statement("select_unfinished_subflow_runs_of_cancelled_runs")
_CANCELLING_SINCE = statement("select_runs_cancelling_since")


async def _ids(conn: Conn, sql: str, *values: object) -> Sequence[uuid.UUID]:
    return [row["id"] for row in await conn.fetch(sql, *values)]


async def runs_becoming_late(
    conn: Conn, *, due_before: dt.datetime, at_most: int
) -> Sequence[uuid.UUID]:
    """Scheduled flow runs that were due before that and are not called late yet, oldest first."""
    return await _ids(conn, _BECOMING_LATE, due_before, at_most)


async def expired_pauses(conn: Conn, *, now: dt.datetime, at_most: int) -> Sequence[uuid.UUID]:
    """Paused flow runs that nobody resumed in time."""
    return await _ids(conn, _EXPIRED_PAUSES, now, at_most)


async def unfinished_task_runs_of_cancelled_runs(
    conn: Conn, *, ended_since: dt.datetime, at_most: int
) -> Sequence[uuid.UUID]:
    """Task runs that go on in flow runs cancelled since then."""
    return await _ids(conn, _TASK_RUNS, ended_since, at_most)


async def unfinished_subflow_runs_of_cancelled_runs(
    conn: Conn, *, at_most: int
) -> Sequence[uuid.UUID]:
    """Flow runs that go on inside cancelled ones, and that nobody is told to cancel yet."""
    return await _ids(conn, _SUBFLOW_RUNS, at_most)


async def runs_cancelling_since(
    conn: Conn, *, before: dt.datetime, at_most: int
) -> Sequence[uuid.UUID]:
    """Flow runs that have been Cancelling since before that, oldest first."""
    return await _ids(conn, _CANCELLING_SINCE, before, at_most)
