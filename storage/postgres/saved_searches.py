"""Saved searches, each known by its name."""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.saved_searches import (
    SavedSearch,
    SavedSearchCreate,
    SavedSearchFilter,
    SavedSearchQuery,
)
from storage.errors import NotFound
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_UPSERT = statement("upsert_saved_search")
_READ = statement("read_saved_search")
_SELECT = statement("select_saved_searches")
_DELETE = statement("delete_saved_search")


def _saved_search_of(row: asyncpg.Record) -> SavedSearch:
    return SavedSearch(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        filters=msgspec.convert(row["filters"], list[SavedSearchFilter]),
    )


async def put_saved_search(
    conn: Conn, create: SavedSearchCreate, *, id: uuid.UUID, now: dt.datetime
) -> tuple[SavedSearch, bool]:
    """The search as it is kept now, and whether its name is new."""
    row = await conn.fetchrow(_UPSERT, id, now, create.name, create.filters)
    assert row is not None
    return _saved_search_of(row), row["id"] == id


async def read_saved_search(conn: Conn, id: uuid.UUID) -> SavedSearch:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ, id)
    if row is None:
        raise NotFound("Saved search not found")
    return _saved_search_of(row)


async def select_saved_searches(conn: Conn, query: SavedSearchQuery) -> list[SavedSearch]:
    """One stretch of them, by name."""
    rows = await conn.fetch(_SELECT, query.limit, query.offset)
    return [_saved_search_of(row) for row in rows]


async def delete_saved_search(conn: Conn, id: uuid.UUID) -> None:
    """Raises NotFound."""
    if await conn.fetchrow(_DELETE, id) is None:
        raise NotFound("Saved search not found")
