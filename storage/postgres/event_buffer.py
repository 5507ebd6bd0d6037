"""Events on their way from clients into PostgreSQL.

Clients send events one at a time and want no answer. They are gathered here and written in batches:
one transaction keeps the events and lets the *recorder* write down what they tell. The buffer is
bounded and nothing is dropped from it: when it is full, `put` waits, so the reader of a socket
stops reading and the client feels it. While PostgreSQL is away the batch is tried again and again.

What a batch cannot be written with is found by halving the batch; that event is kept without being
recorded, or, if PostgreSQL cannot keep it at all, is logged and left out.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import asyncpg
import structlog

from app.wire.base import utc_now
from app.wire.events import Event, ReceivedEvent
from storage.errors import Busy, Conflict, StorageError, Unavailable
from storage.postgres.events import insert_events
from storage.postgres.pool import Conn, Pool, connection, transaction

Recorder: TypeAlias = Callable[[Conn, Sequence[ReceivedEvent]], Awaitable[None]]
Hearer: TypeAlias = Callable[[Event], None]

CHANNEL = "event"
# Room for a burst of a few seconds; a full buffer of large events stays below 64 MiB.
MAX_EVENTS = 20_000
MAX_BYTES = 64 * 1024**2
# A larger batch holds its row locks longer and gains nothing: at 500 the commit is a small part.
BATCH_EVENTS = 500
# A lone event waits this long for company, which makes one commit of many. It is also how much can
# be lost when the process is killed, since clients of the socket do not wait for an answer.
LINGER_SECONDS = 0.01
# What other code has committed is announced at once, since agents act on it; the next of it not sooner
# than this, or a busy server would notify for nearly every state change.
ANNOUNCE_EVERY_SECONDS = 0.05
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
CONFLICT_TRIES = 3
CLOSE_SECONDS = 10.0
# A notification holds at most 8,000 bytes; an id and its comma are 33.
IDS_PER_NOTIFICATION = 240

# Nothing is written, so nobody needs to wait for the disk.
_ANNOUNCE = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

_log = structlog.get_logger("tailrace.events")


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: ReceivedEvent
    size: int
    written: "asyncio.Future[None] | None" = None


class EventBuffer:
    """This process's events that are not in PostgreSQL yet, and the task that writes them."""

    def __init__(self, pool: Pool, record: Recorder, hear: Hearer | None) -> None:
        self._pool = pool
        self._hear = hear
        self._record = record
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._announced: list[uuid.UUID] = []
        self._work = asyncio.Event()
        self._room = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, pool: Pool, record: Recorder, hear: Hearer | None = None
    ) -> AsyncIterator["EventBuffer"]:
        """Write until the block ends; then write what is left, for ten seconds at most. `hear` is
        told of each event as it comes."""
        buffer = cls(pool, record, hear)
        task = asyncio.create_task(buffer._run(), name="event buffer")
        try:
            yield buffer
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    while buffer._waiting:
                        buffer._room.clear()
                        await buffer._room.wait()
            if buffer._waiting:
                _log.error("events lost at shutdown", events=len(buffer._waiting))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def put(self, event: Event, size: int) -> None:
        """Take over an event of `size` bytes. Waits, without limit, while the buffer is full."""
        if self._hear is not None:
            self._hear(event)
        await self._admit(size)
        self._append(_Waiting(received(event), size))

    async def write(self, events: Sequence[Event], size: int, *, within: float) -> None:
        """Take over events of `size` bytes altogether and wait until they are committed.

        Raises:
            Busy: there was no room, or no commit, for `within` seconds; they may still be written.
        """
        written: list[asyncio.Future[None]] = []
        try:
            async with asyncio.timeout(within):
                for event in events:
                    if self._hear is not None:
                        self._hear(event)
                    share = size // len(events)
                    await self._admit(share)
                    done = asyncio.get_running_loop().create_future()
                    written.append(done)
                    self._append(_Waiting(received(event), share, done))
                await asyncio.gather(*written)
        except TimeoutError as error:
            raise Busy("events wait for PostgreSQL", retry_after=5) from error

    def announce(self, event_ids: Iterable[uuid.UUID]) -> None:
        """Tell followers in every process of events that others have committed."""
        self._announced.extend(event_ids)
        self._work.set()

    async def _admit(self, size: int) -> None:
        while self._waiting and (
            len(self._waiting) >= MAX_EVENTS or self._bytes + size > MAX_BYTES
        ):
            self._room.clear()
            await self._room.wait()

    def _append(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._bytes += waiting.size
        self._work.set()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        announce_at = clock()
        while True:
            await self._work.wait()
            if len(self._waiting) < BATCH_EVENTS:
                quiet = max(0.0, announce_at - clock())
                await asyncio.sleep(LINGER_SECONDS if self._waiting else quiet)
            # Stays in the queue while it is written: the bound counts it, and closing waits for it.
            batch = list(islice(self._waiting, BATCH_EVENTS))
            if batch:
                await self._store(batch)
            for waiting in batch:
                self._waiting.popleft()
                self._bytes -= waiting.size
                if waiting.written is not None and not waiting.written.done():
                    waiting.written.set_result(None)
            self._room.set()
            announced = self._announced.copy()
            self._announced.clear()
            await self._notify(announced)
            announce_at = clock() + ANNOUNCE_EVERY_SECONDS
            if not self._waiting and not self._announced:
                self._work.clear()

    async def _store(self, batch: list[_Waiting]) -> None:
        events = [waiting.event for waiting in batch]
        try:
            self._announced.extend(await self._written(events, self._record))
        except Exception as error:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._store(batch[:half])
                await self._store(batch[half:])
            else:
                await self._store_unrecorded(events[0], error)

    async def _store_unrecorded(self, event: ReceivedEvent, reason: Exception) -> None:
        _log.error(
            "event not recorded", event_id=str(event.id), event_name=event.event, exc_info=reason
        )
        try:
            self._announced.extend(await self._written([event], None))
        except StorageError as error:
            _log.error("event lost", event_id=str(event.id), error=str(error))

    async def _written(
        self, events: Sequence[ReceivedEvent], record: Recorder | None
    ) -> set[uuid.UUID]:
        """Write the events, however long that takes; gives the ids of those that are new. What it
        raises is the fault of one of the events."""
        away = conflicts = 0
        while True:
            try:
                async with transaction(self._pool) as conn:
                    new = await insert_events(conn, events)
                    if record is not None:
                        await record(conn, events)
                    return new
            # Among the errors that are none of ours: a server that has become read-only.
            except (Unavailable, Busy, asyncpg.PostgresError) as error:
                delay = RETRY_SECONDS[min(away, len(RETRY_SECONDS) - 1)]
                _log.warning("events wait", events=len(events), error=str(error), retry_in=delay)
                away += 1
                await asyncio.sleep(delay)
            except Conflict:
                conflicts += 1
                if conflicts == CONFLICT_TRIES:
                    raise

    async def _notify(self, event_ids: list[uuid.UUID]) -> None:
        if not event_ids:
            return
        try:
            async with connection(self._pool) as conn:
                for start in range(0, len(event_ids), IDS_PER_NOTIFICATION):
                    ids = event_ids[start : start + IDS_PER_NOTIFICATION]
                    payload = ",".join(event_id.hex for event_id in ids)
                    await conn.execute(_ANNOUNCE, CHANNEL, payload)
        except StorageError as error:
            # The events are kept; followers find them when they next look for what they missed.
            _log.warning("events not announced", events=len(event_ids), error=str(error))


def received(event: Event) -> ReceivedEvent:
    """The event, received now."""
    return ReceivedEvent(
        id=event.id,
        occurred=event.occurred,
        event=event.event,
        resource=event.resource,
        related=event.related,
        payload=event.payload,
        follows=event.follows,
        received=utc_now(),
    )
