"""What `tailrace import prefect` does: take another server's rows and lines over, and count them.

It may be ended at any moment and begun again: rows are taken once by their ids, lines by the position that
moves in the transaction that publishes them.
"""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from storage.logs.imported import MAX_BYTES, MAX_ROWS, publish_imported
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import ObjectStore, S3Config
from storage.postgres.imports import (
    KINDS,
    ImportedRun,
    Kind,
    Position,
    Progress,
    begin_import,
    import_rows,
    imported_runs,
)
from storage.postgres.pool import Pool, connection, open_pool, transaction
from storage.prefect.postgres_source import PostgresSource
from storage.prefect.source import END_OF_TIME, LinePage, Source
from storage.prefect.sqlite_source import SqliteSource

RUN_PAGE = 5_000
# So many runs that differ are named.
MAX_DIFFERENCES = 100


class Told(Protocol):
    """Who watches an import."""

    def table(self, kind: Kind, rows: int) -> None:
        """So many rows of a table were looked at."""

    def waits(self, seconds: float) -> None:
        """So long until the newest lines of the source have settled."""

    def lines(self, rows: int, total: int) -> None:
        """So many lines of those that there were at the start of this session are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferingRun:
    """A run whose counts do not agree: lines in the source, taken, and held here."""

    flow_run_id: uuid.UUID
    source: int
    taken: int
    held: int


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What came of it. `lines` were taken now, `all_lines` in all sessions, of `runs` runs; `later` have come
    meanwhile; `unfinished` flow runs were left out. `differing` runs miss lines, `fewer` runs have lost some
    in the source since."""

    rows: dict[Kind, int] = field(default_factory=dict)
    unfinished: int = 0
    lines: int = 0
    all_lines: int = 0
    later: int = 0
    runs: int = 0
    differing: list[DifferingRun] = field(default_factory=list)
    fewer: int = 0


async def import_prefect(
    database_url: str, s3: S3Config, source_url: str, told: Told, *, lines_only: bool = False
) -> ImportReport:
    """Take everything over that is not here yet, and compare the counts.

    Raises:
        Unavailable: a store or the source does not answer; what was taken stays.
        Conflict: another process imports the same database.
        NotPrefect: the source is none of a Prefect server.
    """
    report = ImportReport()
    async with contextlib.AsyncExitStack() as stack:
        source = await stack.enter_async_context(open_source(source_url))
        pool = await open_pool(database_url, max_size=2)
        stack.push_async_callback(pool.close)
        objects = await stack.enter_async_context(S3ObjectStore.open(s3))
        if not lines_only:
            await _import_tables(pool, source, told, report)
        progress = await _import_lines(pool, objects, source, told, report)
        report.all_lines = progress.rows
        report.later = await source.count_lines(progress.position, END_OF_TIME)
        await _compare(pool, source, progress.position, report)
    return report


@contextlib.asynccontextmanager
async def open_source(url: str) -> AsyncIterator[Source]:
    """The source that a URL names."""
    if url.startswith("sqlite"):
        async with SqliteSource.open(url) as sqlite:
            yield sqlite
    else:
        async with PostgresSource.open(url) as postgres:
            yield postgres


async def _import_tables(pool: Pool, source: Source, told: Told, report: ImportReport) -> None:
    report.unfinished = await source.count_unfinished()
    moved: dict[uuid.UUID, uuid.UUID] = {}
    for kind in KINDS:
        report.rows[kind] = 0
        async for rows in source.rows(kind):
            async with transaction(pool) as conn:
                moved.update(await import_rows(conn, kind, rows, moved))
            report.rows[kind] += len(rows)
            told.table(kind, report.rows[kind])
        told.table(kind, report.rows[kind])


async def _import_lines(
    pool: Pool, objects: ObjectStore, source: Source, told: Told, report: ImportReport
) -> Progress:
    async with connection(pool) as conn:
        progress = await begin_import(conn, source.id)
    position = progress.position
    horizon = await source.horizon(told.waits)
    total = await source.count_lines(position, horizon)
    told.lines(0, total)
    async for pages in _segments(source, position, horizon):
        end = pages[-1].end
        await publish_imported(
            pool, objects, source.id, [page.lines for page in pages], position, end
        )
        position = end
        report.lines += sum(page.lines.num_rows for page in pages)
        told.lines(report.lines, total)
    return Progress(position=position, rows=progress.rows + report.lines)


async def _segments(
    source: Source, position: Position, horizon: dt.datetime
) -> AsyncIterator[list[LinePage]]:
    """Pages that make a segment each."""
    pages: list[LinePage] = []
    while page := await source.lines(position, horizon):
        position = page.end
        if pages and not _fits(pages, page):
            yield pages
            pages = []
        pages.append(page)
    if pages:
        yield pages


def _fits(pages: list[LinePage], page: LinePage) -> bool:
    tables: list[pa.Table] = [each.lines for each in (*pages, page)]
    return (
        sum(table.num_rows for table in tables) <= MAX_ROWS
        and sum(table.nbytes for table in tables) <= MAX_BYTES
    )


async def _compare(pool: Pool, source: Source, position: Position, report: ImportReport) -> None:
    """Walk through the runs of both sides in the order of their ids."""
    ours = _imported(pool, source.id)
    mine = await anext(ours, None)
    async for page in source.run_counts(position):
        for run, count in page:
            while mine is not None and mine.flow_run_id < run:
                _judge(report, mine, 0)
                mine = await anext(ours, None)
            if mine is not None and mine.flow_run_id == run:
                _judge(report, mine, count)
                mine = await anext(ours, None)
            else:
                _judge(report, ImportedRun(flow_run_id=run, taken=0, held=0), count)
    while mine is not None:
        _judge(report, mine, 0)
        mine = await anext(ours, None)


async def _imported(pool: Pool, source: uuid.UUID) -> AsyncIterator[ImportedRun]:
    after: uuid.UUID | None = None
    while True:
        async with connection(pool) as conn:
            runs = await imported_runs(conn, source, after, RUN_PAGE)
        if not runs:
            return
        for run in runs:
            yield run
        after = runs[-1].flow_run_id


def _judge(report: ImportReport, run: ImportedRun, count: int) -> None:
    report.runs += 1
    if count > run.taken or run.held < run.taken:
        if len(report.differing) < MAX_DIFFERENCES:
            report.differing.append(
                DifferingRun(
                    flow_run_id=run.flow_run_id, source=count, taken=run.taken, held=run.held
                )
            )
    elif count < run.taken:
        report.fewer += 1
