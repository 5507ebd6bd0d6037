"""The event filter in Python, for events that have just come. `event_filters` says it in SQL."""

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeAlias

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
from app.wire.events import RESOURCE_ID, RESOURCE_ROLE, ReceivedEvent, Resource
from storage.logs.text import TextQuery, parse_text_query

Predicate: TypeAlias = Callable[[ReceivedEvent], bool]


def predicate(on: EventFilter) -> Predicate:
    """Whether an event matches. `distinct` and `order` say nothing about one event."""
    text = parse_text_query(on.text.query) if on.text is not None else TextQuery()
    related = several(on.related)
    any_resource = several_any(on.any_resource)

    def matches(event: ReceivedEvent) -> bool:
        return (
            on.occurred.since <= event.occurred <= on.occurred.until
            and (not on.id.id or event.id in on.id.id)
            and (on.event is None or _name(on.event, event.event))
            and (on.resource is None or _resource(on.resource, event.resource))
            and all(_one_fits(_related(each), event.related) for each in related)
            and all(
                _one_fits(_any_resource(each), [event.resource, *event.related])
                for each in any_resource
            )
            and _text(text, event)
        )

    return matches


def _name(on: EventNameFilter, name: str) -> bool:
    return (
        (not on.prefix or name.startswith(tuple(on.prefix)))
        and not (on.exclude_prefix and name.startswith(tuple(on.exclude_prefix)))
        and (not on.name or name in on.name)
        and not (on.exclude_name and name in on.exclude_name)
    )


def _resource(on: EventResourceFilter, resource: Resource) -> bool:
    return (
        (not on.id or resource[RESOURCE_ID] in on.id)
        and (not on.id_prefix or resource[RESOURCE_ID].startswith(tuple(on.id_prefix)))
        and _labels(on.labels, resource)
    )


def _one_fits(fits: Callable[[Resource], bool] | None, resources: Iterable[Resource]) -> bool:
    return fits is None or any(fits(resource) for resource in resources)


def _related(on: EventRelatedFilter) -> Callable[[Resource], bool] | None:
    if not (on.id or on.role or on.resources_in_roles or _says_something(on.labels)):
        return None

    def fits(resource: Resource) -> bool:
        named = (resource[RESOURCE_ID], resource[RESOURCE_ROLE])
        return (
            (not on.id or named[0] in on.id)
            and (not on.role or named[1] in on.role)
            and (not on.resources_in_roles or named in on.resources_in_roles)
            and _labels(on.labels, resource)
        )

    return fits


def _any_resource(on: EventAnyResourceFilter) -> Callable[[Resource], bool] | None:
    if not (on.id or on.id_prefix or _says_something(on.labels)):
        return None

    def fits(resource: Resource) -> bool:
        return (
            (not on.id or resource[RESOURCE_ID] in on.id)
            and (not on.id_prefix or resource[RESOURCE_ID].startswith(tuple(on.id_prefix)))
            and _labels(on.labels, resource)
        )

    return fits


def _says_something(labels: LabelFilters | None) -> bool:
    return any(wanted != [] for wanted in (labels or {}).values())


def _labels(on: LabelFilters | None, resource: Resource) -> bool:
    for label, wanted in (on or {}).items():
        patterns = [wanted] if isinstance(wanted, str) else wanted
        if not patterns:
            continue
        value = resource.get(label)
        if value is None:
            return False
        if not any(
            pattern.startswith("!") != bool(_glob(pattern.removeprefix("!")).fullmatch(value))
            for pattern in patterns
        ):
            return False
    return True


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)


def _text(on: TextQuery, event: ReceivedEvent) -> bool:
    if on.matches_everything():
        return True
    values = [*event.resource.values()]
    for resource in event.related:
        values += resource.values()
    payload = json.dumps(json.loads(bytes(event.payload)), ensure_ascii=False)
    text = " ".join([event.event, *values, payload]).lower()
    return (
        (not on.any_of or any(term.lower() in text for term in on.any_of))
        and all(term.lower() in text for term in on.all_of)
        and not any(term.lower() in text for term in on.none_of)
    )
