"""Pages of a run's lines by cursor: they do not shift while lines come, or move to S3."""

from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.disconnection import unless_gone
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.line_filters import OwnLogFilter
from app.wire.log_places import LogPlace, LogPlaceQuery
from app.wire.logs import FlowRunIdFilter, LevelFilter, Log, LogFilter
from app.wire.run_log_pages import RunLogsPage, RunLogsQuery, format_cursor, parse_cursor
from storage.errors import InvalidValue, NotFound
from storage.logs.compaction_plan import FINAL_TIER
from storage.logs.lines import MAX_SEQ, Key, microseconds_of, seq_of
from storage.logs.places import HotPlace, SegmentPlace
from storage.logs.predicate import Predicate, besides
from storage.logs.segment import ERROR_LEVEL

_QUERY = msgspec.json.Decoder(RunLogsQuery)
_PLACE_QUERY = msgspec.json.Decoder(LogPlaceQuery)
_Page: TypeAlias = list[Log]


@post("/tailrace/logs", status_code=200, operation_class=takes(_QUERY))
async def read_run_logs(request: Request[Any, Any, Any], services: Services) -> RunLogsPage:
    """Lines of a run from a cursor or an offset on, or around a time, a line or an error. The work ends
    when nobody waits for it any more."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
    try:
        await services.logs.check(_also(query))
    except InvalidValue as error:
        raise InvalidRequest(["body", "regex"], str(error)) from error
    return await unless_gone(request, _answer(services, query))


async def _answer(services: Services, query: RunLogsQuery) -> RunLogsPage:
    start = parse_cursor(query.cursor) if query.cursor is not None else None
    if query.error is not None:
        anchor = await _error_from(services, query, start)
        if anchor is None:
            return RunLogsPage(lines=[], before=query.cursor, after=query.cursor, anchor=None)
        return await _around(services, query, _key(anchor), anchor.id)
    if query.around_line is not None:
        return await _around(services, query, await _key_of(services, query, query.around_line))
    if query.around_time is not None:
        return await _around(services, query, (microseconds_of(query.around_time), -1))
    if query.at_offset is not None:
        return await _at_offset(services, query, query.at_offset)
    backward = query.direction == "backward"
    lines = await _beyond(services, query, start, backward=backward, limit=query.limit)
    page = _page(lines[::-1] if backward else lines, start)
    # A page without lines lies before the cursor, at the beginning, or after the cursor, at the end.
    empty_at = None if backward or start is None else (start[0], min(start[1] + 1, MAX_SEQ))
    return await _with_offset(services, query, page, empty_at)


@post("/tailrace/logs/where", status_code=200, operation_class=takes(_PLACE_QUERY))
async def find_line(request: Request[Any, Any, Any], services: Services) -> LogPlace:
    """Where a line of a run lies now: in a batch of the hot tier, or in which row of which object; 404
    when the run has no such line."""
    query = await decode_body(request, _PLACE_QUERY)
    try:
        seq = seq_of(query.line_id)
    except ValueError as error:
        raise InvalidRequest(["body", "line_id"], str(error)) from error
    match place := await services.logs.where(query.flow_run_id, seq):
        case HotPlace():
            return LogPlace(tier="hot", batch=place.batch, rows=place.rows, bytes=place.bytes)
        case SegmentPlace(row=row, segment=segment):
            return LogPlace(
                tier="segment",
                segment_id=segment.id,
                object_key=segment.key,
                row=row,
                rows=segment.rows,
                bytes=segment.bytes,
                level=segment.tier,
                final=segment.tier == FINAL_TIER,
                format_version=segment.format,
            )
        case None:
            raise NotFound(f"the run has no line {query.line_id}")


async def _error_from(services: Services, query: RunLogsQuery, start: Key | None) -> Log | None:
    errors = LogFilter(
        flow_run_id=FlowRunIdFilter(any_=[query.flow_run_id]),
        level=LevelFilter(ge_=ERROR_LEVEL),
    )
    found = await services.logs.beyond(errors, start, backward=query.error == "previous", limit=1)
    return found[0] if found else None


async def _key_of(services: Services, query: RunLogsQuery, line_id: UUID) -> Key:
    try:
        key = await services.logs.key_of(query.flow_run_id, seq_of(line_id))
    except ValueError as error:
        raise InvalidRequest(["body", "around_line"], str(error)) from error
    if key is None:
        raise InvalidRequest(["body", "around_line"], f"the run has no line {line_id}")
    return key


async def _around(
    services: Services, query: RunLogsQuery, key: Key, anchor: UUID | None = None
) -> RunLogsPage:
    """Half of the page before the key, and the rest from it on, the line itself included."""
    earlier = await _beyond(services, query, key, backward=True, limit=query.limit // 2)
    rest = query.limit - len(earlier)
    later = await _beyond(services, query, (key[0], key[1] - 1), backward=False, limit=rest)
    if anchor is None and later:
        anchor = later[0].id
    page = _page([*earlier[::-1], *later], key, anchor)
    return await _with_offset(services, query, page, key)


async def _with_offset(
    services: Services, query: RunLogsQuery, page: RunLogsPage, empty_at: Key | None
) -> RunLogsPage:
    """The page with its offset, if that is asked for; `empty_at` is where a page without lines lies,
    None is where the run begins."""
    if not query.offset:
        return page
    key = _key(page.lines[0]) if page.lines else empty_at
    if key is None:
        return msgspec.structs.replace(page, offset=0)
    offset = await services.logs.lines_before(_wanted(query), key, also=_also(query))
    return msgspec.structs.replace(page, offset=offset)


async def _beyond(
    services: Services, query: RunLogsQuery, start: Key | None, *, backward: bool, limit: int
) -> _Page:
    if limit == 0:
        return []
    wanted, also = _wanted(query), _also(query)
    return await services.logs.beyond(wanted, start, backward=backward, limit=limit, also=also)


async def _at_offset(services: Services, query: RunLogsQuery, offset: int) -> RunLogsPage:
    lines = await services.logs.read(
        _wanted(query), sort="TIMESTAMP_ASC", limit=query.limit, offset=offset, also=_also(query)
    )
    page = _page(lines, None)
    return msgspec.structs.replace(page, offset=offset) if query.offset else page


def _also(query: RunLogsQuery) -> Predicate:
    return besides(regex=query.regex, loggers=query.logger)


def _wanted(query: RunLogsQuery) -> LogFilter:
    return OwnLogFilter(
        flow_run_id=FlowRunIdFilter(any_=[query.flow_run_id]),
        level=query.level,
        task_run_id=query.task_run_id,
        text=query.text,
    )


def _page(lines: _Page, start: Key | None, anchor: UUID | None = None) -> RunLogsPage:
    """A page without lines goes on from where it was asked for."""
    first = _key(lines[0]) if lines else start
    last = _key(lines[-1]) if lines else start
    return RunLogsPage(
        lines=lines,
        before=format_cursor(first) if first else None,
        after=format_cursor(last) if last else None,
        anchor=anchor,
    )


def _key(line: Log) -> Key:
    return microseconds_of(line.timestamp), seq_of(line.id)


ROUTES: list[ControllerRouterHandler] = [read_run_logs, find_line]
