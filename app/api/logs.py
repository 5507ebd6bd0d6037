"""Run logs: write, read by page, download."""

import asyncio
import contextlib
import csv
import io
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import Parameter
from litestar.response import Stream

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.base import utc_now
from app.wire.logs import FlowRunIdFilter, Log, LogCreate, LogFilter, LogQuery
from storage.logs.encode import BadLine
from storage.logs.lines import to_logs
from storage.logs.streams import Wanted
from storage.postgres import flow_runs
from storage.postgres.pool import connection

_CREATE = msgspec.json.Decoder(list[LogCreate])
_QUERY = msgspec.json.Decoder(LogQuery)


@post("/logs/", status_code=201, operation_class=takes(_CREATE))
async def create_logs(request: Request[Any, Any, Any], services: Services) -> None:
    """Store lines; answered when they are durable. NUL characters are removed, as PostgreSQL and
    the reference cannot keep them."""
    await store_posted_logs(services, await request.body())


async def store_posted_logs(services: Services, body: bytes) -> None:
    """Store the lines of one request body.

    Raises:
        InvalidRequest: the body is no array of lines, or a line cannot be stored; nothing of it is.
        storage.errors.Busy: there is no room now.
    """
    try:
        lines = _CREATE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest.from_msgspec(error) from error
    if b"\\u0000" in body:
        lines = [_without_nul(line) for line in lines]
    try:
        await services.ingest.append(body, lines)
    except BadLine as error:
        raise InvalidRequest(["body", error.index, error.field], str(error)) from error


@post("/logs/filter", status_code=200, operation_class=takes(_QUERY))
async def read_logs(request: Request[Any, Any, Any], services: Services) -> list[Log]:
    """A page of the lines that match, ordered by timestamp and then by arrival."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    return await services.logs.read(
        query.logs or LogFilter(), sort=query.sort, limit=query.limit, offset=query.offset
    )


@get("/flow_runs/{flow_run_id:uuid}/logs/download")
async def download_logs(flow_run_id: Annotated[UUID, Parameter()], services: Services) -> Stream:
    """All lines of a run as CSV, oldest first."""
    async with connection(services.pool) as conn:
        run = await flow_runs.read_flow_run(conn, flow_run_id, now=utc_now())
    lines = _of_run(services, flow_run_id)
    # Before the answer begins, so that a store which is away makes it a 503.
    first = await anext(lines, [])
    name = quote(f"{run.name}-logs.csv", safe="")
    return Stream(
        _csv(first, lines),
        media_type="text/csv",
        headers={
            "Content-Disposition": (
                f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{name}"
            )
        },
    )


async def _of_run(services: Services, flow_run_id: UUID) -> AsyncGenerator[list[Log], None]:
    """The lines that a run has now, oldest first, a few thousand at a time."""
    streams = services.logs.streams
    wanted = Wanted(log_filter=LogFilter(flow_run_id=FlowRunIdFilter(any_=[flow_run_id])))
    async with contextlib.aclosing(streams.lines(wanted, await streams.now())) as tables:
        async for table in tables:
            yield await asyncio.to_thread(to_logs, table)


async def _csv(
    first: list[Log], following: AsyncGenerator[list[Log], None]
) -> AsyncGenerator[str, None]:
    """A store that goes away meanwhile breaks the answer off, which the client notices."""
    async with contextlib.aclosing(following):
        yield _csv_rows([["timestamp", "level", "flow_run_id", "task_run_id", "message"]])
        yield await asyncio.to_thread(_csv_lines, first)
        async for logs in following:
            yield await asyncio.to_thread(_csv_lines, logs)


def _csv_lines(logs: list[Log]) -> str:
    return _csv_rows(
        [log.timestamp.isoformat(" "), log.level, log.flow_run_id, log.task_run_id, log.message]
        for log in logs
    )


def _csv_rows(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _without_nul(line: LogCreate) -> LogCreate:
    return msgspec.structs.replace(
        line, name=line.name.replace("\0", ""), message=line.message.replace("\0", "")
    )


ROUTES = [create_logs, read_logs, download_logs]
