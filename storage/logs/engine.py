"""DuckDB in process: filters lines in memory.

Queries run in threads with a memory limit and a deadline, and are interrupted when whoever asked
goes away. The engine has no database of its own, and can reach neither the file system nor the network.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import cast

import duckdb
import pyarrow as pa

from storage.errors import Busy, InvalidValue
from storage.logs.lines import LINES, UUID_TYPE
from storage.logs.predicate import Predicate

# Two cores are usual; more threads than cores only adds memory.
THREADS = 2
CONCURRENT_FILTERS = 2
MEMORY_LIMIT = "128MB"
DEADLINE_SECONDS = 30.0
# DuckDB forgets an interrupt that comes before the query begins, so it is told again and again.
INTERRUPT_SECONDS = 0.05

_SETTINGS = (
    "allow_community_extensions = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_persistent_secrets = false",
    # What does not fit in memory is refused, not spilled.
    "temp_directory = ''",
    "disabled_filesystems = 'LocalFileSystem'",
)

_HOT_VIEW = """
    SELECT seq, flow_run_id::UUID AS flow_run_id, task_run_id::UUID AS task_run_id,
        timestamp, level, name, message
    FROM hot
"""
_OUTPUT = """
    SELECT seq, flow_run_id::BLOB AS flow_run_id, task_run_id::BLOB AS task_run_id,
        timestamp, level, name, message
"""


class Engine:
    """One in-memory DuckDB of a process; every query gets a cursor of its own."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect(
            ":memory:", config={"threads": THREADS, "memory_limit": MEMORY_LIMIT}
        )
        for setting in _SETTINGS:
            self._duckdb.execute(f"SET {setting}")
        self._threads = ThreadPoolExecutor(CONCURRENT_FILTERS, thread_name_prefix="duckdb")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator["Engine"]:
        """Start DuckDB; close it when the block ends."""
        engine = await asyncio.to_thread(cls)
        try:
            yield engine
        finally:
            # Nothing runs any more: whoever asks waits for the end of a query, even of one given up.
            engine._threads.shutdown()
            engine._duckdb.close()

    async def check(self, predicate: Predicate) -> None:
        """Raise InvalidValue when the condition cannot be evaluated, say, for a bad pattern."""
        # On a line, for a condition over no lines is not looked at.
        line = pa.table([pa.nulls(1, each.type) for each in LINES], schema=LINES)
        line = line.set_column(6, LINES.field("message"), pa.array([""], pa.string()))
        sql = f"{_OUTPUT} FROM ({_HOT_VIEW}) WHERE {predicate.sql}"
        try:
            await self._run(partial(_lines, sql, list(predicate.arguments), line))
        except duckdb.InvalidInputException as error:
            raise InvalidValue(_first_line(error)) from error

    async def any_matches(self, lines: pa.Table, predicate: Predicate) -> bool:
        """Whether some line matches. `lines` needs the predicate's columns only."""
        sql = f"SELECT 1 FROM ({_inputs(lines)}) WHERE {predicate.sql} LIMIT 1"
        query = partial(_query, sql, list(predicate.arguments), lines)
        return (await self._run(query)).num_rows > 0

    async def select(self, lines: pa.Table, predicate: Predicate, columns: list[str]) -> pa.Table:
        """Columns of the lines that match, in no particular order. `lines` needs these columns and the
        predicate's only."""
        if not predicate.sql or not lines.num_rows:
            return lines.select(columns)
        sql = f"SELECT {_outputs(columns)} FROM ({_inputs(lines)}) WHERE {predicate.sql}"
        query = partial(_query, sql, list(predicate.arguments), lines)
        schema = pa.schema([LINES.field(name) for name in columns])
        return (await self._run(query)).cast(schema)

    async def filter(self, lines: pa.Table, predicate: Predicate) -> pa.Table:
        """The lines that match, in no particular order."""
        if not predicate.sql or not lines.num_rows:
            return lines
        sql = f"{_OUTPUT} FROM ({_HOT_VIEW}) WHERE {predicate.sql}"
        query = partial(_lines, sql, list(predicate.arguments), lines)
        return await self._run(query)

    async def _run(self, query: "Callable[[duckdb.DuckDBPyConnection], pa.Table]") -> pa.Table:
        cursor = self._duckdb.cursor()
        job = self._threads.submit(query, cursor)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            raise Busy(
                f"the query took longer than {DEADLINE_SECONDS:g} s; narrow its time range or runs",
                retry_after=DEADLINE_SECONDS,
            ) from None
        except duckdb.OutOfMemoryException as error:
            raise Busy(
                f"the query needs more than {MEMORY_LIMIT}; narrow its time range or runs",
                retry_after=DEADLINE_SECONDS,
            ) from error
        finally:
            await _give_up(job, cursor)


async def _give_up(job: "Future[pa.Table]", cursor: duckdb.DuckDBPyConnection) -> None:
    """End a query that nobody waits for any more; one that has not begun never begins."""
    while not job.done() and not job.cancel():
        cursor.interrupt()
        await asyncio.sleep(INTERRUPT_SECONDS)


def _inputs(lines: pa.Table) -> str:
    """The columns that there are, ids as UUID."""
    columns = ", ".join(
        f"{name}::UUID AS {name}" if LINES.field(name).type == UUID_TYPE else name
        for name in lines.schema.names
    )
    return f"SELECT {columns} FROM hot"


def _outputs(columns: list[str]) -> str:
    return ", ".join(
        f"{name}::BLOB AS {name}" if LINES.field(name).type == UUID_TYPE else name
        for name in columns
    )


def _query(
    sql: str, arguments: list[object], hot: pa.Table, cursor: duckdb.DuckDBPyConnection
) -> pa.Table:
    with cursor:
        cursor.register("hot", hot)
        return cast("pa.Table", cursor.execute(sql, arguments).to_arrow_table())


def _lines(
    sql: str, arguments: list[object], hot: pa.Table, cursor: duckdb.DuckDBPyConnection
) -> pa.Table:
    return _query(sql, arguments, hot, cursor).cast(LINES)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
