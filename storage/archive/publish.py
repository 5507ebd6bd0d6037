"""One pass of publishing: the two tables become what PostgreSQL says, old snapshots end, and replaced
segments that nothing names are let go."""

import asyncio
import datetime as dt
from dataclasses import asdict, dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from storage.archive.files import delete_unnamed, write_hint
from storage.archive.logs import publish_logs, release_replaced
from storage.archive.place import Archive
from storage.archive.runs import publish_runs
from storage.archive.snapshots import Change, expire
from storage.archive.tables import logs_table, open_catalog, runs_table
from storage.postgres.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What a pass did: `added` and `removed` files of `logs`, `run_days` written anew in `runs`,
    snapshots ended, segments `released` for the sweep, `deleted_files` of the tables' own."""

    added: int = 0
    removed: int = 0
    rows: int = 0
    run_days: int = 0
    snapshots_ended: int = 0
    released: int = 0
    deleted_files: int = 0


async def publish_pass(pool: Pool, archive: Archive, now: dt.datetime) -> PublishReport:
    """Bring both tables up to date, `logs` to its end before `runs` begins.

    Raises:
        CommitFailedException: another process changed a table meanwhile; the next pass goes on.
    """
    catalog_block = open_catalog(archive)
    catalog = await asyncio.to_thread(catalog_block.__enter__)
    try:
        return await _publish(pool, archive, catalog, now)
    finally:
        catalog_block.__exit__(None, None, None)


async def _publish(
    pool: Pool, archive: Archive, catalog: Catalog, now: dt.datetime
) -> PublishReport:
    logs = await asyncio.to_thread(logs_table, catalog, archive)
    change = await publish_logs(pool, archive, logs)
    ended, deleted = await asyncio.to_thread(_tidy, archive, logs, change, now)
    released = await release_replaced(pool, archive, logs)
    runs = await asyncio.to_thread(runs_table, catalog, archive)
    run_change = await publish_runs(pool, runs)
    runs_ended, runs_deleted = await asyncio.to_thread(_tidy, archive, runs, run_change, now)
    return PublishReport(
        added=change.added,
        removed=change.removed,
        rows=change.added_rows,
        run_days=run_change.added,
        snapshots_ended=ended + runs_ended,
        released=released,
        deleted_files=deleted + runs_deleted,
    )


def _tidy(archive: Archive, table: Table, change: Change, now: dt.datetime) -> tuple[int, int]:
    ended = expire(table, now)
    if archive.rest_uri is None:
        write_hint(table)
    return ended, delete_unnamed(table, now)


def report_values(report: PublishReport) -> dict[str, int]:
    """The report by names, what did not happen left out."""
    return {name: value for name, value in asdict(report).items() if value}
