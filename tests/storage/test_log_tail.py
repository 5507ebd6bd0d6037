"""The live tail: who follows is handed what is committed from then on, whoever else comes and goes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import Log, LogFilter
from storage.errors import Unavailable
from storage.logs import hot, tail
from storage.logs.seen import Position, parse_position
from storage.logs.streams import Wanted
from storage.logs.tail import Delivery, Idle, Lagged
from storage.postgres import listen
from tests.storage.test_log_tier import line, of_run, offload_everything, post

EVERYTHING = Wanted(log_filter=LogFilter())


def texts(logs: list[Log], _: Position) -> list[str]:
    """What a follower of these tests is given."""
    return [log.message for log in logs]


async def _first_message(services: Services, following: asyncio.Event) -> str:
    async with services.tail.follow(EVERYTHING, texts) as deliveries:
        following.set()
        return (await messages(deliveries, 1))[0]


async def messages(
    deliveries: AsyncIterator[Delivery[list[str]] | Lagged | Idle], count: int
) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            each = await anext(deliveries)
            if isinstance(each, Delivery):
                found += each.formed
    return found


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


@pytest.mark.parametrize("offloaded", [False, True])
async def test_lines_of_the_time_without_a_connection_are_caught_up_with(
    services: Services, offloaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that went into a segment meanwhile."""
    monkeypatch.setattr(listen, "RECONNECT_SECONDS", 0.5)
    run = new_id()
    await post(services, line(0, run=run))
    async with services.tail.follow(EVERYTHING, texts) as deliveries:
        await post(services, line(1, run=run))
        assert await messages(deliveries, 1) == ["line 1"]
        await _break_the_listening_connection(services)
        for number in (2, 3):
            await post(services, line(number, run=run))
        if offloaded:
            await offload_everything(services)
        assert await messages(deliveries, 2) == ["line 2", "line 3"]
        # Neither is anything told twice, nor has it stopped listening.
        await post(services, line(4, run=run))
        assert await messages(deliveries, 1) == ["line 4"]


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

    async with services.tail.follow(EVERYTHING, texts) as deliveries:
        monkeypatch.setattr(hot, "batch_payloads", failing_at_first)
        await post(services, line(1, run=new_id()))
        assert await messages(deliveries, 1) == ["line 1"]


async def test_a_slow_follower_is_told_what_it_missed_and_where_it_is(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUEUE_BATCHES", 2)
    run = new_id()
    wanted = Wanted(log_filter=of_run(run))
    async with (
        services.tail.follow(wanted, texts) as slow,
        services.tail.follow(EVERYTHING, texts) as quick,
    ):
        for number in range(5):
            await post(services, line(number, run=run), line(number, run=new_id()))
            assert await messages(quick, 2) == [f"line {number}"] * 2
        assert await messages(slow, 2) == ["line 0", "line 1"]
        lagged = await anext(slow)
        assert isinstance(lagged, Lagged)
        assert lagged.rows == 3
        await post(services, line(5, run=run))
        assert await messages(slow, 1) == ["line 5"]
    async with services.tail.follow(wanted, texts, since=lagged.before) as again:
        assert await messages(again, 4) == ["line 2", "line 3", "line 4", "line 5"]
    async with services.tail.follow(wanted, texts, since=lagged.after) as again:
        assert await messages(again, 1) == ["line 5"]


async def test_what_waits_for_slow_followers_is_bounded_for_all_together(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "WAITING_BYTES", 100)
    run = new_id()
    async with (
        services.tail.follow(EVERYTHING, texts) as quick,
        services.tail.follow(Wanted(log_filter=of_run(run)), texts) as slow,
    ):
        for number in range(2):
            await post(services, line(number, run=run))
            assert await messages(quick, 1) == [f"line {number}"]
        assert await messages(slow, 1) == ["line 0"]
        assert isinstance(await anext(slow), Lagged)
    assert services.tail._waiting.bytes == 0


async def test_followers_of_the_same_lines_cost_one_reading(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    formed: list[int] = []

    def counted(logs: list[Log], _: Position) -> list[str]:
        formed.append(len(logs))
        return [log.message for log in logs]

    run = new_id()
    async with (
        services.tail.follow(Wanted(log_filter=of_run(run)), counted) as one,
        services.tail.follow(Wanted(log_filter=of_run(run)), counted) as other,
    ):
        await post(services, line(1, run=run), line(2, run=run))
        assert await messages(one, 2) == await messages(other, 2) == ["line 1", "line 2"]
    assert formed == [2]


async def test_a_position_is_short_again_once_batches_are_settled(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(tail, "IDLE_SECONDS", 0.05)
    async with services.tail.follow(EVERYTHING, texts) as deliveries:
        for _ in range(3):
            await post(services, line(1, run=new_id()))
        await messages(deliveries, 3)
        async with asyncio.timeout(10):
            while True:
                each = await anext(deliveries)
                assert isinstance(each, Idle)
                if not each.after.seen.beyond:
                    break
        assert parse_position(str(each.after)) == each.after
