"""DuckDB in process: filters lines in memory and scans segments in S3.

Queries run in threads with a memory limit and a deadline, and are interrupted when whoever asked
goes away. The engine has no database of its own, and cannot reach the file system.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import aioboto3
import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension

from storage.errors import Busy, InvalidValue, Unavailable
from storage.logs.lines import LINES, UUID_TYPE
from storage.logs.predicate import Predicate

if TYPE_CHECKING:
    from aiobotocore.credentials import AioCredentials

    from storage.objects.store import S3Config

# Two cores are usual; more threads than cores only adds memory.
THREADS = 2
# Scans wait for S3; lines in memory are filtered beside them, not behind them.
CONCURRENT_SCANS = 4
CONCURRENT_FILTERS = 2
MEMORY_LIMIT = "128MB"
DEADLINE_SECONDS = 30.0
# Twice, with the retry, so that a store which hangs is told of before the deadline.
HTTP_TIMEOUT_SECONDS = 12
# DuckDB forgets an interrupt that comes before the query begins, so it is told again and again.
INTERRUPT_SECONDS = 0.05

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

    def __init__(self, s3: "S3Config") -> None:
        self._s3 = s3
        self._session = aioboto3.Session()
        self._duckdb = duckdb.connect(
            ":memory:",
            config={"threads": THREADS, "memory_limit": MEMORY_LIMIT},
        )
        self._credentials: dict[str, str] = {}
        self._renewing = asyncio.Lock()
        self._scans = ThreadPoolExecutor(CONCURRENT_SCANS, thread_name_prefix="duckdb-scan")
        self._filters = ThreadPoolExecutor(CONCURRENT_FILTERS, thread_name_prefix="duckdb-filter")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, s3: "S3Config") -> AsyncIterator["Engine"]:
        """Start DuckDB with the httpfs extension from its wheel; close it when the block ends."""
        engine = cls(s3)
        try:
            await asyncio.to_thread(engine._prepare)
            yield engine
        finally:
            # Nothing runs any more: whoever asks waits for the end of a query, even of one given up.
            engine._scans.shutdown()
            engine._filters.shutdown()
            engine._duckdb.close()

    async def check(self, predicate: Predicate) -> None:
        """Raise InvalidValue when the condition cannot be evaluated, say, for a bad pattern."""
        # On a line, for a condition over no lines is not looked at.
        line = pa.table([pa.nulls(1, each.type) for each in LINES], schema=LINES)
        line = line.set_column(6, LINES.field("message"), pa.array([""], pa.string()))
        sql = f"{_OUTPUT} FROM ({_HOT_VIEW}) WHERE {predicate.sql}"
        try:
            await self._run(self._filters, partial(_lines, sql, list(predicate.arguments), line))
        except duckdb.InvalidInputException as error:
            raise InvalidValue(_first_line(error)) from error

    async def any_matches(self, lines: pa.Table, predicate: Predicate) -> bool:
        """Whether some line matches. `lines` needs the predicate's columns only."""
        columns = ", ".join(
            f"{name}::UUID AS {name}" if LINES.field(name).type == UUID_TYPE else name
            for name in lines.schema.names
        )
        sql = f"SELECT 1 FROM (SELECT {columns} FROM hot) WHERE {predicate.sql} LIMIT 1"
        query = partial(_query, sql, list(predicate.arguments), lines)
        return (await self._run(self._filters, query)).num_rows > 0

    async def filter(self, lines: pa.Table, predicate: Predicate) -> pa.Table:
        """The lines that match, in no particular order."""
        if not predicate.sql or not lines.num_rows:
            return lines
        sql = f"{_OUTPUT} FROM ({_HOT_VIEW}) WHERE {predicate.sql}"
        query = partial(_lines, sql, list(predicate.arguments), lines)
        return await self._run(self._filters, query)

    async def first(
        self, keys: list[str], hot: pa.Table, predicate: Predicate, *, descending: bool, limit: int
    ) -> pa.Table:
        """The first `limit` matching lines of whole segments and hot lines, in the wanted order.

        Raises:
            Unavailable: S3 does not give an object.
            Busy: the deadline passed.
        """
        arguments: list[object] = []
        parts = []
        where = f" WHERE {predicate.sql}" if predicate.sql else ""
        if keys:
            urls = [f"s3://{self._s3.bucket}/{key}" for key in keys]
            columns = ", ".join(LINES.names)
            parts.append(f"SELECT {columns} FROM read_parquet(?, hive_partitioning = false){where}")
            arguments += [urls, *predicate.arguments]
            await self._renew_credentials()
        if hot.num_rows:
            parts.append(f"SELECT * FROM ({_HOT_VIEW}){where}")
            arguments += predicate.arguments
        if not parts:
            return LINES.empty_table()
        direction = "DESC" if descending else "ASC"
        sql = (
            f"{_OUTPUT} FROM ({' UNION ALL '.join(parts)}) "
            f"ORDER BY timestamp {direction}, seq {direction} LIMIT {limit:d}"
        )
        return await self._run(self._scans, partial(_lines, sql, arguments, hot))

    def _prepare(self) -> None:
        import_extension("httpfs", con=self._duckdb)
        self._duckdb.execute("LOAD httpfs")
        self._duckdb.execute("SET allow_community_extensions = false")
        self._duckdb.execute("SET autoinstall_known_extensions = false")
        self._duckdb.execute("SET autoload_known_extensions = false")
        self._duckdb.execute("SET allow_persistent_secrets = false")
        # What does not fit in memory is refused, not spilled.
        self._duckdb.execute("SET temp_directory = ''")
        self._duckdb.execute("SET disabled_filesystems = 'LocalFileSystem'")
        self._duckdb.execute("SET http_retries = 1")
        self._duckdb.execute(f"SET http_timeout = {HTTP_TIMEOUT_SECONDS}")
        # Footers stay in memory: a segment never changes.
        self._duckdb.execute("SET enable_object_cache = true")

    async def _renew_credentials(self) -> None:
        """Put the current credentials where httpfs looks; those of a role expire."""
        key, secret, token = self._s3.access_key_id, self._s3.secret_access_key, None
        if key is None:
            # The stubs of aioboto3 do not know that this is a coroutine.
            found = await cast("Awaitable[AioCredentials | None]", self._session.get_credentials())
            if found is None:
                raise Unavailable(
                    "s3", "no credentials: set TAILRACE_S3_ACCESS_KEY_ID and its secret"
                )
            frozen = await found.get_frozen_credentials()
            key, secret, token = frozen.access_key, frozen.secret_key, frozen.token
        options: dict[str, str] = {
            "KEY_ID": key or "",
            "SECRET": secret or "",
            "REGION": self._s3.region,
            "URL_STYLE": "vhost" if self._s3.addressing_style == "virtual" else "path",
        }
        if token is not None:
            options["SESSION_TOKEN"] = token
        if self._s3.endpoint_url is not None:
            endpoint = urlsplit(self._s3.endpoint_url)
            options["ENDPOINT"] = endpoint.netloc + endpoint.path.rstrip("/")
            options["USE_SSL"] = "true" if endpoint.scheme == "https" else "false"
        # One at a time and only when they are new: DuckDB refuses a second replacement at once.
        async with self._renewing:
            if options == self._credentials:
                return
            # DuckDB takes no parameters here.
            quoted = {name: value.replace("'", "''") for name, value in options.items()}
            listed = ", ".join(f"{name} '{value}'" for name, value in quoted.items())
            with self._duckdb.cursor() as cursor:
                await asyncio.to_thread(
                    cursor.execute, f"CREATE OR REPLACE SECRET log_bucket (TYPE s3, {listed})"
                )
            self._credentials = options

    async def _run(
        self, threads: ThreadPoolExecutor, query: "Callable[[duckdb.DuckDBPyConnection], pa.Table]"
    ) -> pa.Table:
        cursor = self._duckdb.cursor()
        job = threads.submit(query, cursor)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            raise Busy(
                f"the query took longer than {DEADLINE_SECONDS:g} s; narrow its time range or runs",
                retry_after=DEADLINE_SECONDS,
            ) from None
        except (duckdb.HTTPException, duckdb.IOException) as error:
            raise Unavailable("s3", f"a segment cannot be read: {_first_line(error)}") from error
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
