"""What of another server's database was taken over, and taking rows over.

Rows come as pages of JSON, an array of objects with our column names. They are taken once: what has their
id, or their name where names are unique, stays as it is, and what refers to it is put right by `moved`.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.wire.base import NIL_UUID
from storage.errors import Conflict
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

Kind: TypeAlias = Literal[
    "flows",
    "work_pools",
    "work_queues",
    "deployments",
    "deployment_schedules",
    "flow_runs",
    "flow_run_states",
    "task_runs",
    "task_run_states",
]
# In this order: what is referred to comes first.
KINDS: tuple[Kind, ...] = (
    "flows",
    "work_pools",
    "work_queues",
    "deployments",
    "deployment_schedules",
    "flow_runs",
    "flow_run_states",
    "task_runs",
    "task_run_states",
)
# Their rows refer to what may have another id here.
_REFERRING = frozenset({"work_queues", "deployments", "flow_runs"})

_IMPORT = {kind: statement(f"import_{kind}") for kind in KINDS}
_BEGIN_IMPORT = statement("begin_import")
_READ_IMPORT = statement("read_import")
_MOVE_IMPORT = statement("move_import")
_COUNT_IMPORTED = statement("count_imported")
_NEXT_BATCH_ID = statement("next_batch_id")
_IMPORTED_RUNS = statement("imported_runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A line of the source: those up to it, in the order of (updated, id), were taken."""

    updated: dt.datetime
    id: uuid.UUID


BEGINNING = Position(updated=dt.datetime.min.replace(tzinfo=dt.UTC), id=NIL_UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an import has come: `rows` lines."""

    position: Position
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A run's lines that were taken, and those that the segments have now."""

    flow_run_id: uuid.UUID
    taken: int
    held: int


async def begin_import(conn: Conn, source: uuid.UUID) -> Progress:
    """How far the import of this source has come, from its beginning when there was none."""
    await conn.execute(_BEGIN_IMPORT, source)
    row = await conn.fetchrow(_READ_IMPORT, source)
    if row is None:
        raise Conflict("import_progress", "the import was forgotten by somebody else")
    updated: dt.datetime = row["after_updated"]
    # PostgreSQL's beginning of time comes without a zone.
    position = Position(updated=updated.replace(tzinfo=dt.UTC), id=row["after_id"])
    return Progress(position=position, rows=row["rows"])


async def move_import(
    conn: Conn, source: uuid.UUID, before: Position, after: Position, runs: dict[uuid.UUID, int]
) -> None:
    """Say that the lines after `before` up to `after` were taken, so many of each run. Must run in the
    transaction that publishes them.

    Raises:
        Conflict: another process took them. The transaction must be rolled back.
    """
    arguments = (before.updated, before.id, after.updated, after.id, sum(runs.values()))
    if await conn.execute(_MOVE_IMPORT, source, *arguments) != "UPDATE 1":
        raise Conflict("import_progress", "another process imports the same database")
    await conn.execute(_COUNT_IMPORTED, source, list(runs), list(runs.values()))


async def next_batch_id(conn: Conn) -> int:
    """An id that no batch has."""
    batch_id: int = await conn.fetchval(_NEXT_BATCH_ID)
    return batch_id


async def imported_runs(
    conn: Conn, source: uuid.UUID, after: uuid.UUID | None, limit: int
) -> list[ImportedRun]:
    """The next runs of an import, by id."""
    rows = await conn.fetch(_IMPORTED_RUNS, source, after, limit)
    return [ImportedRun(**dict(row)) for row in rows]


async def import_rows(
    conn: Conn, kind: Kind, rows: list[object], moved: dict[uuid.UUID, uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    """Take a page of rows. Gives the ids, by theirs, that something of the same name has here."""
    arguments = (list(moved), list(moved.values())) if kind in _REFERRING else ()
    found = await conn.fetch(_IMPORT[kind], rows, *arguments)
    return {row["theirs"]: row["ours"] for row in found}
