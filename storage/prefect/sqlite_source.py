"""A Prefect 3 server's database in SQLite.

Times are texts in UTC with six digits of a second, so their order is that of the times; durations are times
after the epoch; objects and lists are JSON. The server may run meanwhile.
"""

import asyncio
import contextlib
import datetime as dt
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec
import pyarrow as pa

from app.wire.base import NIL_UUID
from storage.errors import Unavailable
from storage.logs.lines import TIMESTAMP, UUID_TYPE, microseconds_of
from storage.postgres.imports import Kind, Position
from storage.prefect.source import (
    FINISHED,
    PAGE_BYTES,
    PAGE_ROWS,
    RUN_PAGE_ROWS,
    SOURCE_LINES,
    TABLE_PAGE_ROWS,
    LinePage,
    NotPrefect,
)

_T = TypeVar("_T")

BUSY_SECONDS = 30.0
# The server says when a line is stored, and then waits up to 60 s for the database.
SETTLING = dt.timedelta(seconds=62)
_TABLES: dict[Kind, str] = {
    "flows": "flow",
    "work_pools": "work_pool",
    "work_queues": "work_queue",
    "deployments": "deployment",
    "deployment_schedules": "deployment_schedule",
    "flow_runs": "flow_run",
    "flow_run_states": "flow_run_state",
    "task_runs": "task_run",
    "task_run_states": "task_run_state",
}
_ONLY: dict[Kind, str] = {
    "flow_runs": f"state_type IN {FINISHED}",
    "task_runs": f"(flow_run_id IS NOT NULL OR state_type IN {FINISHED})",
}
_RENAMED = {"infra_overrides": "job_variables"}
_AFTER = "updated >= ? AND (updated > ? OR id > ?) AND updated < ?"
_JSON_TYPES = ("JSON",)
_TIME_TYPES = ("TIMESTAMP", "DATETIME")


class SqliteSource:
    """One connection that only reads, used by one thread at a time."""

    def __init__(self, conn: sqlite3.Connection, source_id: uuid.UUID) -> None:
        self._conn = conn
        self._id = source_id

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["SqliteSource"]:
        """Open `sqlite:///relative` or `sqlite:////absolute` until the block ends.

        Raises:
            Unavailable: the file cannot be read.
            NotPrefect: the database is none of a Prefect server.
        """
        path = Path(unquote(url.removeprefix("sqlite://").partition("?")[0].removeprefix("/")))
        conn = await _in_thread(lambda: _connect(path))
        try:
            yield cls(conn, await _in_thread(lambda: _identity(conn)))
        finally:
            await asyncio.to_thread(conn.close)

    @property
    def id(self) -> uuid.UUID:
        """See `Source`."""
        return self._id

    async def horizon(self, waits: Callable[[float], None]) -> dt.datetime:
        """See `Source`. There is one writer at a time, on this machine's clock."""
        moment = dt.datetime.now(dt.UTC)
        newest = (await self._fetch("SELECT max(updated) FROM log"))[0][0]
        if newest is None or _time(newest) < moment - SETTLING:
            return moment - SETTLING
        waits(SETTLING.total_seconds())
        await asyncio.sleep(SETTLING.total_seconds())
        return moment

    async def count_lines(self, after: Position, before: dt.datetime) -> int:
        """See `Source`."""
        rows = await self._fetch(
            f"SELECT count(*) FROM log WHERE {_AFTER}", *_bounds(after, before)
        )
        return int(rows[0][0])

    async def lines(self, after: Position, before: dt.datetime) -> LinePage | None:
        """See `Source`."""
        return await _in_thread(lambda: self._lines(after, before))

    async def run_counts(self, up_to: Position) -> AsyncIterator[list[tuple[uuid.UUID, int]]]:
        """See `Source`."""
        moment = _text(up_to.updated)
        cursor = await _in_thread(
            lambda: self._conn.execute(
                f"SELECT coalesce(flow_run_id, '{NIL_UUID}') AS run, count(*) FROM log"
                " WHERE updated < ? OR (updated = ? AND id <= ?) GROUP BY 1 ORDER BY 1",
                (moment, moment, str(up_to.id)),
            )
        )
        while rows := await _in_thread(lambda: cursor.fetchmany(RUN_PAGE_ROWS)):
            yield [(uuid.UUID(row[0]), row[1]) for row in rows]

    async def rows(self, kind: Kind) -> AsyncIterator[list[object]]:
        """See `Source`."""
        types = {
            row[1]: row[2].upper()
            for row in await self._fetch(f"PRAGMA table_info({_TABLES[kind]})")
        }
        after = ""
        query = (
            f"SELECT * FROM {_TABLES[kind]} WHERE id > ? AND {_ONLY.get(kind, 'true')}"
            f" ORDER BY id LIMIT {TABLE_PAGE_ROWS}"
        )
        while rows := await self._fetch(query, after):
            yield [_row(row, types) for row in rows]
            after = rows[-1]["id"]

    async def count_unfinished(self) -> int:
        """See `Source`."""
        rows = await self._fetch(
            f"SELECT count(*) FROM flow_run WHERE state_type IS NULL OR state_type NOT IN {FINISHED}"
        )
        return int(rows[0][0])

    async def _fetch(self, query: str, *arguments: str) -> list[sqlite3.Row]:
        return await _in_thread(lambda: self._conn.execute(query, arguments).fetchall())

    def _lines(self, after: Position, before: dt.datetime) -> LinePage | None:
        cursor = self._conn.execute(
            "SELECT updated, id, flow_run_id, task_run_id, timestamp, level, name, message"
            f" FROM log WHERE {_AFTER} ORDER BY updated, id LIMIT {PAGE_ROWS}",
            _bounds(after, before),
        )
        rows: list[sqlite3.Row] = []
        size = 0
        for row in cursor:
            size += len(row["message"])
            if rows and size > PAGE_BYTES:
                break
            rows.append(row)
        cursor.close()
        if not rows:
            return None
        updated, ids, runs, tasks, times, levels, names, messages = zip(*rows, strict=True)
        table = pa.table(
            [
                pa.array(_uuids(runs), UUID_TYPE),
                pa.array(_uuids(tasks), UUID_TYPE),
                pa.array([microseconds_of(_time(text)) for text in times], pa.int64()).cast(
                    TIMESTAMP
                ),
                pa.array(levels, pa.int32()),
                pa.array(names, pa.string()),
                pa.array(messages, pa.string()),
            ],
            schema=SOURCE_LINES,
        )
        end = Position(updated=_time(updated[-1]), id=uuid.UUID(ids[-1]))
        return LinePage(lines=table, end=end)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise Unavailable("sqlite", f"there is no file {path.absolute()}")
    conn = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro",
        uri=True,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
    )
    conn.row_factory = sqlite3.Row
    return conn


def _identity(conn: sqlite3.Connection) -> uuid.UUID:
    tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"block_type", "log", "flow_run"} <= tables:
        raise NotPrefect("it has no tables of a Prefect 3 server")
    row = conn.execute("SELECT id FROM block_type ORDER BY created, id LIMIT 1").fetchone()
    if row is None:
        raise NotPrefect("the server of this database has never started")
    return uuid.UUID(row[0])


async def _in_thread(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except sqlite3.DatabaseError as error:
        raise Unavailable("sqlite", str(error)) from error


def _bounds(after: Position, before: dt.datetime) -> tuple[str, str, str, str]:
    return _text(after.updated), _text(after.updated), str(after.id), _text(before)


def _text(time: dt.datetime) -> str:
    """As the server writes times, so that texts compare as times do."""
    return time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f").rjust(26, "0")


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _uuids(texts: tuple[str | None, ...]) -> list[bytes | None]:
    known = {text: uuid.UUID(text).bytes for text in set(texts) if text is not None}
    return [known.get(text) if text is not None else None for text in texts]


def _row(row: sqlite3.Row, types: dict[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"labels": {}}
    for name, value in zip(row.keys(), row, strict=True):
        if name != "labels" or value is not None:
            found[_RENAMED.get(name, name)] = _value(name, value, types[name])
    return found


def _value(name: str, value: object, type_: str) -> object:
    if name == "total_run_time":
        return (_time(str(value)) - dt.datetime.fromtimestamp(0, dt.UTC)).total_seconds()
    if value is None or not isinstance(value, str | bytes | int):
        return value
    if type_.startswith(_JSON_TYPES) and isinstance(value, str | bytes):
        return msgspec.json.decode(value)
    if type_.startswith(_TIME_TYPES) and isinstance(value, str):
        return _time(value).isoformat()
    if type_.startswith("BOOL"):
        return bool(value)
    return value
