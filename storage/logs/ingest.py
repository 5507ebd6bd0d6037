"""The ingest buffer: many concurrent `POST /logs/` bodies become one row and one commit.

`append` returns when the lines are durable in PostgreSQL, and only then. A flush takes whatever
waits; while its commit is under way the next one fills, so the database sees a few statements a
second however many requests arrive. A body seen within the last 10 minutes (a client's retry whose
answer was lost) is acknowledged without being stored again.
"""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from app.wire.logs import LogCreate
from storage.errors import Busy
from storage.logs import hot
from storage.logs.encode import BadLine, EncodedBatch, encode_batch
from storage.postgres.pool import Pool, connection

HeardRuns: TypeAlias = Callable[[Iterable[uuid.UUID]], None]

# Bodies joined into one flush: larger gives fewer, better compressed rows, and a longer wait.
FLUSH_BYTES = 4 * 1024**2
# A flush goes after this long although another one is still under way.
LINGER_SECONDS = 0.02
# How long to wait for clients that were answered together to post again: shorter splits them over
# two commits, longer delays everybody when one of them has gone.
REGROUP_SECONDS = 0.002
# Two flushes at a time: one encodes on a core while the other waits for its commit.
CONCURRENT_FLUSHES = 2
# So few lines are encoded at once, in the event loop (about 1 ms of CPU at most): handing them to a thread and
# back would take as long as half of it.
INLINE_LINES = 160
# Bytes of bodies that may wait before new ones are turned away with 503. With its decoded lines a body
# takes three times its size, so this is 70 MiB of memory; 64 clients with 1,000 lines each need 20.
MAX_WAITING_BYTES = 24 * 1024**2
# How stale the measured size of the hot tier may be; what this process adds is counted at once.
HOT_BYTES_REFRESH_SECONDS = 1.0
HOT_FULL_RETRY_SECONDS = 5.0
BUFFER_FULL_RETRY_SECONDS = 1.0
# A flush meets a body stored elsewhere at most once, unless clients post one body to many replicas.
STORE_ATTEMPTS = 4


@dataclass(eq=False, slots=True)
class _Waiting:
    """One body, its lines, and the request that waits for it."""

    body: bytes
    lines: list[LogCreate]
    done: "asyncio.Future[None]"
    from_client: bool
    size: int
    hash: bytes = b""


class IngestBuffer:
    """Joins bodies, encodes them in a thread, stores them, answers."""

    def __init__(self, pool: Pool, *, hot_limit_bytes: int, heard: HeardRuns | None) -> None:
        self._pool = pool
        self._heard = heard
        self._hot_limit_bytes = hot_limit_bytes
        self._hot_bytes = 0
        self._hot_measured = float("-inf")
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._answered = 0
        self._regrouped = asyncio.Event()
        self._flushing: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT_FLUSHES)
        self._threads = ThreadPoolExecutor(CONCURRENT_FLUSHES, thread_name_prefix="log-encode")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, pool: Pool, *, hot_limit_bytes: int, heard: HeardRuns | None = None
    ) -> AsyncIterator["IngestBuffer"]:
        """Run the buffer until the block ends; what was appended is flushed first. `heard` is told
        the runs whose lines came from clients, once per flush."""
        buffer = cls(pool, hot_limit_bytes=hot_limit_bytes, heard=heard)
        loop_task = asyncio.create_task(buffer._run(), name="log-ingest")
        try:
            yield buffer
        finally:
            buffer._closing = True
            buffer._arrived.set()
            buffer._regrouped.set()
            await loop_task
            await asyncio.gather(*buffer._flushing)
            buffer._threads.shutdown()

    async def append(
        self,
        body: bytes,
        lines: list[LogCreate],
        *,
        from_client: bool = True,
        size: int | None = None,
    ) -> None:
        """Store the lines of one request; returns when they are durable.

        `body` is the request as it came: its hash tells a retry from a new batch. Lines that we
        write about a run ourselves are not `from_client`: they are no sign of its life. `size` is what
        the lines would take as JSON, for a body of another form, that may be much shorter.

        Raises:
            BadLine: a line cannot be stored; nothing of this body is.
            Busy: the buffer or the hot tier is full; nothing of this body is stored.
            Unavailable: PostgreSQL does not answer; the body may or may not be stored, and a
                retry within 10 minutes is safe.
        """
        if not lines:
            return
        await self._refuse_when_hot_is_full()
        # From here to the append nothing is awaited: what is in the buffer will be flushed.
        size = len(body) if size is None else size
        if self._closing or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise Busy("too many log lines are waiting", retry_after=BUFFER_FULL_RETRY_SECONDS)
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(body, lines, done, from_client, size)
        self._waiting.append(waiting)
        self._waiting_bytes += size
        self._arrived.set()
        if len(self._waiting) >= self._answered or self._waiting_bytes >= FLUSH_BYTES:
            self._regrouped.set()
        await waiting.done

    async def _refuse_when_hot_is_full(self) -> None:
        now = time.monotonic()
        if now - self._hot_measured > HOT_BYTES_REFRESH_SECONDS:
            self._hot_measured = now
            async with connection(self._pool) as conn:
                self._hot_bytes = await hot.hot_bytes(conn)
        if self._hot_bytes >= self._hot_limit_bytes:
            raise Busy(
                f"the hot log tier holds {self._hot_bytes} bytes, its limit is "
                f"{self._hot_limit_bytes}; it drains when S3 takes segments again",
                retry_after=HOT_FULL_RETRY_SECONDS,
            )

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await self._slots.acquire()
            await self._gather()
            batch = self._take()
            if not batch:
                self._slots.release()
                if self._closing:
                    return
                continue
            task = asyncio.create_task(self._flush(batch), name="log-flush")
            self._flushing.add(task)
            task.add_done_callback(self._flushed)

    async def _gather(self) -> None:
        """Wait until a flush is worth its commit, but not for long.

        While a flush is under way it gathers. Then clients that were answered together post again
        together, so it waits for as many as the last flush answered.
        """
        if self._flushing and self._waiting_bytes < FLUSH_BYTES:
            await asyncio.wait(
                self._flushing, timeout=LINGER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        self._regrouped.clear()
        if len(self._waiting) < self._answered and not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REGROUP_SECONDS):
                    await self._regrouped.wait()

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        size = 0
        while self._waiting and (not taken or size + self._waiting[0].size <= FLUSH_BYTES):
            size += self._waiting[0].size
            taken.append(self._waiting.pop(0))
        self._waiting_bytes -= size
        self._answered = len(taken)
        if not self._waiting and not self._closing:
            self._arrived.clear()
        return taken

    def _flushed(self, task: "asyncio.Task[None]") -> None:
        self._flushing.discard(task)
        self._slots.release()

    async def _flush(self, waiting: list[_Waiting]) -> None:
        try:
            await self._store(waiting)
        except Exception as error:
            for one in waiting:
                if not one.done.done():
                    one.done.set_exception(error)

    async def _store(self, waiting: list[_Waiting]) -> None:
        encoded = await self._encode(waiting)
        good = [one for one in waiting if one not in encoded.refused]
        for _ in range(STORE_ATTEMPTS):
            if encoded.batch is None:
                break
            async with connection(self._pool) as conn:
                try:
                    await hot.store_batch(conn, encoded.batch, sorted({one.hash for one in good}))
                    self._hot_bytes += len(encoded.batch.payload)
                    self._tell(encoded.batch, good)
                    break
                except hot.AlreadyAcknowledged:
                    known = await hot.acknowledged_bodies(conn, [one.hash for one in good])
            good = [one for one in good if one.hash not in known]
            encoded = _Encoded((await self._encode(good)).batch, encoded.refused)
        else:
            raise Busy("the same bodies are stored by other processes", retry_after=1)
        for one in waiting:
            if one.done.done():
                continue
            refusal = encoded.refused.get(one)
            if refusal is None:
                one.done.set_result(None)
            else:
                one.done.set_exception(refusal)

    def _tell(self, batch: EncodedBatch, stored: list[_Waiting]) -> None:
        if self._heard is None:
            return
        runs = {part.flow_run_id for part in batch.runs}
        if not all(one.from_client for one in stored):
            said = {line.flow_run_id for one in stored if one.from_client for line in one.lines}
            runs &= {uuid.UUID(text) for text in said if text is not None}
        self._heard(runs)

    async def _encode(self, waiting: list[_Waiting]) -> "_Encoded":
        if sum(len(one.lines) for one in waiting) <= INLINE_LINES:
            return _encode(waiting)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _encode, waiting)


@dataclass(frozen=True, slots=True)
class _Encoded:
    batch: EncodedBatch | None
    refused: dict[_Waiting, BadLine]


def _encode(waiting: list[_Waiting]) -> _Encoded:
    distinct: dict[bytes, _Waiting] = {}
    for one in waiting:
        one.hash = one.hash or hashlib.blake2b(one.body, digest_size=16).digest()
        # The same body twice in one flush is a retry that overtook its first try.
        distinct.setdefault(one.hash, one)
    lines = [line for one in distinct.values() for line in one.lines]
    if not lines:
        return _Encoded(None, {})
    try:
        return _Encoded(encode_batch(lines), {})
    except BadLine:
        return _encode_without_bad_ones(list(distinct.values()), waiting)


def _encode_without_bad_ones(distinct: list[_Waiting], waiting: list[_Waiting]) -> _Encoded:
    bad: dict[bytes, BadLine] = {}
    for one in distinct:
        try:
            encode_batch(one.lines)
        except BadLine as error:
            bad[one.hash] = error
    good = [line for one in distinct if one.hash not in bad for line in one.lines]
    refused = {one: bad[one.hash] for one in waiting if one.hash in bad}
    return _Encoded(encode_batch(good) if good else None, refused)
