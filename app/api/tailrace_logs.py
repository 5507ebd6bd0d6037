"""Pages of a run's lines by cursor: they do not shift while lines come, or move to S3."""

from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, post

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.errors import InvalidRequest
from app.services import Services
from app.wire.logs import FlowRunIdFilter, LevelFilter, Log, LogFilter
from app.wire.run_log_pages import RunLogsPage, RunLogsQuery, format_cursor, parse_cursor
from storage.logs.lines import Key, microseconds_of, seq_of
from storage.logs.predicate import of_loggers
from storage.logs.segment import ERROR_LEVEL

_QUERY = msgspec.json.Decoder(RunLogsQuery)
_Page: TypeAlias = list[Log]


@post("/tailrace/logs", status_code=200, operation_class=takes(_QUERY))
async def read_run_logs(request: Request[Any, Any, Any], services: Services) -> RunLogsPage:
    """Lines of a run from a cursor on, or around a time, a line or an error."""
    query = await decode_body(request, _QUERY)
    check_limit(query.limit)
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
    backward = query.direction == "backward"
    lines = await _beyond(services, query, start, backward=backward, limit=query.limit)
    return _page(lines[::-1] if backward else lines, start)


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
    return _page([*earlier[::-1], *later], key, anchor)


async def _beyond(
    services: Services, query: RunLogsQuery, start: Key | None, *, backward: bool, limit: int
) -> _Page:
    if limit == 0:
        return []
    wanted = LogFilter(
        flow_run_id=FlowRunIdFilter(any_=[query.flow_run_id]), level=query.level, text=query.text
    )
    also = of_loggers(query.logger)
    return await services.logs.beyond(wanted, start, backward=backward, limit=limit, also=also)


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


ROUTES = [read_run_logs]
