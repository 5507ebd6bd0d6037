"""How the archive stands: what the tables have, and how far behind they are."""

import asyncio
import datetime as dt
from dataclasses import dataclass

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from storage.archive import claims
from storage.archive.claims import Backlog
from storage.archive.place import Archive
from storage.archive.tables import open_catalog
from storage.errors import Unavailable
from storage.postgres.pool import connection, open_pool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """A table as its current snapshot has it; `committed` is when that was made. `readable_snapshots`
    counts it and those of before that have not ended."""

    name: str
    location: str
    metadata_location: str
    snapshot_id: int | None
    committed: dt.datetime | None
    rows: int
    files: int
    readable_snapshots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveStatus:
    """The tables that there are, and what waits."""

    tables: list[TableStatus]
    backlog: Backlog


async def read_status(archive: Archive) -> ArchiveStatus:
    """Ask PostgreSQL and the catalog.

    Raises:
        Unavailable: PostgreSQL, the catalog or the bucket does not answer.
    """
    pool = await open_pool(archive.database_url, max_size=1)
    try:
        async with connection(pool) as conn:
            backlog = await claims.backlog(conn)
    finally:
        await pool.close()
    try:
        tables = await asyncio.to_thread(_tables, archive)
    except Exception as error:
        # Of pyiceberg, SQLAlchemy, Arrow or requests.
        raise Unavailable("archive", archive.failure(error)) from error
    return ArchiveStatus(tables=tables, backlog=backlog)


def _tables(archive: Archive) -> list[TableStatus]:
    found = []
    with open_catalog(archive) as catalog:
        for name in ("logs", "runs"):
            try:
                found.append(_status(name, catalog.load_table((archive.namespace, name))))
            except NoSuchTableError:
                continue
    return found


def _status(name: str, table: Table) -> TableStatus:
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot else None

    def total(of: str) -> int:
        return int((summary[of] if summary else None) or 0)

    return TableStatus(
        name=name,
        location=table.location(),
        metadata_location=table.metadata_location,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        committed=dt.datetime.fromtimestamp(snapshot.timestamp_ms / 1000, dt.UTC)
        if snapshot
        else None,
        rows=total("total-records"),
        files=total("total-data-files"),
        readable_snapshots=len(table.metadata.snapshots),
    )
