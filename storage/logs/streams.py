"""Lines of any number of runs from end to end, in bounded memory: run by run, and within a run by time.

That order needs no more of the archive in memory than a run's own merge does, however many lines match.
A stream goes on from the last line given when a hot batch of its plan has moved to S3, or the plan is
old; so each line comes once, wherever it moves meanwhile.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace

import msgspec
import pyarrow as pa

from app.wire.base import NIL_UUID
from app.wire.logs import LogFilter
from storage.logs import hot, manifest
from storage.logs.engine import Engine
from storage.logs.lines import Key, empty, key_at, time_of
from storage.logs.planner import Bounds, Source
from storage.logs.predicate import EVERYTHING, Predicate, both, compile_filter, without
from storage.logs.questions import bounds_of
from storage.logs.run_merge import Merge, Selection, side_by_side
from storage.logs.scan import Scan
from storage.logs.seen import NOTHING, Arrivals, Place, Position, Seen
from storage.logs.segment import in_segment_order
from storage.logs.source_rows import BatchesMoved, SourceRows
from storage.postgres.flow_runs import RunOwners, owned_among
from storage.postgres.pool import Pool, connection

# Lines given at once.
STREAM_ROWS = 8192
# Runs with fewer lines than that are read together, at most so many.
MAX_RUNS_TOGETHER = 200
# Runs asked for at once.
RUNS_PER_LIST = 5000
# A plan is made anew after this time: objects that it names may be deleted after 15 minutes.
PLAN_SECONDS = 300.0
# How far PostgreSQL's clock may step back between two servers of it, and what a commit may take.
CLOCK_SLACK = dt.timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines: those that match the filter and `also`, of the owners' runs if any are given."""

    log_filter: LogFilter
    also: Predicate = EVERYTHING
    owners: RunOwners | None = None

    @property
    def key(self) -> tuple[bytes, str, str]:
        """Equal for what wants the same lines."""
        return msgspec.json.encode(self.log_filter), repr(self.also), repr(self.owners)

    @property
    def runs(self) -> list[uuid.UUID] | None:
        """The only runs that matching lines can have, ascending; None when that may be any."""
        runs = self.log_filter.flow_run_id
        if self.log_filter.operator == "or_" or runs is None or runs.any_ is None:
            return None
        return sorted(set(runs.any_))

    @property
    def bounds(self) -> Bounds:
        """The bounds on times and levels that every matching line lies within."""
        return bounds_of(self.log_filter)

    @property
    def predicate(self) -> Predicate:
        """The condition in full."""
        return both(compile_filter(self.log_filter), self.also)

    @property
    def predicate_of_runs(self) -> Predicate:
        """What is left of the condition for lines that are known to be of `runs`."""
        if self.runs is None:
            return self.predicate
        return both(compile_filter(_without_runs(self.log_filter)), self.also)


@dataclass(frozen=True, slots=True)
class _Plan:
    sources: list[Source]
    predicate: Predicate
    made: float

    @property
    def is_old(self) -> bool:
        return asyncio.get_running_loop().time() > self.made + PLAN_SECONDS


class LineStreams:
    """Streams of lines; shared by all requests of a process."""

    def __init__(self, pool: Pool, rows: SourceRows, engine: Engine) -> None:
        self._pool = pool
        self._rows = rows
        self._engine = engine

    async def now(self) -> Arrivals:
        """Everything that has come so far."""
        async with connection(self._pool) as conn:
            return Arrivals(NOTHING, Seen(await hot.newest_batch(conn), 0))

    async def catch_up(
        self, wanted: Wanted, position: Position, target: Seen
    ) -> AsyncGenerator[tuple[pa.Table, Position], None]:
        """What came between a position and `target`, each part with the position behind it; the position
        at the end is `target`. Raises as `lines` does."""
        steps: list[tuple[Arrivals, Place | None]] = []
        if position.upto is not None:
            steps.append((Arrivals(position.seen, position.upto), position.place))
        steps.append((Arrivals(position.whole, target), None))
        for arrived, start in steps:
            async with contextlib.aclosing(self.lines(wanted, arrived, start)) as tables:
                async for lines in tables:
                    yield lines, Position(arrived.after, arrived.upto, Place.of_last(lines))

    async def lines(
        self, wanted: Wanted, arrived: Arrivals, start: Place | None = None
    ) -> AsyncGenerator[pa.Table, None]:
        """The lines of these arrivals that match, beyond `start`, in tables of some thousands.

        Raises:
            Unavailable: PostgreSQL or an object cannot be read; lines that were given stay right.
            Busy: a filter takes too long or too much memory.
        """
        if arrived.none:
            return
        start = start or Place(NIL_UUID)
        outside = wanted.owners is None and (wanted.runs is None or NIL_UUID in wanted.runs)
        if start.run == NIL_UUID and outside:
            async with contextlib.aclosing(
                self._outside_runs(wanted, arrived, start.key)
            ) as tables:
                async for table in tables:
                    yield table
        if start.run != NIL_UUID and start.key is not None:
            async with contextlib.aclosing(
                self._of_run(wanted, arrived, start.run, start.key)
            ) as tables:
                async for table in tables:
                    yield table
        last = start.run
        while runs := await self._runs_beyond(wanted, arrived, last):
            for together in _portions(await self._owned(wanted, runs)):
                if len(together) > 1:
                    table = await self._of_small_runs(wanted, arrived, together)
                    if table.num_rows:
                        yield table
                    continue
                async with contextlib.aclosing(
                    self._of_run(wanted, arrived, together[0], None)
                ) as tables:
                    async for table in tables:
                        yield table
            last = runs[-1][0]

    async def _runs_beyond(
        self, wanted: Wanted, arrived: Arrivals, last: uuid.UUID
    ) -> list[tuple[uuid.UUID, int]]:
        """The next runs that may have lines, by id, and how many lines at most."""
        if wanted.runs is not None:
            # How many is not known, and asking would cost as much as reading.
            return [(run, STREAM_ROWS) for run in wanted.runs if run > last]
        async with connection(self._pool) as conn:
            return await manifest.runs_beyond(
                conn, last, wanted.bounds, RUNS_PER_LIST, published_since=_since(arrived)
            )

    async def _owned(
        self, wanted: Wanted, runs: list[tuple[uuid.UUID, int]]
    ) -> list[tuple[uuid.UUID, int]]:
        """Those of the runs that are the owners'."""
        if wanted.owners is None:
            return runs
        async with connection(self._pool) as conn:
            owned = await owned_among(conn, [run for run, _ in runs], wanted.owners)
        return [each for each in runs if each[0] in owned]

    async def _plan(
        self, wanted: Wanted, arrived: Arrivals, runs: list[uuid.UUID], start: Key | None
    ) -> _Plan:
        bounds = wanted.bounds
        if start is not None:
            moment = time_of(start[0])
            bounds = replace(bounds, after=max(moment, bounds.after or moment))
        made = asyncio.get_running_loop().time()
        async with connection(self._pool) as conn:
            sources, deleted = await manifest.run_sources(conn, runs, bounds)
            if runs == [NIL_UUID]:
                deleted = await manifest.deleted(conn)
            since = _since(arrived)
            if since is not None and any(source.key for source in sources):
                recent = await manifest.segments_published_since(conn, since)
                sources = [each for each in sources if each.key is None or each.id in recent]
        predicate = without(wanted.predicate_of_runs, deleted.runs, deleted.tasks)
        return _Plan(sources, predicate, made)

    async def _of_run(
        self, wanted: Wanted, arrived: Arrivals, run: uuid.UUID, start: Key | None
    ) -> AsyncGenerator[pa.Table, None]:
        while True:
            plan = await self._plan(wanted, arrived, [run], start)
            merge = Merge(
                self._rows,
                self._engine,
                self._payloads,
                plan.sources,
                Selection(plan.predicate, wanted.bounds, start=start, arrived=arrived),
                descending=False,
                keep=False,
            )
            with contextlib.suppress(BatchesMoved):
                async with contextlib.aclosing(merge.tables(lambda: STREAM_ROWS)) as tables:
                    async for table in tables:
                        for first in range(0, table.num_rows, STREAM_ROWS):
                            part = table.slice(first, STREAM_ROWS)
                            start = key_at(part, part.num_rows - 1)
                            yield part
                        if plan.is_old:
                            break
                    else:
                        return

    async def _of_small_runs(
        self, wanted: Wanted, arrived: Arrivals, runs: list[uuid.UUID]
    ) -> pa.Table:
        """All matching lines of a few runs, in order."""
        while True:
            plan = await self._plan(wanted, arrived, runs, None)
            by_place: dict[str | int, list[Source]] = {}
            for source in sorted(plan.sources, key=lambda source: source.first_row):
                by_place.setdefault(source.key or source.id, []).append(source)
            found: list[pa.Table] = []
            try:
                await side_by_side(
                    self._read_in_turn(sources, arrived, found) for sources in by_place.values()
                )
            except BatchesMoved:
                continue
            lines = pa.concat_tables(found) if found else empty()
            lines = await self._engine.filter(lines, plan.predicate)
            return await asyncio.to_thread(in_segment_order, lines)

    async def _read_in_turn(
        self, sources: list[Source], arrived: Arrivals, found: list[pa.Table]
    ) -> None:
        """Neighbours in one object one after the other: the next finds its row group decoded."""
        for source in sources:
            lines = await self._rows.rows(self._payloads, source, 0, source.rows)
            found.append(arrived.select(lines))

    async def _outside_runs(
        self, wanted: Wanted, arrived: Arrivals, start: Key | None
    ) -> AsyncGenerator[pa.Table, None]:
        """Lines without a run, and with the nil UUID for one, by time. A source has them unordered, so
        they are scanned for."""
        outside = Predicate("flow_run_id IS NULL OR flow_run_id = ?::UUID", (NIL_UUID,))
        wanted_lines = both(both(wanted.predicate, outside), arrived.predicate())
        while True:
            plan = await self._plan(wanted, arrived, [NIL_UUID], start)
            scan = Scan(
                self._rows,
                self._engine,
                self._payloads,
                plan.sources,
                both(wanted_lines, plan.predicate),
                wanted.bounds,
                descending=False,
                start=start,
            )
            with contextlib.suppress(BatchesMoved):
                async with contextlib.aclosing(scan.found(2**62)) as found:
                    async for each in found:
                        for first in range(0, each.lines.num_rows, STREAM_ROWS):
                            part = each.lines.slice(first, STREAM_ROWS)
                            start = key_at(part, part.num_rows - 1)
                            yield part
                        if each.lines.num_rows and plan.is_old:
                            break
                    else:
                        return

    async def _payloads(self, batch_ids: list[int]) -> dict[int, bytes]:
        async with connection(self._pool) as conn:
            return await hot.batch_payloads(conn, batch_ids)


def _portions(runs: list[tuple[uuid.UUID, int]]) -> Iterable[list[uuid.UUID]]:
    """Neighbouring runs with few lines together, every other by itself."""
    together: list[uuid.UUID] = []
    total = 0
    for run, rows in runs:
        if together and (total + rows > STREAM_ROWS or len(together) == MAX_RUNS_TOGETHER):
            yield together
            together = []
            total = 0
        together.append(run)
        total += rows
    if together:
        yield together


def _since(arrived: Arrivals) -> dt.datetime | None:
    """Segments published earlier have no such lines; None when all may."""
    if arrived.after.at == 0:
        return None
    return time_of(arrived.after.at) - CLOCK_SLACK


def _without_runs(log_filter: LogFilter) -> LogFilter:
    return LogFilter(
        level=log_filter.level,
        timestamp=log_filter.timestamp,
        task_run_id=log_filter.task_run_id,
        text=log_filter.text,
    )
