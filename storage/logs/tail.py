"""The live tail: every committed batch, read once per process, handed to each follower.

A follower's queue is bounded; one that does not keep up misses lines (as in the reference, whose
queue holds 256), and is told nothing: it has the pages for what it missed.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator

import pyarrow as pa
import structlog

from app.wire.logs import Log, LogFilter
from storage.errors import StorageError
from storage.logs import hot, manifest
from storage.logs.encode import decode_batch
from storage.logs.lines import first_seq, to_logs
from storage.logs.reader import LogReader
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool, connection

CHANNEL = "log_batch"
# Batches a follower may lag behind.
QUEUE_BATCHES = 64
# How many ids before the newest one a batch may be that is not committed yet.
OUT_OF_ORDER = 500
# A database that does not answer is asked again after this long.
RETRY_SECONDS = 1.0
# A subscription is one round trip to PostgreSQL.
LISTEN_SECONDS = 30.0

_log = structlog.get_logger("tailrace.logs")


class LogTail:
    """Hands new lines to followers; listens only while there are any."""

    def __init__(self, pool: Pool, listener: Listener, reader: LogReader) -> None:
        self._pool = pool
        self._listener = listener
        self._reader = reader
        self._followers: set[asyncio.Queue[pa.Table]] = set()
        self._pump: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, pool: Pool, listener: Listener, reader: LogReader
    ) -> AsyncIterator["LogTail"]:
        """A tail that stops listening when the block ends."""
        tail = cls(pool, listener, reader)
        try:
            yield tail
        finally:
            await tail._stop()

    @contextlib.asynccontextmanager
    async def follow(self, log_filter: LogFilter) -> AsyncIterator[AsyncIterator[list[Log]]]:
        """Matching lines committed from now on, a list per batch, never an empty one."""
        queue: asyncio.Queue[pa.Table] = asyncio.Queue(QUEUE_BATCHES)
        self._followers.add(queue)
        if self._pump is None or self._pump.done():
            self._listening = asyncio.Event()
            self._pump = asyncio.create_task(self._run(self._listening), name="log-tail")
        try:
            # Also for one that finds a pump which is not that far yet.
            async with asyncio.timeout(LISTEN_SECONDS):
                await self._listening.wait()
            yield self._lines(queue, log_filter)
        finally:
            self._followers.discard(queue)
            if not self._followers:
                await self._stop()

    async def _lines(
        self, queue: "asyncio.Queue[pa.Table]", log_filter: LogFilter
    ) -> AsyncIterator[list[Log]]:
        while True:
            matching = await self._reader.matching(await queue.get(), log_filter)
            if matching.num_rows:
                yield to_logs(matching)

    async def _run(self, listening: asyncio.Event) -> None:
        async with self._listener.subscribe(CHANNEL) as announcements:
            known = _KnownBatches(await self._newest_batch())
            listening.set()
            behind = False
            while True:
                announced: str | None = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_SECONDS if behind else None):
                        announced = await announcements.get()
                try:
                    if announced is None or behind:
                        await self._catch_up(known)
                        behind = False
                    else:
                        await self._hand_out(int(announced), known)
                except StorageError as error:
                    behind = True
                    _log.warning("live log lines are late", error=str(error))
                except ValueError:
                    # Somebody else uses the channel for something else.
                    continue

    async def _newest_batch(self) -> int:
        """The newest id that any batch has; waits for a database that is away."""
        while True:
            try:
                async with connection(self._pool) as conn:
                    return await hot.newest_batch(conn)
            except StorageError as error:
                _log.warning("live log lines cannot be followed yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self, known: "_KnownBatches") -> None:
        """Hand out what was committed while nobody listened. What went into a segment meanwhile,
        which takes 10 s, is not found."""
        async with connection(self._pool) as conn:
            batch_ids = await hot.batches_after(conn, known.since())
        for batch_id in batch_ids:
            await self._hand_out(batch_id, known)

    async def _hand_out(self, batch_id: int, known: "_KnownBatches") -> None:
        if batch_id in known:
            return
        async with connection(self._pool) as conn:
            payloads = await hot.batch_payloads(conn, [batch_id])
            deleted = await manifest.deleted_of_batch(conn, batch_id)
        known.add(batch_id)
        for payload in payloads.values():
            lines = await asyncio.to_thread(decode_batch, payload, first_seq(batch_id))
            if deleted.runs or deleted.tasks:
                lines = await self._reader.without_deleted(lines, deleted)
            for queue in self._followers:
                if not queue.full():
                    queue.put_nowait(lines)

    async def _stop(self) -> None:
        # Let go of it first: who comes while it ends starts another.
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait((pump,))


class _KnownBatches:
    """Batches handed out lately, all of them newer than `first`.

    Ids are given before the commit, so that a batch may be committed after ones with greater ids.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._newest = first
        self._ids: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, batch_id: int) -> bool:
        return batch_id in self._ids

    def add(self, batch_id: int) -> None:
        """Remember it."""
        self._ids[batch_id] = None
        self._newest = max(self._newest, batch_id)
        while len(self._ids) > 2 * OUT_OF_ORDER:
            self._ids.popitem(last=False)

    def since(self) -> int:
        """The batches that may be missing have greater ids."""
        return max(self._first, self._newest - OUT_OF_ORDER)
