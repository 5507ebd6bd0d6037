"""Tailrace's own search over all runs, answered as it finds."""

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.api.bodies import decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest, error_response
from app.services import Services
from app.wire.line_filters import LogSearch
from app.wire.logs import Log
from app.wire.run_log_pages import format_cursor, parse_cursor
from storage.errors import StorageError
from storage.logs.lines import Key
from storage.logs.looked import Looked
from storage.logs.reader import SearchStep

# Steps that found nothing are told this often.
TELL_SECONDS = 0.2

_SEARCH = msgspec.json.Decoder(LogSearch)


class SearchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer: lines found since the one before, and how many of the rows that may match
    were looked at, and of how many objects in S3 and bytes of them. The last has `done` true; `cursor` continues after the last line of all, and is None
    when nothing is left."""

    lines: list[Log]
    rows_read: int
    rows: int
    objects_read: int
    objects: int
    bytes_read: int
    bytes: int
    done: bool = False
    cursor: str | None = None


@post("/tailrace/logs/search", status_code=200, operation_class=takes(_SEARCH))
async def search(request: Request[Any, Any, Any], services: Services) -> Stream:
    """Lines of all runs that match, newest or oldest first, as JSON objects (`SearchProgress`), one a
    line, as they are found. A search ends when nobody reads its answer. An error on the way is the
    last line, `{"error": …}`; the lines before it are right."""
    body = await decode_body(request, _SEARCH)
    steps = services.logs.search(body, _key(body.cursor))
    # Before the answer begins, so that what cannot be searched has a status of its own.
    first = await anext(steps, None)
    return Stream(_answer(first, steps, body.limit), media_type="application/x-ndjson")


async def _answer(
    first: SearchStep | None, steps: AsyncGenerator[SearchStep, None], limit: int
) -> AsyncGenerator[bytes, None]:
    if first is None:
        yield _line(_progress([], Looked(), Looked(), done=True))
        return
    told = time.monotonic()
    last = first
    found = 0
    step: SearchStep | None = first
    async with contextlib.aclosing(steps):
        while step is not None:
            last = step
            found += len(step.lines)
            if step.lines or time.monotonic() > told + TELL_SECONDS:
                told = time.monotonic()
                yield _line(_progress(step.lines, step.read, step.all))
            try:
                step = await anext(steps, None)
            except StorageError as error:
                yield _line({"error": error_response(error).content})
                return
    whole = found < limit
    yield _line(
        _progress(
            [],
            last.all if whole else last.read,
            last.all,
            done=True,
            cursor=None if whole or last.last is None else format_cursor(last.last),
        )
    )


def _progress(
    lines: list[Log], read: Looked, every: Looked, *, done: bool = False, cursor: str | None = None
) -> SearchProgress:
    return SearchProgress(
        lines=lines,
        rows_read=read.rows,
        rows=every.rows,
        objects_read=read.objects,
        objects=every.objects,
        bytes_read=read.bytes,
        bytes=every.bytes,
        done=done,
        cursor=cursor,
    )


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _key(cursor: str | None) -> Key | None:
    if cursor is None:
        return None
    key = parse_cursor(cursor)
    if key is None:
        raise InvalidRequest(["body", "cursor"], "not a cursor that an answer gave")
    return key


ROUTES: list[ControllerRouterHandler] = [search]
