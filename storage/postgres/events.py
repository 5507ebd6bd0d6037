"""The event table."""

import uuid
from collections.abc import Sequence

from app.wire.events import ReceivedEvent, raw_json
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_INSERT = statement("insert_events")


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
