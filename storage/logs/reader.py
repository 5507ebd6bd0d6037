"""Reads log lines: plans from one snapshot, fetches what the plan names, filters, orders, cuts.

Two ways, one result. *Lines of known runs*: the manifest says which sources there are; they are merged
as they are needed (`run_merge`). *Scans* over all runs: row groups are read in the order of the times
that they hold, until the page is full (`scan`).

A hot batch may be offloaded between the plan and its fetch. The page is then read again in a
transaction whose snapshot still has the batches of its plan; it holds a connection while S3 is
read, so it is not the first choice. Segments are never deleted while a plan can name them.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from app.wire.line_filters import LineFilter, LogSearch
from app.wire.log_counts import LogCounts, LogCountsQuery, LogHistogram, LogHistogramQuery
from app.wire.logs import FlowRunIdFilter, Log, LogFilter, LogSort
from storage.errors import Busy
from storage.logs import hot, manifest
from storage.logs.count_answers import to_histogram, to_run_counts
from storage.logs.counting import Span, counting_of
from storage.logs.engine import DEADLINE_SECONDS, Engine
from storage.logs.histogram import Counter, Plan
from storage.logs.kept_lines import KeptLines
from storage.logs.lines import Key, empty, in_order, key_at, microseconds_of, to_logs
from storage.logs.looked import Looked
from storage.logs.matches import Filter, MatchCounts
from storage.logs.numbered import NumberedLines
from storage.logs.places import HotPlace, SegmentPlace, place_in
from storage.logs.planner import Bounds, Group, Source, Step, group_by_time, plan_page
from storage.logs.predicate import (
    EVERYTHING,
    Predicate,
    besides,
    both,
    compile_filter,
    without,
)
from storage.logs.questions import bounds_beyond, bounds_of, known_runs, residual
from storage.logs.rank import Matching, find_rank, rank_of
from storage.logs.required_text import Clauses, required_text
from storage.logs.run_merge import Merge, Selection
from storage.logs.run_parts import OwnedRuns, RunParts, run_parts
from storage.logs.scan import Scan, first
from storage.logs.seen import NOTHING, Arrivals, Seen
from storage.logs.source_rows import BatchesMoved, Payloads, SourceRows
from storage.logs.streams import PLAN_SECONDS, LineStreams, Wanted
from storage.objects.store import ObjectReader
from storage.postgres.flow_runs import owners_of
from storage.postgres.pool import Conn, Pool, connection, snapshot

# So few lines that overlap are merged; of more, keys say which ones a page needs.
FEW_ROWS = 8192
# Lines that match are numbered from here on by counting them all, which reads the run once.
NEAR_MATCHES = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStep:
    """What a search found next; `last` is the key of the last line of all so far, `read` how much of
    `all` that may match was looked at."""

    lines: list[Log]
    last: Key | None
    read: Looked
    all: Looked


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: `runs` None spans all runs; `predicate` and `bounds` are what the plan does not
    ensure; `payloads` gives batches of the plan by id, those that it still finds; `text` is what lines
    that match hold."""

    runs: list[uuid.UUID] | None
    predicate: Predicate
    bounds: Bounds
    descending: bool
    payloads: Payloads
    text: Clauses


_ALL = Selection(EVERYTHING)


class LogReader:
    """Answers pages of log lines; shared by all requests of a process."""

    def __init__(self, pool: Pool, objects: ObjectReader, engine: Engine) -> None:
        self._pool = pool
        self._engine = engine
        self._rows = SourceRows(objects)
        self._kept = KeptLines(self._rows)
        self._matches = MatchCounts(self._rows, engine)
        self.streams = LineStreams(pool, self._rows, engine)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, pool: Pool, objects: ObjectReader) -> AsyncIterator["LogReader"]:
        """Open the engine and a reader on it."""
        async with Engine.open() as engine:
            yield cls(pool, objects, engine)

    async def read(
        self,
        log_filter: LogFilter,
        *,
        sort: LogSort,
        limit: int,
        offset: int,
        also: Predicate = EVERYTHING,
    ) -> list[Log]:
        """Lines [offset, offset + limit) of those that match the filter and `also`, ordered by
        (timestamp, seq).

        Raises:
            Unavailable: PostgreSQL, or an object that the page needs, cannot be read; never a
                short page instead.
            Busy: the question takes too long or too much memory.
        """
        if limit == 0:
            return []
        descending = sort == "TIMESTAMP_DESC"

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[pa.Table]]:
            groups, question = await self._plan(conn, log_filter, descending, payloads, also)
            return lambda: self._page(groups, question, limit, offset)

        page = await self._planned(answer)
        return await asyncio.to_thread(to_logs, page) if page.num_rows > 500 else to_logs(page)

    async def _planned(
        self,
        answer: Callable[[Conn, Payloads], Awaitable[Callable[[], Awaitable[T]]]],
    ) -> T:
        """What `answer` plans on a connection and then reads, while the plan holds."""
        try:
            async with connection(self._pool) as conn:
                read = await answer(conn, self._payloads)
            return await read()
        except BatchesMoved:
            async with snapshot(self._pool) as conn:
                read = await answer(conn, _payloads_of(conn))
                return await read()

    async def matching(self, lines: pa.Table, predicate: Predicate) -> pa.Table:
        """Those of `lines` that match, in no particular order. Raises Busy."""
        return await self._engine.filter(lines, predicate)

    async def check(self, predicate: Predicate) -> None:
        """Raise InvalidValue when the condition cannot be evaluated, say, for a bad pattern."""
        if predicate.sql:
            await self._engine.check(predicate)

    async def newest(self, wanted: Wanted, seen: Seen, limit: int) -> pa.Table:
        """The newest lines that match of those batches, oldest first. Raises as `read` does."""
        also = both(wanted.also, Arrivals(NOTHING, seen).predicate())

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[pa.Table]]:
            groups, question = await self._plan(conn, wanted.log_filter, True, payloads, also)
            return lambda: self._page(groups, question, limit, 0)

        return in_order(await self._planned(answer))

    async def _plan(
        self,
        conn: Conn,
        log_filter: LogFilter,
        descending: bool,
        payloads: Payloads,
        also: Predicate,
    ) -> tuple[list[Group], _Question]:
        runs = known_runs(log_filter)
        bounds = bounds_of(log_filter)
        if runs is not None:
            sources, deleted = await manifest.run_sources(conn, runs, bounds)
            predicate = residual(log_filter, bounds, sources)
        else:
            deleted = await manifest.deleted(conn)
            sources = await manifest.all_sources(conn, bounds)
            predicate = compile_filter(log_filter)
        predicate = without(both(predicate, also), deleted.runs, deleted.tasks)
        groups = group_by_time(sources, descending=descending)
        text = [*required_text(log_filter), *also.text]
        return groups, _Question(runs, predicate, bounds, descending, payloads, text)

    async def search(
        self, search: LogSearch, start: Key | None
    ) -> AsyncGenerator[SearchStep, None]:
        """At most `search.limit` lines that match, beyond `start`, in order, as they are found. Ends with
        the last of them, or when everything was looked at.

        Raises:
            InvalidValue: the regular expression is none.
            LinesUnreadable, Unavailable: see `read`; lines that were given stay right.
        """
        log_filter = search.logs or LogFilter()
        also = besides(regex=search.regex, loggers=search.logger)
        await self.check(also)
        predicate = both(compile_filter(log_filter), also)
        bounds = bounds_of(log_filter)
        descending = search.order == "newest"
        limit = search.limit
        last = start
        read = Looked()
        while True:
            near = bounds_beyond(bounds, start, descending=descending)
            made = asyncio.get_running_loop().time()
            async with connection(self._pool) as conn:
                deleted = await manifest.deleted(conn)
                sources = await manifest.all_sources(conn, near)
            scan = Scan(
                self._rows,
                self._engine,
                self._payloads,
                sources,
                without(predicate, deleted.runs, deleted.tasks),
                bounds,
                descending=descending,
                start=start,
                text=[*required_text(log_filter), *also.text],
                owned=self._owned(search),
            )
            complete = start
            try:
                async with contextlib.aclosing(scan.found(limit)) as found:
                    async for each in found:
                        lines = each.lines
                        if lines.num_rows:
                            last = key_at(lines, lines.num_rows - 1)
                            limit -= lines.num_rows
                        yield SearchStep(
                            lines=await asyncio.to_thread(to_logs, lines),
                            last=last,
                            read=read + each.read,
                            all=read + each.all,
                        )
                        # Certain lines were given, and no other lies before.
                        complete = each.complete
                        moved = complete is not None and complete != start
                        if moved and asyncio.get_running_loop().time() > made + PLAN_SECONDS:
                            read += each.read
                            break
                    else:
                        return
            except BatchesMoved:
                # What is in segments by now is found there, from where it stopped.
                pass
            start = complete

    async def histogram(self, query: LogHistogramQuery) -> LogHistogram:
        """Lines that match by bucket of time and level. Raises as `read` does."""
        counts = await self._counts(query, query.start, query.end, query.bucket_microseconds)
        return await asyncio.to_thread(to_histogram, counts, query.bucket_seconds, query.start)

    async def run_counts(self, query: LogCountsQuery) -> LogCounts:
        """Lines that match by run and level. Raises as `read` does."""
        counts = await self._counts(query, query.start, query.end, None)
        return await asyncio.to_thread(to_run_counts, counts, query.limit)

    async def _counts(
        self,
        wanted: LineFilter,
        start: dt.datetime | None,
        end: dt.datetime | None,
        bucket: int | None,
    ) -> pa.Table:
        """Counts by bucket of so many microseconds and level, or without buckets by run and level."""
        log_filter = wanted.logs or LogFilter()
        also = besides(regex=wanted.regex, loggers=wanted.logger)
        await self.check(also)
        span = Span(
            -(2**62) if start is None else microseconds_of(start),
            2**62 if end is None else microseconds_of(end),
        )
        runs = known_runs(log_filter)
        owned = self._owned(wanted)
        if runs is not None and owned is not None:
            runs, owned = await owned.among(runs), None
        counting = counting_of(log_filter, runs, span, bucket, also)
        near = Bounds(after=start, before=end)

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[pa.Table]]:
            # One snapshot: what is deleted, and where the segments of the plan have it.
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                deleted = await manifest.deleted(conn)
                if runs is not None:
                    sources, _ = await manifest.run_sources(conn, runs, near)
                else:
                    sources = await manifest.all_sources(conn, near)
                parts: list[manifest.DeletedPart] = []
                if deleted.runs or deleted.tasks:
                    ids = [source.id for source in sources if source.key is not None]
                    parts = await manifest.deleted_parts(conn, ids)
            plan = Plan(sources, deleted, parts, payloads, self._parts_of, owned)
            return Counter(self._rows, self._engine, plan, counting).counts

        return await _in_time(self._planned(answer))

    async def lines_before(
        self, log_filter: LogFilter, key: Key, *, also: Predicate = EVERYTHING
    ) -> int:
        """How many lines that match the filter, which must name runs, and `also` come before the key:
        the offset at which `read` gives the line that is there. Raises as `read` does."""
        runs = known_runs(log_filter) or []
        bounds = bounds_of(log_filter)
        near = bounds_beyond(bounds, key, descending=True)

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[int]]:
            sources, deleted = await manifest.run_sources(conn, runs, near)
            predicate = both(residual(log_filter, bounds, sources), also)
            predicate = without(predicate, deleted.runs, deleted.tasks)
            wanted = Filter(predicate, bounds, [*required_text(log_filter), *also.text])

            async def count() -> int:
                if not predicate.sql:
                    return await self._numbered(payloads, sources).before(key)
                matching = await self._matching(payloads, sources, wanted)
                return await rank_of(self._rows, payloads, key, matching)

            return count

        return await _in_time(self._planned(answer))

    async def beyond(
        self,
        log_filter: LogFilter,
        start: Key | None,
        *,
        backward: bool,
        limit: int,
        also: Predicate = EVERYTHING,
    ) -> list[Log]:
        """At most `limit` lines that match the filter, which must name runs, and `also`: those next to
        `start` (exclusive), in the order in which they lie from there; None is where a run begins, or
        backward where it ends. Lines that come or move meanwhile do not shift the page.

        Raises as `read` does.
        """

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[pa.Table]]:
            sources, selection = await self._selected(
                conn, log_filter, also, start=start, descending=backward
            )
            if not selection.predicate.sql and sum(source.rows for source in sources) > FEW_ROWS:
                numbered = self._numbered(payloads, sources)
                return lambda: numbered.beyond(start, limit, backward=backward)
            merge = self._merge(payloads, sources, selection, descending=backward)
            return lambda: merge.first(limit)

        return to_logs(await _in_time(self._planned(answer)))

    async def key_of(self, flow_run_id: uuid.UUID, seq: int) -> Key | None:
        """The place of a run's line, None when the run has no such line. Raises as `read` does."""

        async def answer(conn: Conn, payloads: Payloads) -> Callable[[], Awaitable[pa.Table]]:
            run = LogFilter(flow_run_id=FlowRunIdFilter(any_=[flow_run_id]))
            sources, selection = await self._selected(
                conn, run, Predicate("seq = ?", (seq,)), seq=seq
            )
            merge = self._merge(payloads, sources, selection, descending=False)
            return lambda: merge.first(1)

        found = await _in_time(self._planned(answer))
        return key_at(found, 0) if found.num_rows else None

    async def where(self, flow_run_id: uuid.UUID, seq: int) -> HotPlace | SegmentPlace | None:
        """Where a run's line lies now, None when the run has no such line. Raises as `read` does."""

        async def answer(
            conn: Conn, payloads: Payloads
        ) -> Callable[[], Awaitable[HotPlace | SegmentPlace | None]]:
            sources, deleted = await manifest.run_sources(conn, [flow_run_id], Bounds())
            predicate = without(Predicate("seq = ?", (seq,)), deleted.runs, deleted.tasks)
            selection = Selection(predicate, seq=seq)

            async def find() -> HotPlace | SegmentPlace | None:
                for source in sources:
                    merge = self._merge(payloads, [source], selection, descending=False)
                    found = await merge.first(1)
                    if found.num_rows:
                        numbered = self._numbered(payloads, [source])
                        return await place_in(
                            self._pool, self._rows, payloads, numbered, source, found
                        )
                return None

            return find

        return await _in_time(self._planned(answer))

    async def _selected(
        self,
        conn: Conn,
        log_filter: LogFilter,
        also: Predicate,
        *,
        start: Key | None = None,
        descending: bool = False,
        seq: int | None = None,
    ) -> tuple[list[Source], Selection]:
        """What may hold lines of the filter's runs beyond a key, and which of them are meant."""
        bounds = bounds_of(log_filter)
        runs = log_filter.flow_run_id.any_ if log_filter.flow_run_id else None
        near = bounds_beyond(bounds, start, descending=descending)
        sources, deleted = await manifest.run_sources(conn, runs or [], near)
        predicate = both(residual(log_filter, bounds, sources), also)
        predicate = without(predicate, deleted.runs, deleted.tasks)
        text = [*required_text(log_filter), *also.text]
        return sources, Selection(predicate, bounds, start=start, seq=seq, text=text)

    async def _page(
        self, groups: list[Group], question: _Question, limit: int, offset: int
    ) -> pa.Table:
        if question.runs is None:
            scan = Scan(
                self._rows,
                self._engine,
                question.payloads,
                [source for group in groups for source in group.sources],
                question.predicate,
                question.bounds,
                descending=question.descending,
                text=question.text,
            )
            return await _in_time(first(scan, limit, skip=offset))
        if question.predicate.sql:
            sources = [source for group in groups for source in group.sources]
            wanted = Filter(question.predicate, question.bounds, question.text)
            # Near the beginning, lines are likely to be found sooner than all are counted.
            if offset >= NEAR_MATCHES or (offset and self._matches.known(sources, wanted)):
                page = self._far_page(question, sources, wanted, limit, offset)
                return await _in_time(page)
            selection = Selection(question.predicate, question.bounds, text=question.text)
            merge = self._merge(
                question.payloads, sources, selection, descending=question.descending
            )
            return await _in_time(merge.first(limit, skip=offset))
        steps = plan_page(groups, offset=offset, limit=limit)
        pages = [await self._exact_step(question, step) for step in steps]
        return pa.concat_tables(pages) if pages else empty()

    async def _far_page(
        self,
        question: _Question,
        sources: list[Source],
        wanted: Filter,
        limit: int,
        offset: int,
    ) -> pa.Table:
        """Lines that match by their number, found by how many each row group has."""
        matching = await self._matching(question.payloads, sources, wanted)
        give = min(limit, matching.total - offset)
        if give <= 0:
            return empty()
        first = matching.total - offset - give if question.descending else offset
        key, before = await find_rank(self._rows, question.payloads, first, matching)
        selection = Selection(
            wanted.predicate, wanted.bounds, start=(key[0], key[1] - 1), text=wanted.text
        )
        merge = self._merge(question.payloads, sources, selection, descending=False)
        lines = await merge.first(give, skip=first - before)
        return in_order(lines, descending=question.descending)

    async def _matching(
        self, payloads: Payloads, sources: list[Source], wanted: Filter
    ) -> Matching:
        return Matching(
            await self._matches.count(payloads, sources, wanted),
            lambda lines: self._matches.matching(lines, wanted.predicate),
        )

    def _merge(
        self,
        payloads: Payloads,
        sources: Iterable[Source],
        selection: Selection,
        *,
        descending: bool,
    ) -> Merge:
        return Merge(self._rows, self._engine, payloads, sources, selection, descending=descending)

    def _numbered(self, payloads: Payloads, sources: Sequence[Source]) -> NumberedLines:
        return NumberedLines(self._rows, self._kept, payloads, sources)

    async def _parts_of(self, segment_ids: list[int]) -> dict[int, RunParts]:
        async with connection(self._pool) as conn:
            return await run_parts(conn, segment_ids)

    def _owned(self, wanted: LineFilter) -> OwnedRuns | None:
        """The runs of the flows and deployments that are asked for, None when none are."""
        owners = owners_of(wanted.flow_ids, wanted.deployment_ids)
        return None if owners is None else OwnedRuns(self._pool, owners)

    async def _payloads(self, batch_ids: list[int]) -> dict[int, bytes]:
        async with connection(self._pool) as conn:
            return await hot.batch_payloads(conn, batch_ids)

    async def _exact_step(self, question: _Question, step: Step) -> pa.Table:
        """Lines of a group of which every one matches, by their number alone."""
        sources, rows = step.group.sources, step.group.rows
        first = rows - step.skip - step.give if question.descending else step.skip
        if len(sources) == 1:
            # A source is ordered in itself: its own rows are the page.
            lines = await self._rows.rows(question.payloads, sources[0], first, step.give)
        elif rows <= FEW_ROWS:
            merge = self._merge(question.payloads, sources, _ALL, descending=question.descending)
            return await merge.first(step.give, skip=step.skip)
        else:
            lines = await self._numbered(question.payloads, sources).lines(first, step.give)
        return in_order(lines, descending=question.descending)


async def _in_time(answer: Awaitable[T]) -> T:
    """The answer, unless it takes as long as nobody waits for.

    Raises:
        Busy: it took too long.
    """
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await answer
    except TimeoutError:
        raise Busy(
            f"the query took longer than {DEADLINE_SECONDS:g} s; narrow its time range or runs",
            retry_after=DEADLINE_SECONDS,
        ) from None


def _payloads_of(conn: Conn) -> Payloads:
    """Batches as one connection's snapshot has them, asked for one at a time."""
    lock = asyncio.Lock()

    async def payloads(batch_ids: list[int]) -> dict[int, bytes]:
        async with lock:
            return await hot.batch_payloads(conn, batch_ids)

    return payloads
