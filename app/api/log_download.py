"""Log lines as files, of any size, in constant memory."""

import asyncio
import contextlib
import datetime as dt
import time
import zlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, get, post
from litestar.params import QueryParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.api.access import Access
from app.api.bodies import decode_body
from app.api.documentation import gives, takes
from app.api.download_tickets import VALID_SECONDS
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.base import in_utc, utc_now
from app.wire.line_filters import LevelSetFilter, LogDownload, OwnLogFilter
from app.wire.logs import (
    FlowRunIdFilter,
    LogFilter,
    TextFilter,
    TimestampFilter,
)
from storage.errors import InvalidValue, NotFound
from storage.logs.line_files import FORMATS, LineFile
from storage.logs.predicate import Predicate, besides
from storage.logs.streams import LineStreams, Wanted
from storage.postgres import flow_runs
from storage.postgres.pool import connection

MAX_RUNS = 50
# Text becomes ten times smaller; more effort takes longer than it saves.
_GZIP_LEVEL = 1
_GZIP_FORM = 31

_DOWNLOAD = msgspec.json.Decoder(LogDownload)
_FILES = tuple(new_file().media_type for new_file in FORMATS.values())


@get("/tailrace/logs/download", operation_class=gives(*_FILES), skip_from_compression=True)
async def download(
    request: Request[Any, Any, Any],
    services: Services,
    format: Annotated[
        Literal["text", "ndjson", "csv", "parquet"], QueryParameter(description="of the file")
    ] = "text",
    flow_run_id: Annotated[
        list[UUID] | None,
        QueryParameter(max_items=MAX_RUNS, description="lines of these runs"),
    ] = None,
    level: Annotated[int | None, QueryParameter(description="lines from this level up")] = None,
    logger: Annotated[
        list[str] | None, QueryParameter(max_items=50, description="lines of these loggers")
    ] = None,
    text: Annotated[
        str | None,
        QueryParameter(max_length=200, description="a text query, as /logs/filter has it"),
    ] = None,
    regex: Annotated[
        str | None,
        QueryParameter(
            min_length=1, max_length=1000, description="RE2 expression that messages match"
        ),
    ] = None,
    after: Annotated[dt.datetime | None, QueryParameter(description="lines from then on")] = None,
    before: Annotated[
        dt.datetime | None, QueryParameter(description="lines up to and with then")
    ] = None,
) -> Stream:
    """All lines that match, as one file: run by run in the order of the runs' ids, and by time within a
    run; lines outside any run come first. A file that could not be made to its end breaks off: its
    transfer does not end as it should."""
    wanted = LogDownload(
        format=format,
        logs=OwnLogFilter(
            flow_run_id=FlowRunIdFilter(any_=flow_run_id) if flow_run_id else None,
            level=LevelSetFilter(ge_=level) if level is not None else None,
            text=TextFilter(query=text) if text else None,
            timestamp=TimestampFilter(
                after_=in_utc(after) if after else None, before_=in_utc(before) if before else None
            )
            if after or before
            else None,
        ),
        regex=regex,
        logger=logger,
    )
    return await _download(request, services, wanted, source="query")


@post(
    "/tailrace/logs/download",
    status_code=200,
    operation_class=takes(_DOWNLOAD, files=_FILES),
    skip_from_compression=True,
)
async def download_search(request: Request[Any, Any, Any], services: Services) -> Stream:
    """The same for a filter as `/tailrace/logs/search` takes it (`LogDownload`)."""
    wanted = await decode_body(request, _DOWNLOAD)
    return await _download(request, services, wanted, source="body")


class DownloadTicket(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /tailrace/logs/download/by-ticket/{ticket}` is the download, within `valid_seconds` and without
    credentials."""

    ticket: str
    valid_seconds: int


@post("/tailrace/logs/download/tickets", status_code=200, operation_class=takes(_DOWNLOAD))
async def issue_ticket(
    request: Request[Any, Any, Any], services: Services, access: Access
) -> DownloadTicket:
    """A ticket for a download, for clients that cannot send credentials with it: a browser that is to
    write the file to the disk as it comes."""
    wanted = await decode_body(request, _DOWNLOAD)
    await _check(services, wanted, source="body")
    issue = access.tickets.issue
    ticket = await asyncio.to_thread(issue, msgspec.json.encode(wanted), now=time.time())
    return DownloadTicket(ticket=ticket, valid_seconds=VALID_SECONDS)


@get(
    "/tailrace/logs/download/by-ticket/{ticket:str}",
    operation_class=gives(*_FILES),
    skip_from_compression=True,
)
async def download_by_ticket(
    request: Request[Any, Any, Any], services: Services, access: Access, ticket: str
) -> Stream:
    """The download that a ticket was issued for; 404 for a ticket that has run out."""
    wanted = await asyncio.to_thread(access.tickets.redeem, ticket, now=time.time())
    if wanted is None:
        raise NotFound("this ticket has run out: ask for another one")
    return await _download(request, services, _DOWNLOAD.decode(wanted), source="ticket")


@get(
    "/flow_runs/{flow_run_id:uuid}/logs/download",
    operation_class=gives("text/csv"),
    skip_from_compression=True,
)
async def download_run(
    request: Request[Any, Any, Any], flow_run_id: UUID, services: Services
) -> Stream:
    """All lines of a run as CSV, oldest first."""
    async with connection(services.pool) as conn:
        run = await flow_runs.read_flow_run(conn, flow_run_id, now=utc_now())
    wanted = Wanted(log_filter=LogFilter(flow_run_id=FlowRunIdFilter(any_=[flow_run_id])))
    return await _file(request, services, wanted, FORMATS["csv"](), f"{run.name}-logs")


async def _download(
    request: Request[Any, Any, Any], services: Services, asked: LogDownload, *, source: str
) -> Stream:
    also = await _check(services, asked, source=source)
    wanted = Wanted(
        log_filter=asked.logs or LogFilter(),
        also=also,
        owners=flow_runs.owners_of(asked.flow_ids, asked.deployment_ids),
    )
    name = await _name(services, wanted)
    return await _file(request, services, wanted, FORMATS[asked.format](), name)


async def _check(services: Services, asked: LogDownload, *, source: str) -> Predicate:
    """What of a download is besides its filter, once that is known to be sound."""
    also = besides(regex=asked.regex, loggers=asked.logger)
    try:
        await services.logs.check(also)
    except InvalidValue as error:
        raise InvalidRequest([source, "regex"], str(error)) from error
    return also


async def _name(services: Services, wanted: Wanted) -> str:
    """What the file is called: after its run, if it is of one."""
    runs = wanted.runs
    if runs is not None and len(runs) == 1:
        with contextlib.suppress(NotFound):
            async with connection(services.pool) as conn:
                run = await flow_runs.read_flow_run(conn, runs[0], now=utc_now())
                return f"{run.name}-logs"
        return f"{runs[0]}-logs"
    return f"logs-{utc_now():%Y-%m-%dT%H-%M-%SZ}"


async def _file(
    request: Request[Any, Any, Any],
    services: Services,
    wanted: Wanted,
    file: LineFile,
    name: str,
) -> Stream:
    headers = {
        "Content-Disposition": (
            f'attachment; filename="flow-run-logs.{file.suffix}"; '
            f"filename*=UTF-8''{quote(f'{name}.{file.suffix}', safe='')}"
        ),
        "Vary": "Accept-Encoding",
    }
    gzip = None
    # Parquet is compressed in itself.
    if file.suffix != "parquet" and _takes_gzip(request.headers.get("accept-encoding", "")):
        gzip = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORM)
        headers["Content-Encoding"] = "gzip"
    parts = _parts(services.logs.streams, wanted, file, gzip)
    # Before the answer begins, so that a store which is away makes it a 503.
    first = await anext(parts)
    return Stream(_following(first, parts), media_type=file.media_type, headers=headers)


async def _following(
    first: bytes, parts: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """A store that goes away meanwhile breaks the answer off, which the client notices."""
    async with contextlib.aclosing(parts):
        if first:
            yield first
        async for part in parts:
            if part:
                yield part


async def _parts(
    streams: LineStreams, wanted: Wanted, file: LineFile, gzip: "zlib._Compress | None"
) -> AsyncGenerator[bytes, None]:
    arrived = await streams.now()
    async with contextlib.aclosing(streams.lines(wanted, arrived)) as tables:
        async for lines in tables:
            yield await asyncio.to_thread(lambda lines=lines: _zipped(file.write(lines), gzip))
    last = await asyncio.to_thread(lambda: _zipped(file.close(), gzip))
    yield last if gzip is None else last + gzip.flush()


def _zipped(data: bytes, gzip: "zlib._Compress | None") -> bytes:
    return data if gzip is None else gzip.compress(data)


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip without forbidding it."""
    for each in accepted.lower().split(","):
        name, _, quality = each.replace(" ", "").partition(";")
        if name == "gzip":
            return quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


ROUTES: list[ControllerRouterHandler] = [
    download,
    download_search,
    issue_ticket,
    download_by_ticket,
    download_run,
]
