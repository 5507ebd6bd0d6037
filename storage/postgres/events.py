"""The event table."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import msgspec

from app.wire.event_filters import EventCount, EventFilter
from app.wire.events import ReceivedEvent, raw_json
from storage.postgres import event_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_INSERT = statement("insert_events")
_READ = statement("select_events_by_id")
_REMOVE = statement("remove_events")
_RECEIVED_SINCE = statement("select_event_ids_received_since")


async def insert_events(conn: Conn, events: Sequence[ReceivedEvent]) -> set[uuid.UUID]:
    """Keep the events; returns the ids of those that were not there yet. An event that is known
    already, or is in the batch twice, stays as it was first."""
    rows = await conn.fetch(
        _INSERT,
        [event.id for event in events],
        [event.occurred for event in events],
        [event.received for event in events],
        [event.event for event in events],
        [event.resource for event in events],
        # As text: an array of arrays would be one array of two dimensions to the driver.
        [raw_json(event.related) for event in events],
        [event.payload for event in events],
        [event.follows for event in events],
    )
    return {row["id"] for row in rows}


def _event_of(row: asyncpg.Record) -> ReceivedEvent:
    return ReceivedEvent(
        id=row["id"],
        occurred=row["occurred"],
        received=row["received"],
        event=row["event"],
        resource=row["resource"],
        related=row["related"],
        payload=msgspec.Raw(row["payload"].encode()),
        follows=row["follows"],
    )


async def read_events(conn: Conn, ids: Sequence[uuid.UUID]) -> list[ReceivedEvent]:
    """Those of these events that are there, in the order they occurred."""
    return [_event_of(row) for row in await conn.fetch(_READ, ids)]


async def event_ids_received_since(conn: Conn, since: dt.datetime) -> list[uuid.UUID]:
    """The events that came since, in no order."""
    return [row["id"] for row in await conn.fetch(_RECEIVED_SINCE, since)]


async def remove_events(
    conn: Conn, *, since: dt.datetime, before: dt.datetime, at_most: int
) -> tuple[int, dt.datetime]:
    """Remove the oldest events that occurred in [since, before): how many, and when the last of
    them occurred (`before` if there are none)."""
    row = await conn.fetchrow(_REMOVE, since, before, at_most)
    if row is None or row["last"] is None:
        return 0, before
    # The first time of all is kept as infinity, which the driver gives without a zone.
    return row["events"], row["last"].replace(tzinfo=dt.UTC)


async def select_events(
    conn: Conn,
    on: EventFilter,
    *,
    limit: int,
    offset: int = 0,
    after: ReceivedEvent | None = None,
) -> list[ReceivedEvent]:
    """A stretch of the events that match, `after` the last one of the stretch before."""
    place = (after.occurred, after.id) if after is not None else None
    sql, values = event_filters.select_events(on, limit=limit, offset=offset, after=place)
    return [_event_of(row) for row in await conn.fetch(sql, *values)]


async def count_events(conn: Conn, on: EventFilter) -> int:
    """How many match."""
    sql, values = event_filters.count_events(on)
    count: int = await conn.fetchval(sql, *values)
    return count


async def count_events_by_name(conn: Conn, on: EventFilter) -> list[EventCount]:
    """How many events of each name match, most first."""
    return await _counted(conn, *event_filters.count_events_by_name(on))


async def count_events_by_resource(conn: Conn, on: EventFilter) -> list[EventCount]:
    """How many events of each resource match, most first."""
    return await _counted(conn, *event_filters.count_events_by_resource(on))


async def _counted(conn: Conn, sql: str, values: list[object]) -> list[EventCount]:
    return [
        EventCount(
            value=row["value"],
            label=row["label"] or row["value"],
            count=row["count"],
            start_time=row["start_time"],
            end_time=row["end_time"],
        )
        for row in await conn.fetch(sql, *values)
    ]


async def count_events_by_time(
    conn: Conn, on: EventFilter, first: dt.datetime, step: dt.timedelta
) -> dict[dt.datetime, int]:
    """How many events match in each stretch of time that has any, by its beginning."""
    sql, values = event_filters.count_events_by_time(on, first, step)
    return {row["start_time"]: row["count"] for row in await conn.fetch(sql, *values)}
