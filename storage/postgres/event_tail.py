"""The live events: read once per process as they are announced, handed to each follower.

An announcement is a hint. Now and then, and when some may have been missed, the table is asked for
what came lately, so that an event that nobody announced is only late. A follower's queue is
bounded; one that does not keep up misses events, as with the reference.
"""

import asyncio
import contextlib
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import structlog

from app.wire.base import utc_now
from app.wire.events import ReceivedEvent
from storage.errors import StorageError
from storage.postgres.event_buffer import CHANNEL
from storage.postgres.events import event_ids_received_since, read_events
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool, connection

# How late an event may be that nobody announced.
LOOK_SECONDS = 2.0
# An event may be committed this long after it was received.
OVERLAP = timedelta(seconds=10)
# Events that are read at once.
READ_EVENTS = 1_000
# Events that have been handed out: more than come in `OVERLAP`.
REMEMBERED = 100_000
QUEUE_BATCHES = 256
# A subscription is one round trip to PostgreSQL.
LISTEN_SECONDS = 30.0

_log = structlog.get_logger("tailrace.events")


class EventTail:
    """Hands new events to followers; listens only while there are any."""

    def __init__(self, pool: Pool, listener: Listener) -> None:
        self._pool = pool
        self._listener = listener
        self._followers: set[asyncio.Queue[Sequence[ReceivedEvent]]] = set()
        self._seen: OrderedDict[uuid.UUID, None] = OrderedDict()
        self._pump: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, pool: Pool, listener: Listener) -> AsyncIterator["EventTail"]:
        """A tail that stops listening when the block ends."""
        tail = cls(pool, listener)
        try:
            yield tail
        finally:
            await tail._stop()

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator["asyncio.Queue[Sequence[ReceivedEvent]]"]:
        """All events that are committed from now on, in batches; some may have been committed a few
        seconds before."""
        queue: asyncio.Queue[Sequence[ReceivedEvent]] = asyncio.Queue(QUEUE_BATCHES)
        self._followers.add(queue)
        try:
            if self._pump is None or self._pump.done():
                self._listening = asyncio.Event()
                self._pump = asyncio.create_task(self._run(self._listening), name="event tail")
            # Also for one that finds a pump which is not that far yet.
            async with asyncio.timeout(LISTEN_SECONDS):
                await self._listening.wait()
            yield queue
        finally:
            self._followers.discard(queue)
            if not self._followers:
                await self._stop()

    async def _run(self, listening: asyncio.Event) -> None:
        async with self._listener.subscribe(CHANNEL) as announcements:
            since = utc_now() - OVERLAP
            listening.set()
            while True:
                payload: str | None = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        payload = await announcements.get()
                try:
                    if payload is None:
                        started = utc_now()
                        await self._look(since)
                        since = max(since, started - OVERLAP)
                    else:
                        await self._read([uuid.UUID(text) for text in payload.split(",")])
                # ValueError: somebody else uses the channel for something else.
                except (StorageError, ValueError) as error:
                    _log.warning("live events are late", error=str(error))

    async def _look(self, since: datetime) -> None:
        async with connection(self._pool) as conn:
            event_ids = await event_ids_received_since(conn, since)
        for start in range(0, len(event_ids), READ_EVENTS):
            await self._read(event_ids[start : start + READ_EVENTS])

    async def _read(self, event_ids: Sequence[uuid.UUID]) -> None:
        new = [event_id for event_id in event_ids if event_id not in self._seen]
        if new:
            async with connection(self._pool) as conn:
                self._hand_out(await read_events(conn, new))

    def _hand_out(self, events: Sequence[ReceivedEvent]) -> None:
        if not events:
            return
        for event in events:
            self._seen[event.id] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        for queue in self._followers:
            if not queue.full():
                queue.put_nowait(events)

    async def _stop(self) -> None:
        # Let go of it first: who comes while it ends starts another.
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait((pump,))
