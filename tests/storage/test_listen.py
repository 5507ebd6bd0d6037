"""LISTEN/NOTIFY: everybody who waits is told, whatever happens to the connection."""

import asyncio

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
