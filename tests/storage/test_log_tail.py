"""The live tail: who follows is handed what is committed from then on, whoever else comes and goes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import Log, LogFilter
from storage.errors import Unavailable
from storage.logs import hot, tail
from storage.postgres import listen
from tests.storage.test_log_tier import line, post


async def _first_message(services: Services, following: asyncio.Event) -> str:
    async with services.tail.follow(LogFilter()) as batches:
        following.set()
        async for lines in batches:
            return lines[0].message
    raise AssertionError("the tail ended")


async def test_one_may_come_while_the_last_one_leaves(services: Services) -> None:
    """A page that is loaded anew closes one socket and opens the next at the same moment."""
    following = asyncio.Event()
    leaving = asyncio.create_task(_first_message(services, asyncio.Event()))
    await asyncio.sleep(0.1)
    leaving.cancel()
    # It lets go of its place, then waits until the channel is left.
    await asyncio.sleep(0)
    coming = asyncio.create_task(_first_message(services, following))
    async with asyncio.timeout(10):
        await following.wait()
        await asyncio.wait((leaving,))
        await post(services, line(7, run=new_id()))
        assert await coming == "line 7"


async def test_a_second_follower_waits_until_the_channel_is_heard(services: Services) -> None:
    ready = [asyncio.Event(), asyncio.Event()]
    followers = [asyncio.create_task(_first_message(services, event)) for event in ready]
    async with asyncio.timeout(10):
        await ready[1].wait()
        await post(services, line(3, run=new_id()))
        assert await asyncio.gather(*followers) == ["line 3", "line 3"]


async def test_a_follower_that_gives_up_at_once_leaves_nothing_behind(services: Services) -> None:
    follower = asyncio.create_task(_first_message(services, asyncio.Event()))
    await asyncio.sleep(0)
    follower.cancel()
    await asyncio.wait((follower,))
    assert services.tail._followers == set()
    assert services.tail._pump is None


async def _break_the_listening_connection(services: Services) -> None:
    await services.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND query LIKE 'LISTEN%'"
    )


async def _messages(batches: AsyncIterator[list[Log]], count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [log.message for log in await anext(batches)]
    return found


async def test_lines_of_the_time_without_a_connection_are_caught_up_with(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 0.5)
    run = new_id()
    await post(services, line(0, run=run))
    async with services.tail.follow(LogFilter()) as batches:
        await post(services, line(1, run=run))
        assert await _messages(batches, 1) == ["line 1"]
        await _break_the_listening_connection(services)
        for number in (2, 3):
            await post(services, line(number, run=run))
        assert await _messages(batches, 2) == ["line 2", "line 3"]
        # Neither is anything told twice, nor has it stopped listening.
        await post(services, line(4, run=run))
        assert await _messages(batches, 1) == ["line 4"]


async def test_a_batch_that_cannot_be_read_now_is_read_later(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RETRY_SECONDS", 0.1)
    whole = hot.batch_payloads
    failures = iter((True, True))

    async def failing_at_first(conn: object, ids: list[int]) -> dict[int, bytes]:
        if next(failures, False):
            raise Unavailable("postgres", "it restarts")
        return await whole(conn, ids)  # pyrefly: ignore[bad-argument-type]

    async with services.tail.follow(LogFilter()) as batches:
        monkeypatch.setattr(hot, "batch_payloads", failing_at_first)
        await post(services, line(1, run=new_id()))
        assert await _messages(batches, 1) == ["line 1"]
