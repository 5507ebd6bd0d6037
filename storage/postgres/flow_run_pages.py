"""Pages of flow runs by where the last one ended: a page far down costs what the first one does.

Where an order has runs without a value, they lie together, first or last as PostgreSQL sorts nulls. Those
with a value and those without are asked for one after the other, so that an index serves each.
"""

import datetime as dt
from dataclasses import dataclass

from app.wire.filters import Selection
from app.wire.flow_run_pages import (
    COUNTED,
    BoundedCount,
    FlowRunCursor,
    FlowRunsPage,
    FlowRunsQuery,
    format_cursor,
    place_of,
)
from app.wire.runs import FlowRun
from app.wire.sorting import FlowRunSort
from storage.postgres.filters import FLOW_RUN_ORDER, Query, flow_runs_where, page_of
from storage.postgres.pool import Conn
from storage.postgres.run_rows import flow_run_of
from storage.postgres.statements import statement

_SELECT = statement("select_flow_runs")


@dataclass(frozen=True, slots=True)
class _Order:
    """What runs are sorted by before their id; None is nothing."""

    column: str | None
    descending: bool
    nullable: bool = True


_START = "coalesce(r.start_time, r.expected_start_time)"
_ORDERS: dict[FlowRunSort, _Order] = {
    "ID_DESC": _Order(None, True, nullable=False),
    "START_TIME_ASC": _Order(_START, False),
    "START_TIME_DESC": _Order(_START, True),
    "EXPECTED_START_TIME_ASC": _Order("r.expected_start_time", False),
    "EXPECTED_START_TIME_DESC": _Order("r.expected_start_time", True),
    "NAME_ASC": _Order("r.name", False, nullable=False),
    "NAME_DESC": _Order("r.name", True, nullable=False),
    "NEXT_SCHEDULED_START_TIME_ASC": _Order("r.next_scheduled_start_time", False),
    "END_TIME_DESC": _Order("r.end_time", True),
}


async def read_page(conn: Conn, query: FlowRunsQuery, *, now: dt.datetime) -> FlowRunsPage:
    """The page after the cursor of the query, or the first."""
    after = query.place
    runs: list[FlowRun] = []
    # One more than wanted tells whether there are more.
    wanted = query.limit + 1
    for nulls in _stretches(_ORDERS[query.sort], after):
        sql, values = _stretch(query, nulls, after, wanted - len(runs))
        runs += [flow_run_of(row, now) for row in await conn.fetch(sql, *values)]
        # The next stretch begins at its beginning.
        after = None
        if len(runs) == wanted:
            break
    more = len(runs) == wanted
    runs = runs[: query.limit]
    return FlowRunsPage(
        flow_runs=runs,
        next=format_cursor(place_of(runs[-1], query.sort)) if more else None,
        count=await _count(conn, query) if query.count else None,
    )


def _stretches(order: _Order, after: FlowRunCursor | None) -> list[bool | None]:
    """Those that come, in order: runs without a value (True), with one (False), or all (None)."""
    if not order.nullable:
        return [None]
    stretches: list[bool | None] = [True, False] if order.descending else [False, True]
    if after is None:
        return stretches
    return stretches[stretches.index(after.value is None) :]


def _stretch(
    query: FlowRunsQuery, nulls: bool | None, after: FlowRunCursor | None, limit: int
) -> tuple[str, list[object]]:
    order = _ORDERS[query.sort]
    built = Query()
    where = [flow_runs_where(built, query)]
    beyond = "<" if order.descending else ">"
    if nulls is not None:
        where.append(f"{order.column} IS {'' if nulls else 'NOT '}NULL")
    if after is not None and (order.column is None or nulls):
        where.append(f"r.id {beyond} {built.bind(after.id)}")
    elif after is not None:
        place = f"({built.bind(after.value)}, {built.bind(after.id)})"
        where.append(f"({order.column}, r.id) {beyond} {place}")
    tail = f"LIMIT {built.bind(limit)}"
    by = f"r.id {'DESC' if order.descending else 'ASC'}" if nulls else FLOW_RUN_ORDER[query.sort]
    return page_of(_SELECT, "flow_run", "r", " AND ".join(where), by, tail), built.values


async def _count(conn: Conn, selection: Selection) -> BoundedCount:
    built = Query()
    where = flow_runs_where(built, selection)
    found: int = await conn.fetchval(
        f"SELECT count(*) FROM (SELECT FROM flow_run r WHERE {where} LIMIT {COUNTED + 1}) AS found",
        *built.values,
    )
    return BoundedCount(count=min(found, COUNTED), exact=found <= COUNTED)
