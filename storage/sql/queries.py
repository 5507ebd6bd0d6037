"""SQL over the logs and what belongs to them: one statement in, a whole result out.

A statement runs in a process of its own, which has no credentials and opens nothing: the bytes of segments
that it needs are read here, from the same store and by the same rules as for everybody else. What it reads
is one snapshot: tables and hot batches are sent while a transaction is open, segments cannot go for longer
than a statement may take.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from storage.errors import (
    Busy,
    InvalidValue,
    LinesUnreadable,
    ObjectDamaged,
    ObjectMissing,
    Unavailable,
)
from storage.logs.planner import Source
from storage.objects.store import ObjectReader
from storage.postgres.pool import Pool, snapshot
from storage.sql.messages import (
    NUMBER,
    READ,
    Answer,
    Ask,
    Column,
    Failed,
    Format,
    Kind,
    Wanted,
)
from storage.sql.process import ProcessEnded, SqlProcess
from storage.sql.snapshot import send_snapshot

CONCURRENT_QUERIES = 2
# Whoever comes third waits so long for one of the two to end.
WAIT_SECONDS = 10.0
# For the client to take a result that is ready.
TAKE_SECONDS = 300.0
# Of all statements of this process: each holds about 3 MB, three times over while it passes through.
READS_AT_ONCE = 4
MAX_READ_BYTES = 64 * 1024**2
# Hot batches are decoded in the memory of the query, where they are about eight times as large.
HOT_PARTS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlResult:
    """A result that is complete. `body` gives it in the form that was asked for, and must be read to its
    end or closed."""

    columns: list[Column]
    rows: int
    truncated: bool
    body: AsyncGenerator[bytes, None]


@dataclass(slots=True)
class _Segments:
    """The segments of one query, by the numbers under which its process knows them."""

    sources: list[list[Source]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def unreadable(self, number: int, cause: ObjectMissing | ObjectDamaged) -> LinesUnreadable:
        """Which lines are lost with a segment's object."""
        parts = self.sources[number]
        return LinesUnreadable(
            cause,
            key=cause.key,
            flow_run_id=parts[0].flow_run_id if len(parts) == 1 else None,
            rows=sum(part.rows for part in parts),
            first=min(part.min_timestamp for part in parts),
            last=max(part.max_timestamp for part in parts),
        )


class SqlQueries:
    """Answers statements; shared by all requests of a process."""

    def __init__(
        self, pool: Pool, objects: ObjectReader, *, seconds: float, memory_bytes: int
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._slots = asyncio.Semaphore(CONCURRENT_QUERIES)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._processes: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, pool: Pool, objects: ObjectReader, *, seconds: float, memory_bytes: int
    ) -> AsyncIterator["SqlQueries"]:
        """A statement may take so many seconds and bytes. What runs when the block ends is ended."""
        queries = cls(pool, objects, seconds=seconds, memory_bytes=memory_bytes)
        try:
            yield queries
        finally:
            for task in queries._processes:
                task.cancel()
            await asyncio.gather(*queries._processes, return_exceptions=True)

    async def answer(self, sql: str, *, form: Format, limit: int) -> SqlResult:
        """The first `limit` rows of the result of one SELECT. Cancelling ends the work.

        Raises:
            InvalidValue: the statement is wrong or not allowed, or its result too large.
            Busy: it takes too long or too much memory, or too many others run.
            LinesUnreadable, Unavailable: what it needs cannot be read.
        """
        process = await self._start()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._answer(process, sql, form, limit)
        except TimeoutError:
            process.kill()
            raise Busy(
                f"the statement took longer than {self._seconds:g} s; name runs or a time range of"
                " logs in its WHERE",
                retry_after=self._seconds,
            ) from None
        except BaseException:
            process.kill()
            raise
        return SqlResult(
            columns=answer.columns,
            rows=answer.rows,
            truncated=answer.truncated,
            body=_body(process),
        )

    async def _start(self) -> SqlProcess:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy(
                f"{CONCURRENT_QUERIES} statements run already", retry_after=WAIT_SECONDS
            ) from None
        try:
            process = await SqlProcess.start()
        except BaseException:
            self._slots.release()
            raise
        task = asyncio.create_task(self._look_after(process))
        self._processes.add(task)
        task.add_done_callback(self._processes.discard)
        return process

    async def _look_after(self, process: SqlProcess) -> None:
        try:
            await process.watch(
                memory_bytes=self._memory_bytes, seconds=self._seconds + TAKE_SECONDS
            )
        finally:
            await process.end()
            self._slots.release()

    async def _answer(self, process: SqlProcess, sql: str, form: Format, limit: int) -> Answer:
        ask = Ask(sql=sql, limit=limit, format=form, memory_bytes=self._memory_bytes)
        segments = _Segments()
        try:
            await process.send(Kind.ASK, msgspec.msgpack.encode(ask))
            wanted = _decoded(await process.receive(), Kind.WANTED, Wanted)
            if isinstance(wanted, Wanted):
                async with snapshot(self._pool) as conn:
                    segments.sources = await send_snapshot(
                        process, conn, wanted, max_hot_bytes=self._memory_bytes // HOT_PARTS
                    )
                answer = await self._serve(process, segments)
            else:
                answer = wanted
        except ProcessEnded as error:
            if process.took_too_much_memory:
                raise self._too_much_memory() from error
            raise InvalidValue(
                "the statement ended the process that ran it; make it simpler"
            ) from error
        if isinstance(answer, Failed):
            raise self._failure(answer, segments)
        return answer

    async def _serve(self, process: SqlProcess, segments: _Segments) -> Answer | Failed:
        """Read what the process asks for until it has an answer."""
        reads: set[asyncio.Task[None]] = set()
        try:
            while True:
                frame = await process.receive()
                if frame[0] != Kind.READ:
                    return _decoded(frame, Kind.ANSWER, Answer)
                task = asyncio.create_task(self._give(process, segments, frame[1]))
                reads.add(task)
                task.add_done_callback(reads.discard)
        finally:
            for task in reads:
                task.cancel()
            await asyncio.gather(*reads, return_exceptions=True)

    async def _give(self, process: SqlProcess, segments: _Segments, request: bytes) -> None:
        # Whoever waits for the process hears that it ended.
        with contextlib.suppress(ProcessEnded):
            await self._read(process, segments, request)

    async def _read(self, process: SqlProcess, segments: _Segments, request: bytes) -> None:
        number, segment, offset, length = READ.unpack(request)
        source = segments.sources[segment][0]
        async with self._reads:
            try:
                if source.key is None or length > MAX_READ_BYTES:
                    raise ObjectDamaged(source.key or "", f"{length} bytes were asked for at once")
                body = await self._objects.read_range(source.key, offset, length)
            except (ObjectMissing, ObjectDamaged) as error:
                segments.failures.append(segments.unreadable(segment, error))
            except Unavailable as error:
                segments.failures.append(error)
            else:
                await process.send(Kind.DATA, NUMBER.pack(number), body)
                return
        await process.send(Kind.LOST, NUMBER.pack(number))

    def _failure(self, failed: Failed, segments: _Segments) -> Exception:
        if failed.reason == "lost" and segments.failures:
            return segments.failures[0]
        if failed.reason == "damaged" and failed.segment is not None:
            key = segments.sources[failed.segment][0].key or ""
            return segments.unreadable(failed.segment, ObjectDamaged(key, failed.message))
        if failed.reason == "memory":
            return self._too_much_memory()
        if failed.reason == "too_large":
            return InvalidValue(
                "the result is larger than a fifth of the memory that a statement may take"
                f" ({self._memory_bytes:,} bytes); select fewer rows or columns"
            )
        if failed.reason == "refused":
            return InvalidValue(failed.message)
        return RuntimeError(f"the process that runs SQL failed: {failed.message}")

    def _too_much_memory(self) -> Busy:
        return Busy(
            f"the statement needs more than {self._memory_bytes:,} bytes of memory; name runs or a"
            " time range of logs in its WHERE, or select less",
            retry_after=self._seconds,
        )


async def _body(process: SqlProcess) -> AsyncGenerator[bytes, None]:
    """The result in pieces. Raises ProcessEnded when it was not taken in time."""
    try:
        while True:
            kind, piece = await process.receive()
            if kind == Kind.BODY and not piece:
                return
            if kind == Kind.BODY:
                yield piece
    finally:
        process.kill()


def _decoded(frame: tuple[Kind, bytes], kind: Kind, type_: type[T]) -> T | Failed:
    if frame[0] == Kind.FAILED:
        return msgspec.msgpack.decode(frame[1], type=Failed)
    if frame[0] != kind:
        raise ProcessEnded
    return msgspec.msgpack.decode(frame[1], type=type_)
