"""LISTEN/NOTIFY: everybody who waits is told, whatever happens to the connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from storage.postgres import listen
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool


async def notify(pool: Pool, channel: str, payload: str) -> None:
    """Tell all processes something."""
    await pool.execute("SELECT pg_notify($1, $2)", channel, payload)


async def test_many_come_and_go_at_once(database_url: str, pool: Pool) -> None:
    async with Listener.open(database_url) as listener:

        async def come_and_go(channel: str) -> None:
            for _ in range(20):
                async with listener.subscribe(channel) as queue:
                    await notify(pool, channel, "x")
                    async with asyncio.timeout(5):
                        assert await queue.get() == "x"

        await asyncio.gather(*(come_and_go(f"channel_{number % 5}") for number in range(4)))


async def test_a_channel_that_somebody_still_waits_for_stays(database_url: str, pool: Pool) -> None:
    async with Listener.open(database_url) as listener, listener.subscribe("c") as first:
        async with listener.subscribe("c"):
            pass
        await notify(pool, "c", "still")
        async with asyncio.timeout(5):
            assert await first.get() == "still"


async def test_after_a_lost_connection_one_is_told_to_look(database_url: str, pool: Pool) -> None:
    async with Listener.open(database_url) as listener, listener.subscribe("c") as queue:
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND query LIKE 'LISTEN%'"
        )
        async with asyncio.timeout(10):
            assert await queue.get() is None
            await notify(pool, "c", "back")
            assert await queue.get() == "back"


class _Link:
    """A TCP connection's way to PostgreSQL, which can be cut without anybody being told."""

    def __init__(self) -> None:
        self.cut = False
        self._copying: set[asyncio.Task[None]] = set()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.cut:
                writer.write(data)
        writer.close()

    @contextlib.asynccontextmanager
    async def to(self, dsn: str) -> AsyncIterator[str]:
        """The same database, reached through this link."""
        there = urlsplit(dsn)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Only connections made before the cut are cut.
            link = self if not self.cut else _Link()
            up_reader, up_writer = await asyncio.open_connection(there.hostname, there.port)
            for pair in ((reader, up_writer), (up_reader, writer)):
                self._copying.add(asyncio.create_task(link._copy(*pair)))

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            user = there.netloc.rpartition("@")[0]
            yield urlunsplit(there._replace(netloc=f"{user}@127.0.0.1:{port}"))
            for task in self._copying:
                task.cancel()
            await asyncio.gather(*self._copying, return_exceptions=True)


async def test_a_connection_that_went_silent_is_replaced(
    database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "PING_SECONDS", 0.2)
    monkeypatch.setattr(listen, "COMMAND_SECONDS", 0.5)
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 0.1)
    link = _Link()
    async with (
        link.to(database_url) as url,
        Listener.open(url) as listener,
        listener.subscribe("c") as queue,
    ):
        link.cut = True
        async with asyncio.timeout(10):
            assert await queue.get() is None
            await notify(pool, "c", "back")
            assert await queue.get() == "back"


async def test_a_first_subscriber_that_gives_up_leaves_the_second_listening(
    database_url: str, pool: Pool
) -> None:
    async with Listener.open(database_url) as listener:

        async def hear() -> str | None:
            async with listener.subscribe("c") as queue:
                return await queue.get()

        first = asyncio.create_task(hear())
        await asyncio.sleep(0)
        second = asyncio.create_task(hear())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait((first,))
        await asyncio.sleep(0.2)
        await notify(pool, "c", "heard")
        async with asyncio.timeout(5):
            assert await second == "heard"
