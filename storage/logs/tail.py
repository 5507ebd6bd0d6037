"""The live tail: every committed batch, read once per process, handed to each follower.

A follower's queue is bounded; one that does not keep up misses lines (as in the reference, whose
queue holds 256), and is told nothing: it has the pages for what it missed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pyarrow as pa

from app.wire.logs import Log, LogFilter
from storage.errors import StorageError
from storage.logs import hot
from storage.logs.encode import decode_batch
from storage.logs.lines import first_seq, to_logs
from storage.logs.reader import LogReader
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool, connection

CHANNEL = "log_batch"
# Batches a follower may lag behind.
QUEUE_BATCHES = 64
# A subscription is one round trip to PostgreSQL.
LISTEN_SECONDS = 30.0


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
        async with self._listener.subscribe(CHANNEL) as batch_ids:
            listening.set()
            while True:
                batch_id = await batch_ids.get()
                if batch_id is None:
                    continue
                # ValueError: somebody else uses the channel for something else.
                with contextlib.suppress(StorageError, ValueError):
                    await self._hand_out(int(batch_id))

    async def _hand_out(self, batch_id: int) -> None:
        async with connection(self._pool) as conn:
            payloads = await hot.batch_payloads(conn, [batch_id])
        for payload in payloads.values():
            lines = await asyncio.to_thread(decode_batch, payload, first_seq(batch_id))
            for queue in self._followers:
                if not queue.full():
                    queue.put_nowait(lines)

    async def _stop(self) -> None:
        # Let go of it first: who comes while it ends starts another.
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait((pump,))
