"""A follower that breaks off and comes again misses nothing and gets nothing twice, in whatever order
batches take their ids and are committed."""

import asyncio
import contextlib
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.services import Services
from app.wire.base import new_id
from storage.logs import hot, streams, tail
from storage.logs.encode import encode_batch
from storage.logs.offload import offload_pass
from storage.logs.seen import NOTHING, Arrivals, Position, Seen, parse_position
from storage.logs.settled import settled
from storage.logs.streams import Wanted
from storage.logs.tail import Delivery, Idle, Lagged
from storage.postgres.pool import connection
from tests.storage.test_log_tail import EVERYTHING, texts
from tests.storage.test_log_tier import line, of_run

ids = st.integers(1, 30)


@st.composite
def some_seen(draw: st.DrawFn) -> Seen:
    seen = Seen(draw(st.integers(0, 15)), 7)
    for batch_id in draw(st.lists(ids, max_size=8)):
        seen = seen.with_batch(batch_id)
    return seen


@given(some_seen(), some_seen())
def test_sets_of_batches_are_sets(one: Seen, other: Seen) -> None:
    def members(seen: Seen) -> set[int]:
        return {batch_id for batch_id in range(1, 40) if seen.holds(batch_id)}

    assert one.holds_all_of(other) == (members(other) <= members(one))
    assert parse_position(str(Position(one))) == Position(one)
    arrived = Arrivals(one, other)
    came = members(other) - members(one)
    for batch_id in range(1, 40):
        assert arrived.may_have(batch_id << 20, (batch_id << 20) + 5) == (batch_id in came)
    assert members(one.settle(20, 9)) == members(one) | set(range(1, 21))


step = st.sampled_from(["begin", "begin", "commit", "commit", "give up", "follow", "offload"])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(step, min_size=4, max_size=14), st.randoms(use_true_random=False))
async def test_a_follower_that_comes_again_has_each_line_once(
    services: Services, monkeypatch: pytest.MonkeyPatch, steps: list[str], random: object
) -> None:
    monkeypatch.setattr(tail, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(tail, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(streams, "STREAM_ROWS", 2)
    run = new_id()
    flushes = _Flushes(services, run)
    given_lines: list[str] = []
    position: Position | None = None
    async with contextlib.AsyncExitStack() as stack:
        # Somebody follows all the time, so that others may come while flushes are under way.
        await stack.enter_async_context(services.tail.follow(EVERYTHING, texts))
        stack.push_async_callback(flushes.give_up_all)
        position = await _follow(services, run, None, given_lines)
        for number, kind in enumerate(steps):
            match kind:
                case "begin" if len(flushes.open) < 4:
                    await flushes.begin(number)
                case "commit" | "give up" if flushes.open:
                    chosen = random.choice(sorted(flushes.open))  # pyrefly: ignore
                    await flushes.end(chosen, commit=kind == "commit")
                case "follow":
                    position = await _follow(services, run, position, given_lines)
                case "offload":
                    await offload_pass(services.pool, services.objects, force=True)
                case _:
                    pass
        await flushes.give_up_all()
        async with asyncio.timeout(20):
            # What was committed a moment ago is not announced yet.
            while len(given_lines) < len(flushes.committed) or position.place is not None:
                await asyncio.sleep(0.01)
                position = await _follow(services, run, position, given_lines)
        await _follow(services, run, position, given_lines)
    assert sorted(given_lines) == sorted(flushes.committed)


class _Flushes:
    """Flushes that are under way, each in a transaction of its own that has taken its batch's id."""

    def __init__(self, services: Services, run: uuid.UUID) -> None:
        self._services = services
        self._run = run
        self.open: dict[int, tuple[contextlib.AsyncExitStack, object]] = {}
        self.committed: list[str] = []

    async def begin(self, number: int) -> None:
        stack = contextlib.AsyncExitStack()
        conn = await stack.enter_async_context(connection(self._services.pool))
        transaction = conn.transaction()
        await transaction.start()
        lines = [line(number, run=self._run, message=f"{number} {row}") for row in range(3)]
        await hot.store_batch(conn, encode_batch(lines), [uuid.uuid4().bytes])
        self.open[number] = (stack, transaction)

    async def end(self, number: int, *, commit: bool) -> None:
        stack, transaction = self.open.pop(number)
        async with stack:
            await (transaction.commit() if commit else transaction.rollback())  # pyrefly: ignore
        if commit:
            self.committed += [f"{number} {row}" for row in range(3)]

    async def give_up_all(self) -> None:
        for number in list(self.open):
            await self.end(number, commit=False)


async def _follow(
    services: Services, run: uuid.UUID, since: Position | None, found: list[str]
) -> Position:
    """Follow until nothing is new; gives where to go on."""
    wanted = Wanted(log_filter=of_run(run))
    async with asyncio.timeout(20):
        async with services.tail.follow(wanted, texts, since=since) as deliveries:
            async for each in deliveries:
                if isinstance(each, Delivery):
                    found += each.formed
                    # Often it breaks off right here, in the middle of what it is being given.
                    if each.after.place is not None:
                        return parse_position(str(each.after))
                if isinstance(each, Idle):
                    return parse_position(str(each.after))
                assert not isinstance(each, Lagged)
    raise AssertionError("the tail ended")


async def test_a_follower_sees_what_is_committed_out_of_order_while_it_follows(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch with the lesser id is committed last, long after the greater ones are known."""
    monkeypatch.setattr(tail, "SETTLE_SECONDS", 0.01)
    run = new_id()
    flushes = _Flushes(services, run)
    async with services.tail.follow(EVERYTHING, texts) as deliveries:
        for number in range(3):
            await flushes.begin(number)
        seen: list[str] = []
        position = Position(NOTHING)
        for number in (2, 1, 0):
            await flushes.end(number, commit=True)
            async with asyncio.timeout(10):
                while len(seen) < 3 * (3 - number):
                    each = await anext(deliveries)
                    if isinstance(each, Delivery):
                        seen += each.formed
                        position = each.after
    assert seen == [f"{number} {row}" for number in (2, 1, 0) for row in range(3)]
    more: list[str] = []
    await _follow(services, run, parse_position(str(position)), more)
    assert more == []


async def test_a_batch_that_is_not_committed_yet_is_waited_for(services: Services) -> None:
    flushes = _Flushes(services, new_id())
    await flushes.begin(1)
    asked = asyncio.create_task(settled(services.pool))
    done, _ = await asyncio.wait((asked,), timeout=0.3)
    assert not done
    await flushes.end(1, commit=True)
    async with asyncio.timeout(10):
        seen = await asked
    assert seen.holds(seen.newest)
    lines = services.logs.streams.lines(EVERYTHING, Arrivals(NOTHING, seen))
    assert [table.num_rows async for table in lines] == [3]
