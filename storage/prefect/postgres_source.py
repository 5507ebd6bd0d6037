"""A Prefect 3 server's database in PostgreSQL."""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pyarrow as pa

from app.wire.base import NIL_UUID
from storage.errors import Unavailable
from storage.logs.lines import TIMESTAMP, UUID_TYPE
from storage.postgres.imports import Kind, Position
from storage.postgres.pool import connect, driver_errors
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

# Counting the lines of 100 million takes minutes.
STATEMENT_SECONDS = 3600.0
# The server says when a line is stored before it stores it, by its own clock; together they differ less.
SETTLING = dt.timedelta(seconds=5)
# Transactions that may hold lines end within this.
TRANSACTION_SECONDS = 60.0
POLL_SECONDS = 0.1

# The server makes these when it first starts, and nobody can delete them.
_IDENTITY = "SELECT id FROM block_type ORDER BY created, id LIMIT 1"
_NEWEST = "SELECT now(), max(updated) FROM log"
# Every user may ask these; what others' transactions do is shown in pg_stat_activity to few.
_STARTED = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_ENDED = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_AFTER = "updated >= $1 AND (updated > $1 OR id > $2) AND updated < $3"
_COUNT = f"SELECT count(*) FROM log WHERE {_AFTER}"
# The length of a text is known without its being read. Times as whole microseconds.
_LINES = f"""
SELECT (extract(epoch FROM updated) * 1000000)::bigint, id, uuid_send(flow_run_id),
    uuid_send(task_run_id), (extract(epoch FROM timestamp) * 1000000)::bigint, level::integer,
    name, message
FROM (
    SELECT *, sum(octet_length(message)) OVER page AS taken, row_number() OVER page AS number
    FROM (SELECT * FROM log WHERE {_AFTER} ORDER BY updated, id LIMIT {PAGE_ROWS}) AS next
    WINDOW page AS (ORDER BY updated, id ROWS UNBOUNDED PRECEDING)
) AS numbered
WHERE taken <= {PAGE_BYTES} OR number = 1
ORDER BY updated, id
"""
_RUN_COUNTS = f"""
SELECT coalesce(flow_run_id, '{NIL_UUID}') AS run, count(*)
FROM log WHERE updated <= $1 AND (updated < $1 OR id <= $2)
GROUP BY 1 ORDER BY 1
"""
_UNFINISHED = (
    "SELECT count(*) FROM flow_run WHERE state_type IS NULL OR state_type::text <> ALL ($1)"
)
_SECONDS = "extract(epoch FROM total_run_time)::float8 AS total_run_time"
_LABELS = "coalesce(labels, '{}') AS labels"

# Our columns, by kind, and of which table.
_ROWS: dict[Kind, str] = {
    "flows": f"SELECT id, created, updated, name, tags, {_LABELS} FROM flow",
    "work_pools": """
        SELECT id, created, updated, name, description, type, base_job_template, is_paused,
            concurrency_limit, default_queue_id, storage_configuration FROM work_pool""",
    "work_queues": """
        SELECT id, created, updated, name, description, is_paused, concurrency_limit, priority,
            work_pool_id, filter, last_polled FROM work_queue""",
    "deployments": f"""
        SELECT id, created, updated, name, flow_id, version, description, concurrency_options,
            infra_overrides AS job_variables, parameters, parameter_openapi_schema,
            enforce_parameter_schema, tags, {_LABELS}, work_queue_id, work_queue_name, last_polled,
            path, entrypoint, pull_steps, created_by, updated_by FROM deployment""",
    "deployment_schedules": """
        SELECT id, created, updated, deployment_id, schedule, max_scheduled_runs, parameters, slug
        FROM deployment_schedule""",
    "flow_runs": f"""
        SELECT id, created, updated, name, flow_id, flow_version, deployment_id, deployment_version,
            work_queue_id, work_queue_name, parameters, context, idempotency_key, empirical_policy,
            tags, {_LABELS}, job_variables, parent_task_run_id, auto_scheduled, infrastructure_pid,
            created_by, state_id, state_type, state_name, state_timestamp, run_count,
            expected_start_time, next_scheduled_start_time, start_time, end_time, {_SECONDS}
        FROM flow_run WHERE state_type IN {FINISHED}""",
    "flow_run_states": """
        SELECT id, flow_run_id, created, type, name, timestamp, message, data, state_details
        FROM flow_run_state""",
    "task_runs": f"""
        SELECT id, created, updated, name, flow_run_id, task_key, dynamic_key, cache_key,
            cache_expiration, task_version, flow_run_run_count, empirical_policy, task_inputs, tags,
            {_LABELS}, state_id, state_type, state_name, state_timestamp, run_count,
            expected_start_time, next_scheduled_start_time, start_time, end_time, {_SECONDS}
        FROM task_run WHERE flow_run_id IS NOT NULL OR state_type IN {FINISHED}""",
    "task_run_states": """
        SELECT id, task_run_id, created, type, name, timestamp, message, data, state_details
        FROM task_run_state""",
}


class PostgresSource:
    """One connection that only reads."""

    def __init__(self, conn: "asyncpg.Connection[asyncpg.Record]", source_id: uuid.UUID) -> None:
        self._conn = conn
        self._id = source_id

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["PostgresSource"]:
        """Connect until the block ends.

        Raises:
            Unavailable: the server does not answer, or refuses the credentials.
            NotPrefect: the database is none of a Prefect server.
        """
        with _source_errors():
            conn = await connect(url)
        try:
            with _source_errors():
                await conn.execute("SET default_transaction_read_only = on; SET timezone = 'UTC'")
                source_id = await _identity(conn)
            yield cls(conn, source_id)
        finally:
            await conn.close(timeout=5)

    @property
    def id(self) -> uuid.UUID:
        """See `Source`."""
        return self._id

    async def horizon(self, waits: Callable[[float], None]) -> dt.datetime:
        """See `Source`. All transactions that could hold a line from before have ended then."""
        moment, newest = (await self._fetch(_NEWEST))[0]
        if newest is None or newest < moment - SETTLING:
            moment -= SETTLING
        else:
            waits(SETTLING.total_seconds())
            await asyncio.sleep(SETTLING.total_seconds())
        started = (await self._fetch(_STARTED))[0][0]
        deadline = asyncio.get_running_loop().time() + TRANSACTION_SECONDS
        while (await self._fetch(_ENDED))[0][0] < started:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    "source",
                    "the database to import from: a transaction that writes has been open for"
                    f" {TRANSACTION_SECONDS:.0f} s; import again when it has ended",
                )
            await asyncio.sleep(POLL_SECONDS)
        return moment

    async def count_lines(self, after: Position, before: dt.datetime) -> int:
        """See `Source`."""
        count: int = (await self._fetch(_COUNT, after.updated, after.id, before))[0][0]
        return count

    async def lines(self, after: Position, before: dt.datetime) -> LinePage | None:
        """See `Source`."""
        rows = await self._fetch(_LINES, after.updated, after.id, before)
        if not rows:
            return None
        updated, ids, runs, tasks, times, levels, names, messages = zip(*rows, strict=True)
        table = pa.table(
            [
                pa.array(runs, UUID_TYPE),
                pa.array(tasks, UUID_TYPE),
                pa.array(times, pa.int64()).cast(TIMESTAMP),
                pa.array(levels, pa.int32()),
                pa.array(names, pa.string()),
                pa.array(messages, pa.string()),
            ],
            schema=SOURCE_LINES,
        )
        return LinePage(lines=table, end=Position(updated=_time(updated[-1]), id=ids[-1]))

    async def run_counts(self, up_to: Position) -> AsyncIterator[list[tuple[uuid.UUID, int]]]:
        """See `Source`."""
        async with self._conn.transaction(readonly=True):
            with _source_errors():
                cursor = await self._conn.cursor(
                    _RUN_COUNTS, up_to.updated, up_to.id, timeout=STATEMENT_SECONDS
                )
                rows = await cursor.fetch(RUN_PAGE_ROWS, timeout=STATEMENT_SECONDS)
            while rows:
                yield [(row[0], row[1]) for row in rows]
                with _source_errors():
                    rows = await cursor.fetch(RUN_PAGE_ROWS, timeout=STATEMENT_SECONDS)

    async def rows(self, kind: Kind) -> AsyncIterator[list[object]]:
        """See `Source`."""
        after = NIL_UUID
        query = (
            f"SELECT id, to_jsonb(page) AS row FROM ({_ROWS[kind]}) AS page"
            f" WHERE id > $1 ORDER BY id LIMIT {TABLE_PAGE_ROWS}"
        )
        while rows := await self._fetch(query, after):
            yield [row["row"] for row in rows]
            after = rows[-1]["id"]

    async def count_unfinished(self) -> int:
        """See `Source`."""
        count: int = (await self._fetch(_UNFINISHED, list(FINISHED)))[0][0]
        return count

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        with _source_errors():
            return await self._conn.fetch(query, *arguments, timeout=STATEMENT_SECONDS)


@contextlib.contextmanager
def _source_errors() -> Iterator[None]:
    """Say of errors which of the two databases they are of."""
    try:
        with driver_errors():
            yield
    except Unavailable as error:
        raise Unavailable("source", f"the database to import from: {error}") from error


async def _identity(conn: "asyncpg.Connection[asyncpg.Record]") -> uuid.UUID:
    try:
        source_id: uuid.UUID | None = await conn.fetchval(_IDENTITY)
        await conn.fetchval("SELECT count(*) FROM (SELECT updated FROM log LIMIT 1) AS line")
    except asyncpg.UndefinedTableError as error:
        raise NotPrefect(f"{error}; name the database of a Prefect 3 server") from error
    if source_id is None:
        raise NotPrefect("the server of this database has never started")
    return source_id


def _time(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
