"""LISTEN/NOTIFY: processes wake one another.

A notification is a hint, never the only copy of a fact: after a lost connection subscribers get
one None ("something may have been missed") and look for themselves.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from storage.errors import StorageError
from storage.postgres.pool import connect, driver_errors

RECONNECT_SECONDS = 1.0
# A connection that went silent (its server or a NAT between gone) is noticed by asking it.
PING_SECONDS = 30.0
COMMAND_SECONDS = 10.0
# A subscriber that lags further than this is told None instead of each notification.
QUEUE_SIZE = 1024


class Listener:
    """One connection of a process that listens, reconnects and hands out payloads."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._queues: dict[str, set[asyncio.Queue[str | None]]] = {}
        self._conn: asyncpg.Connection[asyncpg.Record] | None = None
        self._lost = asyncio.Event()
        # The connection does one thing at a time.
        self._commands = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator["Listener"]:
        """Connect and keep connected until the block ends."""
        listener = cls(dsn)
        await listener._connect()
        task = asyncio.create_task(listener._stay_connected(), name="listener")
        try:
            yield listener
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if listener._conn is not None and not listener._conn.is_closed():
                await listener._conn.close(timeout=5)

    @contextlib.asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator["asyncio.Queue[str | None]"]:
        """Payloads of `channel` from now on; None means that some may have been missed."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_SIZE)
        queues = self._queues.setdefault(channel, set())
        queues.add(queue)
        try:
            # Also when others were here first: the first may have been cancelled before it listened.
            await self._follow_queues(channel)
            yield queue
        finally:
            queues.discard(queue)
            if not queues and self._queues.get(channel) is queues:
                del self._queues[channel]
                await self._follow_queues(channel)

    async def _follow_queues(self, channel: str) -> None:
        """Listen to the channel if and only if somebody waits for it."""
        async with self._commands:
            conn = self._conn
            if conn is None or conn.is_closed():
                return
            # A connection that is lost meanwhile is replaced by one that listens to all that is
            # wanted then.
            with contextlib.suppress(StorageError):
                async with _command(conn):
                    if channel in self._queues:
                        await conn.add_listener(channel, self._received)
                    else:
                        await conn.remove_listener(channel, self._received)

    async def _connect(self) -> None:
        async with self._commands:
            conn = await connect(self._dsn)
            self._lost.clear()
            conn.add_termination_listener(lambda _: self._lost.set())
            self._conn = conn
            async with _command(conn):
                for channel in list(self._queues):
                    await conn.add_listener(channel, self._received)

    async def _stay_connected(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await self._lost.wait()
            try:
                if not self._lost.is_set():
                    await self._ping()
                    continue
                await self._connect()
            except StorageError:
                self._lost.set()
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            for queues in self._queues.values():
                for queue in queues:
                    _offer(queue, None)

    async def _ping(self) -> None:
        async with self._commands:
            if self._conn is not None:
                async with _command(self._conn):
                    await self._conn.execute("SELECT 1")

    def _received(self, _conn: object, _pid: int, channel: str, payload: object) -> None:
        for queue in self._queues.get(channel, ()):
            _offer(queue, str(payload))


@contextlib.asynccontextmanager
async def _command(conn: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Time for a command or a few; a connection that does not do them in time is ended."""
    try:
        with driver_errors():
            async with asyncio.timeout(COMMAND_SECONDS):
                yield
    except StorageError:
        conn.terminate()
        raise


def _offer(queue: "asyncio.Queue[str | None]", payload: str | None) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        payload = None
    queue.put_nowait(payload)
