"""The live tail: every committed batch, read once per process, handed to each follower.

Followers who want the same lines in the same form share a channel: filter and form cost once per batch.
All followers of a process have seen the same batches, `_seen`, which with each delivery says where to go
on. When notifications may have been missed, what came meanwhile is read from wherever it lies by now.

A follower's queue is bounded. One that does not keep up is told how many lines it missed, and where
they begin.
"""

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa
import structlog

from app.wire.base import NIL_UUID
from app.wire.logs import Log
from storage.errors import StorageError, Unavailable
from storage.logs import hot, manifest
from storage.logs.encode import decode_batch
from storage.logs.lines import first_seq, in_order, to_logs
from storage.logs.predicate import EVERYTHING, without
from storage.logs.reader import LogReader
from storage.logs.seen import NOTHING, Position, Seen
from storage.logs.settled import Mark, send_mark, settled
from storage.logs.streams import Wanted
from storage.postgres.listen import Listener
from storage.postgres.pool import Pool, connection

CHANNEL = "log_batch"
# Batches, and bytes of lines (decoded), that a follower may lag behind; one batch it may always.
QUEUE_BATCHES = 64
QUEUE_BYTES = 4 * 1024**2
# The bytes for which all followers together wait, each batch of a channel counted once.
WAITING_BYTES = 32 * 1024**2
# A database that does not answer is asked again after this long.
RETRY_SECONDS = 1.0
# How often it is found out which batches are settled, so that positions stay short.
SETTLE_SECONDS = 1.0
# A subscription is one round trip to PostgreSQL; a batch that another process has handed out comes soon.
JOIN_SECONDS = 30.0
# A follower that has nothing to read is told its position this often.
IDLE_SECONDS = 15.0
# Catching up goes on beside the live lines when it takes no longer than this.
SHORT_SECONDS = 1.0

T = TypeVar("T")
# Makes of lines, in order, and the position behind them what a follower is given. Runs in a thread.
Form = Callable[[list[Log], Position], T]

_log = structlog.get_logger("tailrace.logs")


@dataclass(eq=False, slots=True)
class Delivery(Generic[T]):
    """New lines, `rows` of them, `size` bytes decoded. `before` and `after` are positions."""

    formed: T
    rows: int
    size: int
    before: Position
    after: Position
    waiting_for: int = 0


@dataclass(frozen=True, slots=True)
class Lagged:
    """`rows` lines were left out because the follower was slow; they come after `before`, and what it is
    given next comes after `after`."""

    rows: int
    before: Position
    after: Position


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing new up to a position."""

    after: Position


class UnknownPosition(Exception):
    """A position that names batches which do not exist."""


class LogTail:
    """Hands new lines to followers; listens only while there are any."""

    def __init__(self, pool: Pool, listener: Listener, reader: LogReader) -> None:
        self._pool = pool
        self._listener = listener
        self._reader = reader
        self._channels: dict[tuple[object, object], _Channel] = {}
        self._waiting = _Waiting()
        self._followers: set[_Follower[Any]] = set()
        self._ended = False
        self._pump: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._seen = NOTHING
        # Replaced whenever `_seen` grows.
        self._moved = asyncio.Event()
        # Whether all followers have been handed what `_seen` says. Only then may one join.
        self._steady = asyncio.Event()
        self._unsettled = asyncio.Event()
        self._mark: Mark | None = None

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
            tail.end()
            tail._stop()
            if tail._stopping:
                await asyncio.wait(tail._stopping)

    def end(self) -> None:
        """Let every follower come to an end after what it has been handed."""
        self._ended = True
        self._end_followers()

    def _end_followers(self) -> None:
        for follower in self._followers:
            follower.ended = True
            follower.changed.set()

    @contextlib.asynccontextmanager
    async def follow(
        self,
        wanted: Wanted,
        form: Form[T],
        *,
        since: Position | None = None,
        backfill: int = 0,
    ) -> AsyncIterator[AsyncGenerator[Delivery[T] | Lagged | Idle, None]]:
        """Matching lines: what came after the position `since`, or else the newest `backfill` lines, and
        from then on each batch as it is committed; none missed and none twice. Ends when the tail does.

        Raises:
            UnknownPosition: `since` is of another installation.
            Unavailable: PostgreSQL does not answer. Later the iterator raises that, when something that
                it has to catch up with cannot be read.
        """
        follower: _Follower[T] = _Follower(self._waiting, ended=self._ended)
        self._followers.add(follower)
        self._start()
        try:
            await self._reached(since.whole if since else NOTHING)
            if since is None:
                await self._join(follower, wanted, form)
            async with contextlib.aclosing(
                self._deliveries(follower, wanted, form, since, backfill)
            ) as deliveries:
                yield deliveries
        finally:
            self._leave(follower)
            self._followers.discard(follower)
            if not self._followers:
                self._stop()

    async def _join(self, follower: "_Follower[T]", wanted: Wanted, form: Form[T]) -> None:
        async with _in_time():
            # Again: it may be catching up once more by the time that we are woken.
            while not self._steady.is_set():
                await self._steady.wait()
        # From here to the end nothing is awaited: from this position on it is handed everything.
        channel = self._channels.setdefault((wanted.key, form), _Channel(wanted, form))
        channel.followers.add(follower)
        follower.channel = channel
        follower.position = Position(self._seen)

    def _leave(self, follower: "_Follower[T]") -> None:
        channel = follower.channel
        if channel is not None:
            channel.followers.discard(follower)
            key = (channel.wanted.key, channel.form)
            if not channel.followers and self._channels.get(key) is channel:
                del self._channels[key]
        follower.forget()

    async def _reached(self, seen: Seen) -> None:
        """Wait until this process has seen all that another has handed out."""
        async with _in_time():
            await self._steady.wait()
            if self._seen.holds_all_of(seen):
                return
            async with connection(self._pool) as conn:
                if seen.newest > await hot.newest_batch(conn):
                    raise UnknownPosition("no line is that new")
            while not self._seen.holds_all_of(seen):
                self._unsettled.set()
                await self._moved.wait()

    async def _deliveries(
        self,
        follower: "_Follower[T]",
        wanted: Wanted,
        form: Form[T],
        since: Position | None,
        backfill: int,
    ) -> AsyncGenerator[Delivery[T] | Lagged | Idle, None]:
        if since is not None:
            async with contextlib.aclosing(self._caught_up(follower, wanted, form, since)) as parts:
                async for delivery in parts:
                    yield delivery
        elif backfill:
            start = follower.position
            lines = await self._reader.newest(wanted, start.seen, backfill)
            if lines.num_rows:
                formed = await _formed(form, lines, start)
                yield Delivery(formed, lines.num_rows, lines.nbytes, Position(NOTHING), start)
        yield Idle(follower.position)
        while not follower.ended or follower.has_more:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    while not follower.has_more and not follower.ended:
                        follower.changed.clear()
                        await follower.changed.wait()
            if follower.has_more:
                yield follower.take()
            elif not follower.ended:
                # The same place said shorter, when it is certain to be the same.
                yield Idle(Position(self._seen) if self._steady.is_set() else follower.position)

    async def _caught_up(
        self, follower: "_Follower[T]", wanted: Wanted, form: Form[T], since: Position
    ) -> AsyncGenerator[Delivery[T], None]:
        """What came since; at the end the follower has joined. Its queue does not fill while it still
        reads what came hours ago."""
        position = since
        while not follower.ended:
            began = time.monotonic()
            joins = follower.channel is not None
            target = follower.position.seen if joins else self._seen
            async with contextlib.aclosing(
                self._reader.streams.catch_up(wanted, position, target)
            ) as parts:
                async for lines, after in parts:
                    formed = await _formed(form, lines, after)
                    yield Delivery(formed, lines.num_rows, lines.nbytes, position, after)
                    position = after
                    if follower.ended:
                        return
            position = Position(target)
            if joins:
                return
            if time.monotonic() - began < SHORT_SECONDS:
                await self._join(follower, wanted, form)

    def _start(self) -> None:
        if self._pump is None or self._pump.done():
            self._steady = asyncio.Event()
            self._pump = asyncio.create_task(self._run(), name="log-tail")

    async def _run(self) -> None:
        try:
            async with self._listener.subscribe(CHANNEL) as announcements:
                await self._begin()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._settle(), name="log-tail settle")
                    await self._pump_on(announcements)
        except Exception:
            # Followers come again from where they were, and begin with a new pump.
            _log.exception("live log lines have ended")
            self._end_followers()

    async def _begin(self) -> None:
        """See where to begin; waits for a database that is away."""
        while True:
            try:
                self._moved_to(await settled(self._pool))
            except StorageError as error:
                _log.warning("live log lines cannot be followed yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._steady.set()
                return

    async def _pump_on(self, announcements: "asyncio.Queue[str | None]") -> None:
        while True:
            announced: str | None = None
            if self._steady.is_set():
                announced = await announcements.get()
            else:
                await asyncio.sleep(RETRY_SECONDS)
            try:
                if announced is None:
                    await self._catch_up()
                elif announced.isdecimal():
                    await self._hand_out(int(announced))
                elif self._mark is not None and announced == self._mark.text:
                    self._moved_to(self._seen.settle(self._mark.seen.settled, self._mark.seen.at))
            except StorageError as error:
                self._steady.clear()
                _log.warning("live log lines are late", error=str(error))

    def _moved_to(self, seen: Seen) -> None:
        self._seen = seen
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        if seen.beyond:
            self._unsettled.set()

    async def _settle(self) -> None:
        """Find out which batches are settled; the pump takes note when it has handed them out."""
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            try:
                seen = await settled(self._pool)
                self._mark = Mark(f"settled {uuid.uuid4()}", seen)
                await send_mark(self._pool, self._mark)
            except StorageError as error:
                self._unsettled.set()
                _log.warning("settled batches are not known", error=str(error))
            await asyncio.sleep(SETTLE_SECONDS)

    async def _catch_up(self) -> None:
        """Hand out what nobody may have announced, from wherever it lies."""
        self._steady.clear()
        target = await settled(self._pool)
        # Nobody joins meanwhile. One that comes to nothing is tried again from where it stopped.
        for channel in list(self._channels.values()):
            position = channel.late_from or Position(self._seen)
            channel.late_from = position
            async with contextlib.aclosing(
                self._reader.streams.catch_up(channel.wanted, position, target)
            ) as parts:
                async for lines, after in parts:
                    if not channel.followers:
                        break
                    channel.offer(await channel.formed(lines, position, after))
                    position = channel.late_from = after
            channel.late_from = Position(target)
        for channel in self._channels.values():
            channel.late_from = None
            channel.moved_to(Position(target))
        self._moved_to(target)
        self._steady.set()

    async def _hand_out(self, batch_id: int) -> None:
        if self._seen.holds(batch_id):
            return
        async with connection(self._pool) as conn:
            payloads = await hot.batch_payloads(conn, [batch_id])
            deleted = await manifest.deleted_of_batch(conn, batch_id)
        if batch_id not in payloads:
            # It is in a segment by now.
            await self._catch_up()
            return
        lines = await asyncio.to_thread(decode_batch, payloads[batch_id], first_seq(batch_id))
        if deleted.runs or deleted.tasks:
            hidden = without(EVERYTHING, deleted.runs, deleted.tasks)
            lines = await self._reader.matching(lines, hidden)
        runs = _runs_of(lines)
        before, after = Position(self._seen), Position(self._seen.with_batch(batch_id))
        made: dict[_Channel, Delivery[object] | Lagged | None] = {}
        # Others may join on the way; they have not seen this batch either.
        while missing := [each for each in self._channels.values() if each not in made]:
            for channel in missing:
                made[channel] = await self._made(channel, lines, runs, before, after)
        # From here on nothing is awaited.
        self._moved_to(after.seen)
        for channel, delivery in made.items():
            channel.offer(delivery)
            channel.moved_to(after)

    async def _made(
        self,
        channel: "_Channel",
        lines: pa.Table,
        runs: set[uuid.UUID],
        before: Position,
        after: Position,
    ) -> Delivery[object] | Lagged | None:
        wanted = channel.wanted.runs
        if wanted is not None and runs.isdisjoint(wanted):
            return None
        try:
            matching = await self._reader.matching(lines, channel.wanted.predicate)
        except StorageError as error:
            _log.warning("a filter of live log lines failed", error=str(error))
            return Lagged(lines.num_rows, before, after)
        if not matching.num_rows:
            return None
        return await channel.formed(in_order(matching), before, after)

    def _stop(self) -> None:
        """Stop listening; who comes meanwhile starts another pump."""
        pump, self._pump = self._pump, None
        if pump is not None and not pump.done():
            pump.cancel()
            self._stopping.add(pump)
            pump.add_done_callback(self._stopping.discard)


class _Channel:
    """Followers who want the same lines in the same form."""

    def __init__(self, wanted: Wanted, form: Form[object]) -> None:
        self.wanted = wanted
        self.form = form
        self.followers: set[_Follower[Any]] = set()
        # How far catching up has come, while it is under way.
        self.late_from: Position | None = None

    async def formed(self, lines: pa.Table, before: Position, after: Position) -> Delivery[object]:
        """Lines in the form of the channel."""
        formed = await _formed(self.form, lines, after)
        return Delivery(formed, lines.num_rows, lines.nbytes, before, after)

    def offer(self, delivery: "Delivery[object] | Lagged | None") -> None:
        """Hand something to each follower that has room for it."""
        if delivery is not None:
            for follower in self.followers:
                follower.offer(delivery)

    def moved_to(self, position: Position) -> None:
        """Note that there is nothing more up to a position."""
        for follower in self.followers:
            follower.position = position


@dataclass(slots=True)
class _Waiting:
    """What waits for followers, each delivery counted once."""

    bytes: int = 0

    def add(self, delivery: Delivery[T], *, in_any_case: bool) -> bool:
        """Count it, unless there is no room."""
        if delivery.waiting_for == 0:
            if not in_any_case and self.bytes + delivery.size > WAITING_BYTES:
                return False
            self.bytes += delivery.size
        delivery.waiting_for += 1
        return True

    def remove(self, delivery: Delivery[T]) -> None:
        """The other way round."""
        delivery.waiting_for -= 1
        if delivery.waiting_for == 0:
            self.bytes -= delivery.size


class _Follower(Generic[T]):
    """One that waits for lines, and what waits for it."""

    def __init__(self, waiting: _Waiting, *, ended: bool) -> None:
        self.ended = ended
        self.changed = asyncio.Event()
        self.channel: _Channel | None = None
        # Behind everything that was offered.
        self.position = Position(NOTHING)
        self._waiting = waiting
        self._queue: deque[Delivery[T]] = deque()
        self._bytes = 0
        self._missed: Lagged | None = None

    @property
    def has_more(self) -> bool:
        """Whether `take` gives something."""
        return bool(self._queue) or self._missed is not None

    def offer(self, offered: Delivery[T] | Lagged) -> None:
        """Keep it, or note that it was missed."""
        if not isinstance(offered, Delivery) or not self._has_room_for(offered):
            missed = self._missed or Lagged(0, offered.before, offered.after)
            self._missed = Lagged(missed.rows + offered.rows, missed.before, offered.after)
        else:
            self._queue.append(offered)
            self._bytes += offered.size
        self.changed.set()

    def _has_room_for(self, delivery: Delivery[T]) -> bool:
        # Whoever missed something is told first.
        if self._missed is not None or len(self._queue) == QUEUE_BATCHES:
            return False
        if self._queue and self._bytes + delivery.size > QUEUE_BYTES:
            return False
        # One that keeps up does not suffer from those that do not.
        return self._waiting.add(delivery, in_any_case=not self._queue)

    def take(self) -> Delivery[T] | Lagged:
        """The next thing."""
        if self._queue:
            delivery = self._queue.popleft()
            self._bytes -= delivery.size
            self._waiting.remove(delivery)
            return delivery
        missed, self._missed = self._missed, None
        if missed is None:
            raise LookupError("nothing waits")
        return missed

    def forget(self) -> None:
        """Let go of what waits."""
        while self._queue:
            self._waiting.remove(self._queue.popleft())


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(JOIN_SECONDS):
            yield
    except TimeoutError:
        raise Unavailable("postgres", "live log lines cannot be followed now") from None


async def _formed(form: Form[T], lines: pa.Table, position: Position) -> T:
    return await asyncio.to_thread(lambda: form(to_logs(lines), position))


def _runs_of(lines: pa.Table) -> set[uuid.UUID]:
    if not lines.num_rows:
        return set()
    ids = lines.column("flow_run_id").unique().to_pylist()
    return {NIL_UUID if each is None else uuid.UUID(bytes=each) for each in ids}
