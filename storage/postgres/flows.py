"""Flows."""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.filters import FlowPageQuery, FlowQuery, Selection
from app.wire.flows import Flow, FlowCreate, FlowPage, FlowUpdate
from storage.errors import NotFound
from storage.postgres import filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_READ = statement("read_flow")
_READ_BY_NAME = statement("read_flow_by_name")
_INSERT = statement("insert_flow")
_UPDATE = statement("update_flow")
_DELETE = statement("delete_flow")


def _flow_of(row: asyncpg.Record) -> Flow:
    return Flow(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        tags=row["tags"],
        labels=row["labels"],
    )


async def get_or_create_flow(
    conn: Conn, create: FlowCreate, *, id: uuid.UUID, now: dt.datetime
) -> tuple[Flow, bool]:
    """The flow of that name, and whether it was made now. A known flow keeps its tags and labels."""
    row = await conn.fetchrow(_READ_BY_NAME, create.name)
    if row is not None:
        return _flow_of(row), False
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
    row = await conn.fetchrow(_READ_BY_NAME, name)
    if row is None:
        raise NotFound("Flow not found")
    return _flow_of(row)


async def update_flow(conn: Conn, id: uuid.UUID, update: FlowUpdate, *, now: dt.datetime) -> None:
    """Raises NotFound."""
    tags = None if update.tags is msgspec.UNSET else update.tags
    if await conn.fetchrow(_UPDATE, id, now, tags) is None:
        raise NotFound("Flow not found")


async def delete_flow(conn: Conn, id: uuid.UUID) -> None:
    """Delete it with its runs, and their logs from every reader. Raises NotFound."""
    if await conn.fetchrow(_DELETE, id) is None:
        raise NotFound("Flow not found")


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


def pages_of(count: int, limit: int) -> int:
    """How many pages of `limit` hold `count` rows."""
    return -(-count // limit) if limit else 0
