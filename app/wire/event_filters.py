"""Which events, on the wire. An absent or empty list says nothing here."""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import as_utc, utc_now
from app.wire.events import ReceivedEvent

EventOrder: TypeAlias = Literal["ASC", "DESC"]
TimeUnit: TypeAlias = Literal["week", "day", "hour", "minute", "second"]
# A label's value, or one of several. `*` and `?` are wildcards, a leading `!` negates.
LabelFilters: TypeAlias = dict[str, str | list[str]]

MAX_PAGE = 50
DEFAULT_DAYS = 180


def _days_ago() -> dt.datetime:
    today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=DEFAULT_DAYS)


class OccurredFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on when it happened."""

    since: dt.datetime = msgspec.field(default_factory=_days_ago)
    until: dt.datetime = msgspec.field(default_factory=utc_now)

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "since", as_utc(self.since))
        msgspec.structs.force_setattr(self, "until", as_utc(self.until))


class EventNameFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the event's name; all that is given must hold."""

    prefix: list[str] | None = None
    exclude_prefix: list[str] | None = None
    name: list[str] | None = None
    exclude_name: list[str] | None = None


class EventResourceFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the resource. `distinct` gives the newest event of each resource only."""

    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: LabelFilters | None = None
    distinct: bool = False


class EventRelatedFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One related resource fits all of this."""

    id: list[str] | None = None
    role: list[str] | None = None
    resources_in_roles: list[tuple[str, str]] | None = None
    labels: LabelFilters | None = None


class EventAnyResourceFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The resource or one related resource fits all of this."""

    id: list[str] | None = None
    id_prefix: list[str] | None = None
    labels: LabelFilters | None = None


class EventIdFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these events."""

    id: list[uuid.UUID] | None = None


class EventTextFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text query (`storage.logs.text`) over name, label values and payload."""

    query: Annotated[str, msgspec.Meta(max_length=200)]


class EventFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events; all that is given must hold, each of several filters on resources too."""

    occurred: OccurredFilter = msgspec.field(default_factory=OccurredFilter)
    event: EventNameFilter | None = None
    resource: EventResourceFilter | None = None
    related: EventRelatedFilter | list[EventRelatedFilter] | None = None
    any_resource: EventAnyResourceFilter | list[EventAnyResourceFilter] | None = None
    id: EventIdFilter = EventIdFilter()
    text: EventTextFilter | None = None
    order: EventOrder = "DESC"


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /events/filter`."""

    filter: EventFilter | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGE)] = MAX_PAGE


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of events; `next_page` is the URL of the next."""

    events: list[ReceivedEvent]
    total: int
    next_page: str | None


class EventCountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /events/count-by/{countable}`; the interval is for counts by time."""

    filter: EventFilter
    time_unit: TimeUnit = "day"
    time_interval: Annotated[float, msgspec.Meta(ge=0.01)] = 1.0


class EventCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many events have something in common, from the first to the last of them."""

    value: str
    label: str
    count: int
    start_time: dt.datetime
    end_time: dt.datetime


def several(on: "EventRelatedFilter | list[EventRelatedFilter] | None") -> list[EventRelatedFilter]:
    """The filters on related resources, however they were given."""
    if on is None:
        return []
    return on if isinstance(on, list) else [on]


def several_any(
    on: "EventAnyResourceFilter | list[EventAnyResourceFilter] | None",
) -> list[EventAnyResourceFilter]:
    """The filters on any resource, however they were given."""
    if on is None:
        return []
    return on if isinstance(on, list) else [on]
