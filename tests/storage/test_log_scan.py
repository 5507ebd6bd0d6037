"""Lines of all runs, newest or oldest first: the page is that of a plain list, and little is read for it."""

import datetime as dt
import random
import uuid
from collections.abc import Callable

import msgspec
import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.line_filters import LogSearch, OwnLogFilter
from app.wire.logs import (
    LevelFilter,
    Log,
    LogCreate,
    LogFilter,
    TextFilter,
    TimestampFilter,
)
from storage.logs import scan, segment
from storage.logs.compaction import NOTHING_TO_DO, compact_pass
from storage.logs.offload import offload_pass
from storage.logs.planner import Source
from storage.logs.source_rows import Block, RowGroup, SourceRows

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
RUNS = 40


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few lines make many."""
    monkeypatch.setattr(segment, "ROW_GROUP_ROWS", 32)
    monkeypatch.setattr(segment, "WRITE_ROWS", 256)


@pytest.fixture
def groups_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many row groups each fetch brought."""
    read: list[int] = []
    row_groups = SourceRows.row_groups

    async def counted(
        self: SourceRows, source: Source, key: str, blocks: list[Block]
    ) -> list[RowGroup]:
        read.append(len(blocks))
        return await row_groups(self, source, key, blocks)

    monkeypatch.setattr(SourceRows, "row_groups", counted)
    return read


def lines_of(runs: list[uuid.UUID], seconds: range, draw: random.Random) -> list[LogCreate]:
    """A line of a random run each second."""
    return [
        LogCreate(
            name="prefect.flow_runs",
            level=draw.choice([10, 20, 40]),
            message=f"{second} {'rare' if second % 997 == 0 else draw.choice(['warm', 'cold'])}",
            timestamp=(START + dt.timedelta(seconds=second)).isoformat(),
            flow_run_id=str(draw.choice(runs)),
        )
        for second in seconds
    ]


async def fill(services: Services) -> list[LogCreate]:
    """4,000 lines: three segments, the second of them older than the first, and hot lines; in order."""
    draw = random.Random(7)
    runs = [new_id() for _ in range(RUNS)]
    every: list[LogCreate] = []
    for seconds in (range(1000, 2200), range(1000), range(2000, 3200), range(3200, 4000)):
        lines = lines_of(runs, seconds, draw)
        every += lines
        for first in range(0, len(lines), 200):
            part = lines[first : first + 200]
            await services.ingest.append(msgspec.json.encode([part, first]), part)
        if seconds.start != 3200:
            await offload_pass(services.pool, services.objects, force=True)
    # A stable sort: of equal times the one that was posted first comes first.
    return sorted(every, key=lambda line: line.timestamp)


async def read(
    services: Services, log_filter: LogFilter, *, descending: bool, limit: int, offset: int = 0
) -> list[Log]:
    sort = "TIMESTAMP_DESC" if descending else "TIMESTAMP_ASC"
    return await services.logs.read(log_filter, sort=sort, limit=limit, offset=offset)


QUERIES: list[tuple[LogFilter, Callable[[LogCreate], bool]]] = [
    (LogFilter(), lambda _: True),
    (LogFilter(text=TextFilter(query="warm")), lambda line: "warm" in line.message),
    (LogFilter(text=TextFilter(query="rare")), lambda line: "rare" in line.message),
    (LogFilter(text=TextFilter(query="nowhere")), lambda _: False),
    (LogFilter(level=LevelFilter(ge_=40)), lambda line: line.level >= 40),
    (
        LogFilter(
            timestamp=TimestampFilter(
                after_=START + dt.timedelta(seconds=900), before_=START + dt.timedelta(seconds=1100)
            )
        ),
        lambda line: 900 <= int(line.message.split()[0]) <= 1100,
    ),
]


async def test_every_page_is_that_of_a_plain_list(services: Services) -> None:
    every = await fill(services)
    for log_filter, matches in QUERIES:
        expected = [line.message for line in every if matches(line)]
        for descending in (False, True):
            ordered = expected[::-1] if descending else expected
            for limit, offset in ((200, 0), (7, 0), (50, 123), (200, 2000), (200, 3900)):
                found = await read(
                    services, log_filter, descending=descending, limit=limit, offset=offset
                )
                assert [log.message for log in found] == ordered[offset : offset + limit]


async def test_the_newest_lines_cost_few_row_groups(
    services: Services, groups_read: list[int]
) -> None:
    """Runs that end early are not read for lines that are late."""
    for number in range(20):
        run = new_id()
        lines = [
            LogCreate(
                name="n",
                level=20,
                message=f"run {number} line {second}",
                timestamp=(START + dt.timedelta(seconds=100 * number + second)).isoformat(),
                flow_run_id=str(run),
            )
            for second in range(100)
        ]
        await services.ingest.append(msgspec.json.encode(lines), lines)
    await offload_pass(services.pool, services.objects, force=True)

    found = await read(services, LogFilter(), descending=True, limit=50)

    assert [log.message for log in found] == [f"run 19 line {n}" for n in range(99, 49, -1)]
    # 2,000 lines make 63 row groups.
    assert sum(groups_read) <= 2 * scan.FIRST_BLOCKS


async def test_a_word_that_is_nowhere_costs_few_requests(
    services: Services, groups_read: list[int]
) -> None:
    await fill(services)
    assert await read(services, QUERIES[3][0], descending=True, limit=200) == []
    assert sum(groups_read) == sum(-(-rows // 32) for rows in (1200, 1000, 1200))
    assert len(groups_read) < sum(groups_read) / 4


async def test_the_first_lines_with_a_rare_word_come_before_all_that_have_it_are_read(
    services: Services, groups_read: list[int]
) -> None:
    # Each run has one such line, and ten row groups.
    runs = [new_id() for _ in range(24)]
    for number, run in enumerate(runs):
        lines = [
            LogCreate(
                name="prefect.flow_runs",
                level=20,
                message=f"{'qx7f3a91c' if second == 150 else 'line'} {number}",
                timestamp=(START + dt.timedelta(seconds=320 * number + second)).isoformat(),
                flow_run_id=str(run),
            )
            for second in range(320)
        ]
        await services.ingest.append(msgspec.json.encode(number), lines)
        if number % 12 == 11:
            await offload_pass(services.pool, services.objects, force=True)
    now = dt.datetime.now(dt.UTC)
    while await compact_pass(services.pool, services.objects, now, force=True) != NOTHING_TO_DO:
        pass

    wanted = LogSearch(logs=OwnLogFilter(text=TextFilter(query="qx7f3a91c")), limit=100)
    found: list[str] = []
    read_before_first = None
    async for step in services.logs.search(wanted, None):
        found += [log.message for log in step.lines]
        if found and read_before_first is None:
            read_before_first = sum(groups_read)
    assert found == [f"qx7f3a91c {number}" for number in reversed(range(24))]
    assert read_before_first == scan.FIRST_OF_FEW
    assert sum(groups_read) == len(runs)
    # Eight, and then all others.
    assert len(groups_read) == 2
