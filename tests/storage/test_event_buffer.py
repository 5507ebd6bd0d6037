"""The event buffer: bounded, never dropping, and not stopped by one bad event."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec
import pytest

from app.wire.base import new_id, utc_now
from app.wire.events import Event, ReceivedEvent
from storage.errors import Busy
from storage.postgres import event_buffer
from storage.postgres.event_buffer import CHANNEL, EventBuffer
from storage.postgres.listen import Listener
from storage.postgres.pool import Conn, Pool, connection

Eventually = Callable[..., Awaitable[None]]


def event(name: str = "e", payload: bytes = b"{}") -> Event:
    """An event about nothing."""
    return Event(
        id=new_id(),
        occurred=utc_now(),
        event=name,
        resource={"prefect.resource.id": "r"},
        payload=msgspec.Raw(payload),
    )


async def nothing(conn: Conn, events: Sequence[ReceivedEvent]) -> None:
    """A recorder that writes nothing down."""


async def count(pool: Pool) -> int:
    """How many events are kept."""
    async with connection(pool) as conn:
        kept: int = await conn.fetchval("SELECT count(*) FROM event")
    return kept


async def test_what_was_taken_over_is_written_before_the_end(pool: Pool) -> None:
    async with EventBuffer.open(pool, nothing) as buffer:
        for _ in range(1200):
            await buffer.put(event(), 100)
    assert await count(pool) == 1200


async def test_a_full_buffer_makes_its_writers_wait(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_buffer, "MAX_EVENTS", 10)
    release = asyncio.Event()

    async def slow(conn: Conn, events: Sequence[ReceivedEvent]) -> None:
        await release.wait()

    async with EventBuffer.open(pool, slow) as buffer:
        async with asyncio.timeout(5):
            for _ in range(10):
                await buffer.put(event(), 1)
        more = asyncio.create_task(buffer.put(event(), 1))
        await asyncio.sleep(0.1)
        assert not more.done()
        with pytest.raises(Busy):
            await buffer.write([event()], 1, within=0.1)
        release.set()
        async with asyncio.timeout(5):
            await more
    assert await count(pool) == 11


async def test_a_writer_that_waits_knows_that_it_is_kept(pool: Pool) -> None:
    async with EventBuffer.open(pool, nothing) as buffer:
        await buffer.write([event() for _ in range(700)], 7000, within=10)
        assert await count(pool) == 700


async def test_one_bad_event_costs_no_other(pool: Pool) -> None:
    recorded: list[str] = []

    async def picky(conn: Conn, events: Sequence[ReceivedEvent]) -> None:
        if any(event.event == "odd" for event in events):
            raise ValueError("cannot be recorded")
        recorded.extend(event.event for event in events)

    good = [event(f"good {number}") for number in range(20)]
    # The first cannot be recorded; the second PostgreSQL itself cannot keep.
    bad = [event("odd"), event("impossible", b'{"a":1e200000}')]
    async with EventBuffer.open(pool, picky) as buffer:
        for item in [*good[:7], bad[0], *good[7:15], bad[1], *good[15:]]:
            await buffer.put(item, 10)
    assert await count(pool) == 21
    assert sorted(recorded) == sorted(item.event for item in good)


@pytest.mark.parametrize(
    "trouble",
    [Busy("not now", retry_after=0.1), asyncpg.ReadOnlySQLTransactionError("not here any more")],
    ids=["busy", "read-only"],
)
async def test_events_wait_while_the_database_is_away(
    pool: Pool, eventually: Eventually, trouble: Exception
) -> None:
    away = True

    async def failing(conn: Conn, events: Sequence[ReceivedEvent]) -> None:
        if away:
            raise trouble

    async with EventBuffer.open(pool, failing) as buffer:
        await buffer.put(event(), 10)
        await asyncio.sleep(0.3)
        assert await count(pool) == 0
        away = False

        async def written() -> bool:
            return await count(pool) == 1

        await eventually(written)


async def announced(queue: "asyncio.Queue[str | None]") -> set[str]:
    """The ids of the next announcement."""
    async with asyncio.timeout(30):
        payload = await queue.get()
    assert payload is not None
    return set(payload.split(","))


async def test_what_others_committed_is_announced_at_once_and_then_together(
    pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (new_id() for _ in range(3))
    async with (
        Listener.open(database_url) as listener,
        listener.subscribe(CHANNEL) as queue,
    ):
        monkeypatch.setattr(event_buffer, "ANNOUNCE_EVERY_SECONDS", 3600.0)
        async with EventBuffer.open(pool, nothing) as buffer:
            buffer.announce([first])
            assert await announced(queue) == {first.hex}

        monkeypatch.setattr(event_buffer, "ANNOUNCE_EVERY_SECONDS", 2.0)
        async with EventBuffer.open(pool, nothing) as buffer:
            buffer.announce([first])
            assert await announced(queue) == {first.hex}
            buffer.announce([second])
            await asyncio.sleep(0.1)
            buffer.announce([third])
            assert await announced(queue) == {second.hex, third.hex}
