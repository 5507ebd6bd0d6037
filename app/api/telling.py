"""What is changed and what is told of it: one transaction, announced once it is committed."""

import contextlib
from collections.abc import AsyncIterator

from app.services import Services
from app.wire.events import ReceivedEvent
from storage.postgres.events import insert_events
from storage.postgres.pool import Conn, transaction


@contextlib.asynccontextmanager
async def telling(services: Services) -> AsyncIterator[tuple[Conn, list[ReceivedEvent]]]:
    """A transaction, and a list for the events that tell of it: they are kept with it, or not at
    all."""
    events: list[ReceivedEvent] = []
    async with transaction(services.pool) as conn:
        yield conn, events
        told = list(await insert_events(conn, events)) if events else []
    services.events.announce(told)
