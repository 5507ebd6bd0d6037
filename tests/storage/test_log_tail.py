"""The live tail: who follows is handed what is committed from then on, whoever else comes and goes."""

import asyncio

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import LogFilter
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
