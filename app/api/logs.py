"""Run logs: write, read by page."""

from typing import Any

import msgspec
from litestar import Request, post

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.logs import Log, LogCreate, LogFilter, LogQuery
from storage.logs.encode import BadLine

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


def _without_nul(line: LogCreate) -> LogCreate:
    return msgspec.structs.replace(
        line, name=line.name.replace("\0", ""), message=line.message.replace("\0", "")
    )


ROUTES = [create_logs, read_logs]
