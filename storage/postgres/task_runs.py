"""Task runs, but for their states (`storage.postgres.states`) and those that arrive as events
(`storage.postgres.task_run_events`)."""

import datetime as dt
import uuid

import msgspec

from app.wire.filters import Selection, TaskRunPageQuery, TaskRunQuery
from app.wire.runs import TaskRun, TaskRunPage, TaskRunUpdate
from storage.errors import NotFound
from storage.postgres import filters
from storage.postgres.flows import pages_of
from storage.postgres.pool import Conn
from storage.postgres.run_rows import task_run_of
from storage.postgres.statements import statement

_READ = statement("select_task_runs") + " WHERE t.id = $1"
_NAME_AND_TAGS = statement("read_task_run_name_and_tags")
_UPDATE = statement("update_task_run")
_DELETE = statement("delete_task_run")


async def read_task_run(conn: Conn, id: uuid.UUID, *, now: dt.datetime) -> TaskRun:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ, id)
    if row is None:
        raise NotFound("Task not found")
    return task_run_of(row, now)


async def name_and_tags_of_task_run(conn: Conn, id: uuid.UUID) -> tuple[str, list[str]] | None:
    """None if there is no such task run."""
    row = await conn.fetchrow(_NAME_AND_TAGS, id)
    return (row["name"], row["tags"]) if row is not None else None


async def update_task_run(
    conn: Conn, id: uuid.UUID, update: TaskRunUpdate, *, now: dt.datetime
) -> None:
    """Raises NotFound."""
    name = None if update.name is msgspec.UNSET else update.name
    if await conn.fetchrow(_UPDATE, id, now, name) is None:
        raise NotFound("Task run not found")


async def delete_task_run(conn: Conn, id: uuid.UUID) -> None:
    """Raises NotFound."""
    if await conn.fetchrow(_DELETE, id) is None:
        raise NotFound("Task not found")


async def select_task_runs(conn: Conn, query: TaskRunQuery, *, now: dt.datetime) -> list[TaskRun]:
    """One stretch of the task runs that match."""
    sql, values = filters.select_task_runs(query, query.sort, query.limit, query.offset)
    return [task_run_of(row, now) for row in await conn.fetch(sql, *values)]


async def count_task_runs(conn: Conn, selection: Selection) -> int:
    """How many match."""
    sql, values = filters.count_task_runs(selection)
    count: int = await conn.fetchval(sql, *values)
    return count


async def page_of_task_runs(
    conn: Conn, query: TaskRunPageQuery, *, now: dt.datetime
) -> TaskRunPage:
    """One page, and how many there are."""
    count = await count_task_runs(conn, query)
    offset = (query.page - 1) * query.limit
    sql, values = filters.select_task_runs(query, query.sort, query.limit, offset)
    return TaskRunPage(
        results=[task_run_of(row, now) for row in await conn.fetch(sql, *values)],
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )
