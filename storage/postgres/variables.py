"""Variables. Each is found by its id or by its name."""

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

import asyncpg
import msgspec

from app.wire.filters import AnyId, NameFilter
from app.wire.variables import (
    Variable,
    VariableCreate,
    VariableFilter,
    VariableQuery,
    VariableUpdate,
)
from storage.errors import NotFound
from storage.postgres import object_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_INSERT = statement("insert_variable")
_UPDATE = statement("update_variable")
_DELETE = statement("delete_variable")
_VALUES = statement("select_variable_values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """One variable, by its id or by its name."""

    id: uuid.UUID | None = None
    name: str | None = None


def _variable_of(row: asyncpg.Record) -> Variable:
    return Variable(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        value=msgspec.Raw(row["value"].encode()),
        tags=row["tags"],
    )


async def insert_variable(
    conn: Conn, create: VariableCreate, *, id: uuid.UUID, now: dt.datetime
) -> Variable:
    """Raises Conflict for a name that is taken."""
    row = await conn.fetchrow(_INSERT, id, now, create.name, create.value, create.tags)
    assert row is not None
    return _variable_of(row)


async def read_variable(conn: Conn, which: Which) -> Variable:
    """Raises NotFound."""
    wanted = VariableFilter(
        id=AnyId(any_=[which.id]) if which.id is not None else None,
        name=NameFilter(any_=[which.name]) if which.name is not None else None,
    )
    found = await select_variables(conn, VariableQuery(variables=wanted, limit=1))
    if not found:
        raise NotFound("Variable not found.")
    return found[0]


async def update_variable(
    conn: Conn, which: Which, update: VariableUpdate, *, now: dt.datetime
) -> Variable:
    """The variable as it is then. Raises NotFound, and Conflict for a name that is taken."""
    changed = await conn.fetchrow(
        _UPDATE,
        which.id,
        which.name,
        now,
        update.name if update.name is not msgspec.UNSET else None,
        update.value if update.value is not msgspec.UNSET else None,
        update.tags if update.tags is not msgspec.UNSET else None,
    )
    if changed is None:
        raise NotFound("Variable not found.")
    return _variable_of(changed)


async def delete_variable(conn: Conn, which: Which) -> Variable:
    """The variable as it was. Raises NotFound."""
    gone = await conn.fetchrow(_DELETE, which.id, which.name)
    if gone is None:
        raise NotFound("Variable not found.")
    return _variable_of(gone)


async def select_variables(conn: Conn, query: VariableQuery) -> list[Variable]:
    """One stretch of the variables that match."""
    sql, values = object_filters.select_variables(query)
    return [_variable_of(row) for row in await conn.fetch(sql, *values)]


async def count_variables(conn: Conn, on: VariableFilter | None) -> int:
    """How many match."""
    sql, values = object_filters.count_variables(on)
    count: int = await conn.fetchval(sql, *values)
    return count


async def values_of_variables(conn: Conn, names: Collection[str] | None) -> dict[str, object]:
    """The values of those of these variables that are there, or of all."""
    rows = await conn.fetch(_VALUES, list(names) if names is not None else None)
    return {row["name"]: msgspec.json.decode(row["value"]) for row in rows}
