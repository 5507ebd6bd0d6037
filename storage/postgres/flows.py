"""Flows."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import msgspec

from app.wire.filters import FlowPageQuery, FlowQuery, Selection
from app.wire.flows import Flow, FlowCreate, FlowPage, FlowUpdate, NextRun
from storage.errors import NotFound
from storage.postgres import filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_READ = statement("read_flow")
_READ_BY_NAME = statement("read_flow_by_name")
_INSERT = statement("insert_flow")
_UPDATE = statement("update_flow")
_DELETE = statement("delete_flow")
_COUNT_DEPLOYMENTS = statement("count_deployments_of_flows")
_NEXT_RUNS = statement("select_next_runs_of_flows")


def _flow_of(row: asyncpg.Record) -> Flow:
    return Flow(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        tags=row["tags"],
        labels=row["labels"],
    )


async def find_flow(conn: Conn, name: str) -> Flow | None:
    """The flow of that name, if there is one."""
    row = await conn.fetchrow(_READ_BY_NAME, name)
    return _flow_of(row) if row is not None else None


async def get_or_create_flow(
    conn: Conn, create: FlowCreate, *, id: uuid.UUID, now: dt.datetime
) -> tuple[Flow, bool]:
    """The flow of that name, and whether it was made now. A known flow keeps its tags and labels."""
    row = await conn.fetchrow(_INSERT, id, now, create.name, create.tags, create.labels or {})
    if row is not None:
        return _flow_of(row), True
    return await read_flow_by_name(conn, create.name), False


async def read_flow(conn: Conn, id: uuid.UUID) -> Flow:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ, id)
    if row is None:
        raise NotFound("Flow not found")
    return _flow_of(row)


async def read_flow_by_name(conn: Conn, name: str) -> Flow:
    """Raises NotFound."""
    flow = await find_flow(conn, name)
    if flow is None:
        raise NotFound("Flow not found")
    return flow


async def update_flow(conn: Conn, id: uuid.UUID, update: FlowUpdate, *, now: dt.datetime) -> Flow:
    """The flow as it is then. Raises NotFound."""
    tags = None if update.tags is msgspec.UNSET else update.tags
    row = await conn.fetchrow(_UPDATE, id, now, tags)
    if row is None:
        raise NotFound("Flow not found")
    return _flow_of(row)


async def delete_flow(conn: Conn, id: uuid.UUID) -> Flow:
    """Delete it with its runs, and their logs from every reader; the flow as it was. Raises
    NotFound."""
    row = await conn.fetchrow(_DELETE, id)
    if row is None:
        raise NotFound("Flow not found")
    return _flow_of(row)


async def select_flows(conn: Conn, query: FlowQuery) -> list[Flow]:
    """One stretch of the flows that match."""
    sql, values = filters.select_flows(query, query.sort, query.limit, query.offset)
    return [_flow_of(row) for row in await conn.fetch(sql, *values)]


async def count_flows(conn: Conn, selection: Selection) -> int:
    """How many match."""
    sql, values = filters.count_flows(selection)
    count: int = await conn.fetchval(sql, *values)
    return count


async def page_of_flows(conn: Conn, query: FlowPageQuery) -> FlowPage:
    """One page, and how many there are."""
    count = await count_flows(conn, query)
    offset = (query.page - 1) * query.limit
    sql, values = filters.select_flows(query, query.sort, query.limit, offset)
    return FlowPage(
        results=[_flow_of(row) for row in await conn.fetch(sql, *values)],
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )


async def count_deployments_of(conn: Conn, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many deployments each of these flows has; 0 for one that is not there."""
    counts = {row["flow_id"]: row["count"] for row in await conn.fetch(_COUNT_DEPLOYMENTS, ids)}
    return {id: counts.get(id, 0) for id in ids}


async def next_runs_of(conn: Conn, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, NextRun | None]:
    """The run of each of these flows that is due first, if one waits."""
    runs: dict[uuid.UUID, NextRun | None] = dict.fromkeys(ids)
    for row in await conn.fetch(_NEXT_RUNS, list(runs)):
        runs[row["flow_id"]] = NextRun(
            id=row["id"],
            flow_id=row["flow_id"],
            name=row["name"],
            state_name=row["state_name"],
            state_type=row["state_type"],
            next_scheduled_start_time=row["next_scheduled_start_time"],
        )
    return runs


def pages_of(count: int, limit: int) -> int:
    """How many pages of `limit` hold `count` rows."""
    return -(-count // limit) if limit else 0
