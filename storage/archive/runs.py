"""The table `runs`: a row for each flow run, with the names of its flow and deployment.

Each day (UTC, of a run's making) is one Parquet file, whose name has the fingerprint of what is in it.
A day whose fingerprint in PostgreSQL is another is written anew, one that has no runs any more goes.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import uuid_utils
from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

from storage.archive.snapshots import Change, NewFile, commit, current_files
from storage.archive.tables import RUNS
from storage.postgres.pool import Pool, connection, transaction
from storage.postgres.statements import statement

# Of what the files have: another number writes all days anew.
FORMAT = 1
ROWS_AT_ONCE = 5_000
# They look at every run there is.
QUERY_SECONDS = 300.0

_DAYS = statement("archived_run_days")
_RUNS = statement("archived_runs")
_ARROW = schema_to_pyarrow(RUNS)


async def publish_runs(pool: Pool, table: Table) -> Change:
    """Make the table have the runs as they are.

    Raises:
        CommitFailedException: another process changed the table meanwhile.
    """
    async with connection(pool) as conn:
        rows = await conn.fetch(_DAYS, timeout=QUERY_SECONDS)
    wanted = {row["day"]: _fingerprint(row["runs"], row["hash"]) for row in rows}
    gone = []
    for file in await asyncio.to_thread(lambda: list(current_files(table))):
        day, fingerprint = _day_and_fingerprint(file.file_path)
        if wanted.get(day) == fingerprint:
            del wanted[day]
        else:
            gone.append(file)
    missing = await _write(pool, table, wanted)
    return await asyncio.to_thread(commit, table, missing, gone)


async def _write(pool: Pool, table: Table, days: dict[dt.date, str]) -> list[NewFile]:
    """Write the files of these days. Those of a day that has no runs any more are left out: the next
    pass finds it."""
    files: list[NewFile] = []
    open_: _DayFile | None = None
    try:
        async for day, rows in _rows_by_day(pool, sorted(days)):
            if open_ is not None and open_.day != day:
                files.append(await asyncio.to_thread(open_.close))
                open_ = None
            if open_ is None:
                open_ = await asyncio.to_thread(_DayFile.begin, table, day, days[day])
            await asyncio.to_thread(open_.write, rows)
        if open_ is not None:
            files.append(await asyncio.to_thread(open_.close))
            open_ = None
    finally:
        if open_ is not None:
            open_.abandon()
    return files


async def _rows_by_day(
    pool: Pool, days: list[dt.date]
) -> AsyncIterator[tuple[dt.date, list[dict[str, Any]]]]:
    if not days:
        return
    async with transaction(pool) as conn:
        rows: list[dict[str, Any]] = []
        day = None
        async for row in conn.cursor(_RUNS, days, prefetch=ROWS_AT_ONCE, timeout=QUERY_SECONDS):
            made = row["created"].astimezone(dt.UTC).date()
            if day is not None and (made != day or len(rows) == ROWS_AT_ONCE):
                yield day, rows
                rows = []
            day = made
            rows.append(
                {
                    name: value.bytes if isinstance(value, uuid.UUID) else value
                    for name, value in row.items()
                }
            )
        if day is not None:
            yield day, rows


@dataclass(slots=True, kw_only=True)
class _DayFile:
    """The file of one day, written to the bucket as its rows come."""

    day: dt.date
    path: str
    sink: OutputStream
    writer: pq.ParquetWriter
    rows: int = 0

    @classmethod
    def begin(cls, table: Table, day: dt.date, fingerprint: str) -> "_DayFile":
        """Open a file of its own for the day."""
        unique = uuid_utils.uuid7().hex
        path = f"{table.location()}/data/created_day={day}/{fingerprint}-{unique}.parquet"
        sink = table.io.new_output(path).create()
        writer = pq.ParquetWriter(
            sink,  # pyrefly: ignore[bad-argument-type]
            _ARROW,
            compression="zstd",
            store_schema=False,
        )
        return cls(day=day, path=path, sink=sink, writer=writer)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows."""
        self.writer.write_table(pa.Table.from_pylist(rows, schema=_ARROW))
        self.rows += len(rows)

    def close(self) -> NewFile:
        """End the file."""
        self.writer.close()
        size = self.sink.tell()
        self.sink.close()
        return NewFile(path=self.path, day=self.day, rows=self.rows, bytes=size, lower={}, upper={})

    def abandon(self) -> None:
        """Leave the file unfinished: nothing names it."""
        self.writer.close()
        self.sink.close()


def _fingerprint(runs: int, hash_: object) -> str:
    return f"{FORMAT}_{runs}_{int(str(hash_)) % 2**64:016x}"


def _day_and_fingerprint(path: str) -> tuple[dt.date | None, str]:
    directory, _, name = path.rpartition("/")
    _, _, day = directory.rpartition("created_day=")
    try:
        return dt.date.fromisoformat(day), name.rpartition("-")[0]
    except ValueError:
        # Not of ours.
        return None, ""
