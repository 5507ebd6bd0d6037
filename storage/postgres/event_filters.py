"""The event filter as SQL. In the text, `e` is an event and `x` one of its resources.

`storage.postgres.event_predicate` says the same in Python, for events that have just come; a test
holds them together.
"""

import datetime as dt
import uuid
from collections.abc import Iterable

from app.wire.event_filters import (
    EventAnyResourceFilter,
    EventFilter,
    EventNameFilter,
    EventRelatedFilter,
    EventResourceFilter,
    LabelFilters,
    several,
    several_any,
)
from app.wire.events import RESOURCE_ID, RESOURCE_ROLE
from storage.logs.text import TextQuery, parse_text_query
from storage.postgres.filters import Query, join
from storage.postgres.statements import statement

_SELECT = statement("select_events")
_NEWEST = statement("select_newest_events_of_resources")

# What the indexes are on; a different spelling would not use them.
_INDEXED_CHARACTERS = 500
_RESOURCE_BEGINS = f"left(e.resource ->> '{RESOURCE_ID}', {_INDEXED_CHARACTERS})"
_RESOURCE_ID = f"e.resource ->> '{RESOURCE_ID}'"
_RELATED_IDS = f"jsonb_path_query_array(e.related, '$[*].\"{RESOURCE_ID}\"')"
_RELATED = "jsonb_array_elements(e.related) x"
_ALL = "jsonb_array_elements(jsonb_build_array(e.resource) || e.related) x"
_TEXT = (
    "lower(e.event || ' ' ||"
    " coalesce((SELECT string_agg(value, ' ') FROM jsonb_each_text(e.resource)), '') || ' ' ||"
    " coalesce((SELECT string_agg(l.value, ' ') FROM jsonb_array_elements(e.related) x,"
    " jsonb_each_text(x) l), '') || ' ' || e.payload::text)"
)


def select_events(
    on: EventFilter,
    *,
    limit: int,
    offset: int = 0,
    after: tuple[dt.datetime, uuid.UUID] | None = None,
) -> tuple[str, list[object]]:
    """A stretch of the events that match, in the filter's order; `after` is the (occurred, id) of
    the last event of the stretch before, when they go forward."""
    query = Query()
    where = _where(query, on)
    if after is not None:
        where += f" AND (e.occurred, e.id) > ({query.bind(after[0])}, {query.bind(after[1])})"
    tail = f"LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}"
    order = f"ORDER BY e.occurred {on.order}, e.id {on.order}"
    if _is_distinct(on):
        return f"{_of_newest(where)} {order} {tail}", query.values
    return f"{_SELECT} WHERE {where} {order} {tail}", query.values


def count_events(on: EventFilter) -> tuple[str, list[object]]:
    """How many events match."""
    query = Query()
    where = _where(query, on)
    counted = f"({_newest(where)})" if _is_distinct(on) else f"event e WHERE {where}"
    alias = " newest" if _is_distinct(on) else ""
    return f"SELECT count(*) FROM {counted}{alias}", query.values


def count_events_by_name(on: EventFilter) -> tuple[str, list[object]]:
    """How many events of each name, most first."""
    return _counted_by(on, "e.event", "e.event")


def count_events_by_resource(on: EventFilter) -> tuple[str, list[object]]:
    """How many events of each resource, most first."""
    return _counted_by(on, _RESOURCE_ID, "max(e.resource ->> 'prefect.resource.name')")


def _counted_by(on: EventFilter, value: str, label: str) -> tuple[str, list[object]]:
    query = Query()
    sql = (
        f"SELECT {value} AS value, {label} AS label, count(*) AS count,"
        " min(e.occurred) AS start_time, max(e.occurred) AS end_time"
        f" FROM event e WHERE {_where(query, on)}"
        f" GROUP BY {value} ORDER BY count DESC, value"
    )
    return sql, query.values


def count_events_by_time(
    on: EventFilter, first: dt.datetime, step: dt.timedelta
) -> tuple[str, list[object]]:
    """How many events in each stretch of time, those that have any; `first` begins one."""
    query = Query()
    where = _where(query, on)
    start = f"date_bin({query.bind(step)}, e.occurred, {query.bind(first)})"
    return (
        f"SELECT {start} AS start_time, count(*) AS count FROM event e WHERE {where} GROUP BY 1",
        query.values,
    )


def _is_distinct(on: EventFilter) -> bool:
    return on.resource is not None and on.resource.distinct


def _newest(where: str) -> str:
    return f"{_NEWEST} WHERE {where} ORDER BY {_RESOURCE_ID}, e.occurred DESC, e.id DESC"


def _of_newest(where: str) -> str:
    return _SELECT.replace("FROM event e", f"FROM ({_newest(where)}) e")


def _where(query: Query, on: EventFilter) -> str:
    parts = [
        f"e.occurred >= {query.bind(on.occurred.since)}",
        f"e.occurred <= {query.bind(on.occurred.until)}",
    ]
    if on.id.id:
        parts.append(f"e.id = ANY ({query.bind(on.id.id)})")
    if on.event is not None:
        parts += _name(query, on.event)
    if on.resource is not None:
        parts += _resource(query, on.resource)
    for related in several(on.related):
        parts += _related(query, related)
    for any_resource in several_any(on.any_resource):
        parts += _any_resource(query, any_resource)
    if on.text is not None:
        parts += _text(query, parse_text_query(on.text.query))
    return join(parts, "and_")


def _name(query: Query, on: EventNameFilter) -> Iterable[str]:
    if on.prefix:
        yield _begins(query, "e.event", on.prefix)
    if on.exclude_prefix:
        yield f"NOT {_begins(query, 'e.event', on.exclude_prefix)}"
    if on.name:
        yield f"e.event = ANY ({query.bind(on.name)})"
    if on.exclude_name:
        yield f"e.event <> ALL ({query.bind(on.exclude_name)})"


def _resource(query: Query, on: EventResourceFilter) -> Iterable[str]:
    if on.id:
        yield _resource_begins(query, on.id)
        yield f"{_RESOURCE_ID} = ANY ({query.bind(on.id)})"
    if on.id_prefix:
        yield _begins(query, f"({_RESOURCE_ID})", on.id_prefix)
    yield from _labels(query, "e.resource", on.labels)


def _resource_begins(query: Query, ids: list[str]) -> str:
    beginnings = [id[:_INDEXED_CHARACTERS] for id in ids]
    return f"{_RESOURCE_BEGINS} = ANY ({query.bind(beginnings)})"


def _related(query: Query, on: EventRelatedFilter) -> Iterable[str]:
    parts: list[str] = []
    ids = list(on.id or []) or [id for id, _ in on.resources_in_roles or []]
    if on.id:
        parts.append(f"x ->> '{RESOURCE_ID}' = ANY ({query.bind(on.id)})")
    if on.role:
        parts.append(f"x ->> '{RESOURCE_ROLE}' = ANY ({query.bind(on.role)})")
    if on.resources_in_roles:
        pairs = [
            f"(x ->> '{RESOURCE_ID}' = {query.bind(id)}"
            f" AND x ->> '{RESOURCE_ROLE}' = {query.bind(role)})"
            for id, role in on.resources_in_roles
        ]
        parts.append(join(pairs, "or_"))
    parts += _labels(query, "x", on.labels)
    if parts:
        if ids:
            # Implied by the rest; the index knows the ids alone.
            yield f"{_RELATED_IDS} ?| {query.bind(ids)}"
        yield f"EXISTS (SELECT 1 FROM {_RELATED} WHERE {join(parts, 'and_')})"


def _any_resource(query: Query, on: EventAnyResourceFilter) -> Iterable[str]:
    parts: list[str] = []
    if on.id:
        parts.append(f"x ->> '{RESOURCE_ID}' = ANY ({query.bind(on.id)})")
    if on.id_prefix:
        parts.append(_begins(query, f"(x ->> '{RESOURCE_ID}')", on.id_prefix))
    parts += _labels(query, "x", on.labels)
    if parts:
        if on.id:
            ids = query.bind(on.id)
            # Implied by the rest; the indexes know the ids alone.
            yield f"({_resource_begins(query, on.id)} OR {_RELATED_IDS} ?| {ids})"
        yield f"EXISTS (SELECT 1 FROM {_ALL} WHERE {join(parts, 'and_')})"


def _labels(query: Query, resource: str, on: LabelFilters | None) -> Iterable[str]:
    for label, wanted in (on or {}).items():
        if not wanted and isinstance(wanted, list):
            continue
        value = f"({resource} ->> {query.bind(label)}::text)"
        parts: list[str] = []
        for pattern in [wanted] if isinstance(wanted, str) else wanted:
            negated = pattern.startswith("!")
            like = query.bind(_like(pattern.removeprefix("!")))
            parts.append(f"{value} {'NOT ' if negated else ''}LIKE {like}")
        yield join(parts, "or_")


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%").replace("?", "_")


def _begins(query: Query, text: str, prefixes: list[str]) -> str:
    parts = [f"starts_with({text}, {query.bind(prefix)})" for prefix in prefixes]
    return f"({' OR '.join(parts)})"


def _text(query: Query, on: TextQuery) -> Iterable[str]:
    def found(term: str) -> str:
        return f"strpos({_TEXT}, {query.bind(term.lower())}) > 0"

    if on.any_of:
        yield join([found(term) for term in on.any_of], "or_")
    for term in on.all_of:
        yield found(term)
    for term in on.none_of:
        yield f"NOT {found(term)}"
