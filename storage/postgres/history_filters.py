"""Histories and lateness of runs as SQL; `storage.postgres.filters` says which runs."""

import datetime as dt

from app.wire.filters import FlowRunFilter, Selection
from app.wire.states import TERMINAL
from storage.postgres.filters import Query, flow_runs_where, task_runs_where


def flow_run_history(
    selection: Selection, start: dt.datetime, end: dt.datetime, seconds: float, now: dt.datetime
) -> tuple[str, list[object]]:
    """Flow runs expected in [start, end), counted by interval of `seconds` and state."""
    query = Query()
    where = flow_runs_where(query, selection)
    if _is_held_by_history_index(selection):
        return _flow_run_history_of_states(query, where, start, end, seconds, now)
    return _history(query, "flow_run r", "r", where, start, end, seconds, now)


def task_run_history(
    selection: Selection, start: dt.datetime, end: dt.datetime, seconds: float, now: dt.datetime
) -> tuple[str, list[object]]:
    """Task runs expected in [start, end), counted by interval of `seconds` and state."""
    query = Query()
    return _history(
        query, "task_run t", "t", task_runs_where(query, selection), start, end, seconds, now
    )


def flow_run_lateness(selection: Selection, now: dt.datetime) -> tuple[str, list[object]]:
    """Seconds by which flow runs start late, on average."""
    query = Query()
    where = flow_runs_where(query, selection)
    late = _lateness("r", query.bind(now))
    return f"SELECT avg({late}) FROM flow_run r WHERE {where}", query.values


def _history(
    query: Query,
    run: str,
    alias: str,
    where: str,
    start: dt.datetime,
    end: dt.datetime,
    seconds: float,
    now: dt.datetime,
) -> tuple[str, list[object]]:
    first, after, now_is = query.bind(start), query.bind(end), query.bind(now)
    expected = f"{alias}.expected_start_time"
    since = f"date_part('epoch', {expected} - {first}::timestamptz)"
    interval = f"floor({since} / {query.bind(seconds)}::float8)"
    # OFFSET 0 keeps the planner from taking as many groups for likely as there are times, and
    # sorting all rows instead of hashing the few groups that there are.
    text = f"""
        SELECT interval, state_type, state_name, count(*) AS count_runs,
            sum(run_time) AS sum_estimated_run_time, sum(lateness) AS sum_estimated_lateness
        FROM (
            SELECT {interval}::integer AS interval, {alias}.state_type, {alias}.state_name,
                {_run_time(alias, now_is)} AS run_time,
                {_lateness(alias, now_is)} AS lateness
            FROM {run}
            WHERE {where} AND {expected} >= {first}::timestamptz AND {expected} < {after}
                AND {alias}.state_type IS NOT NULL
            OFFSET 0
        ) AS found
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
    """
    return text, query.values


def _is_held_by_history_index(selection: Selection) -> bool:
    """Whether the index `flow_run_history` has every column of a flow run that is asked for."""
    asked = {name for name in Selection.__struct_fields__ if getattr(selection, name) is not None}
    if not asked <= {"flow_runs", "work_pools", "work_pool_queues"}:
        return False
    on = selection.flow_runs or FlowRunFilter()
    held = {"operator", "state", "expected_start_time", "parent_task_run_id"}
    return all(
        getattr(on, name) is None for name in FlowRunFilter.__struct_fields__ if name not in held
    )


def _flow_run_history_of_states(
    query: Query, where: str, start: dt.datetime, end: dt.datetime, seconds: float, now: dt.datetime
) -> tuple[str, list[object]]:
    """As `_history`, for each state and interval by itself: then rows need not be told apart, which
    takes longer than adding them up. There are few states, and the index leaps from one to the
    next."""
    first, after, now_is = query.bind(start), query.bind(end), query.bind(now)
    length = f"make_interval(secs => {query.bind(seconds)})"
    last = query.bind(round((end - start) / dt.timedelta(seconds=seconds)) - 1)
    text = f"""
        WITH RECURSIVE state AS (
            (
                SELECT state_name, state_type FROM flow_run WHERE state_type IS NOT NULL
                ORDER BY state_name, state_type LIMIT 1
            )
            UNION ALL
            SELECT next.* FROM state CROSS JOIN LATERAL (
                SELECT state_name, state_type FROM flow_run
                WHERE (state_name, state_type) > (state.state_name, state.state_type)
                ORDER BY state_name, state_type LIMIT 1
            ) AS next
        )
        SELECT part.number AS interval, state.state_type, state.state_name, found.*
        FROM state
        CROSS JOIN generate_series(0, {last}::integer) AS part (number)
        CROSS JOIN LATERAL (
            SELECT count(*) AS count_runs, sum({_run_time("r", now_is)}) AS sum_estimated_run_time,
                sum({_lateness("r", now_is)}) AS sum_estimated_lateness
            FROM flow_run r
            WHERE {where} AND r.state_name = state.state_name AND r.state_type = state.state_type
                AND r.expected_start_time >= {first}::timestamptz + part.number * {length}
                AND r.expected_start_time
                    < least({after}, {first}::timestamptz + (part.number + 1) * {length})
        ) AS found
        WHERE found.count_runs > 0
        ORDER BY 1, 2, 3
    """
    return text, query.values


def _run_time(alias: str, now_is: str) -> str:
    """Seconds in RUNNING, with the time in RUNNING now."""
    return (
        f"{alias}.total_run_time + CASE WHEN {alias}.state_type = 'RUNNING'"
        f" THEN date_part('epoch', {now_is}::timestamptz - {alias}.state_timestamp) ELSE 0 END"
    )


def _lateness(alias: str, now_is: str) -> str:
    """`app.wire.runs.estimated_start_time_delta` as SQL."""
    expected, start = f"{alias}.expected_start_time", f"{alias}.start_time"
    terminal = ", ".join(f"'{state_type}'" for state_type in sorted(TERMINAL))
    return (
        f"CASE WHEN {start} > {expected} THEN date_part('epoch', {start} - {expected})"
        f" WHEN {start} IS NULL AND {alias}.state_type NOT IN ({terminal})"
        f" AND {expected} < {now_is}::timestamptz"
        f" THEN date_part('epoch', {now_is}::timestamptz - {expected}) ELSE 0 END"
    )
