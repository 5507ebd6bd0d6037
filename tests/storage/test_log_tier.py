"""A line is visible exactly once, in order, before, during and after offload."""

import datetime as dt
import uuid

import msgspec
import pytest

from app.services import Services
from app.wire.base import NIL_UUID, new_id
from app.wire.logs import (
    FlowRunIdFilter,
    LevelFilter,
    Log,
    LogCreate,
    LogFilter,
    TaskRunIdFilter,
    TextFilter,
    TimestampFilter,
)
from storage.logs.encode import BadLine
from storage.logs.manifest import tier_status
from storage.logs.offload import offload_pass
from storage.postgres.pool import connection

START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def line(
    number: int,
    *,
    run: uuid.UUID | None,
    task: uuid.UUID | None = None,
    level: int = 20,
    message: str | None = None,
    name: str = "prefect.flow_runs",
) -> LogCreate:
    """Line `number` of a run: one second after the one before."""
    return LogCreate(
        name=name,
        level=level,
        message=message or f"line {number}",
        timestamp=(START + dt.timedelta(seconds=number)).isoformat(),
        flow_run_id=str(run) if run else None,
        task_run_id=str(task) if task else None,
    )


async def post(services: Services, *lines: LogCreate) -> None:
    await services.ingest.append(msgspec.json.encode(lines), list(lines))


async def read(
    services: Services,
    log_filter: LogFilter,
    *,
    limit: int = 200,
    offset: int = 0,
    descending: bool = False,
) -> list[Log]:
    sort = "TIMESTAMP_DESC" if descending else "TIMESTAMP_ASC"
    return await services.logs.read(log_filter, sort=sort, limit=limit, offset=offset)


def of_run(*runs: uuid.UUID) -> LogFilter:
    return LogFilter(flow_run_id=FlowRunIdFilter(any_=list(runs)))


async def offload_everything(services: Services) -> None:
    while (await offload_pass(services.pool, services.objects, force=True)).more:
        pass


async def test_lines_read_back_the_same_before_and_after_offload(services: Services) -> None:
    run, task = new_id(), new_id()
    posted = [
        line(i, run=run, task=task if i % 3 else None, level=10 * (i % 5 + 1)) for i in range(50)
    ]
    await post(services, *posted[25:])
    await post(services, *posted[:25])
    await post(services, *[line(i, run=new_id()) for i in range(20)])

    before = await read(services, of_run(run))
    await offload_everything(services)
    after = await read(services, of_run(run))

    assert [log.message for log in before] == [one.message for one in posted]
    assert [str(log.task_run_id) for log in before] == [str(one.task_run_id) for one in posted]
    assert after == before
    async with connection(services.pool) as conn:
        hot, segments = await tier_status(conn)
    assert (hot.rows, segments.rows, segments.parts) == (0, 70, 1)


@pytest.mark.parametrize("descending", [False, True])
async def test_every_page_of_every_size_is_a_slice_of_the_whole(
    services: Services, descending: bool
) -> None:
    """Segments that overlap in time, segments that do not, and hot lines, all at once."""
    run = new_id()
    await post(services, *[line(i, run=run) for i in range(0, 40, 2)])
    await offload_everything(services)
    await post(services, *[line(i, run=run) for i in range(1, 40, 2)])
    await offload_everything(services)
    await post(services, *[line(i, run=run) for i in range(60, 80)])
    await offload_everything(services)
    await post(services, *[line(i, run=run) for i in range(75, 100)])

    whole = await read(services, of_run(run), descending=descending)
    numbers = [int(log.message.split()[1]) for log in whole]
    assert numbers == sorted([*range(40), *range(60, 80), *range(75, 100)], reverse=descending)
    for limit in (1, 7, 50, 200):
        for offset in range(0, 90, 6):
            page = await read(
                services, of_run(run), limit=limit, offset=offset, descending=descending
            )
            assert page == whole[offset : offset + limit]


FILTERS = [
    LogFilter(level=LevelFilter(ge_=30)),
    LogFilter(level=LevelFilter(ge_=0)),
    LogFilter(level=LevelFilter(le_=20)),
    LogFilter(timestamp=TimestampFilter(after_=START + dt.timedelta(seconds=13))),
    LogFilter(timestamp=TimestampFilter(before_=START + dt.timedelta(seconds=13))),
    LogFilter(task_run_id=TaskRunIdFilter(is_null_=True)),
    LogFilter(task_run_id=TaskRunIdFilter(is_null_=False)),
    LogFilter(text=TextFilter(query="apple")),
    LogFilter(text=TextFilter(query="APPLE -red")),
    LogFilter(text=TextFilter(query='+apple "a red" sour')),
    LogFilter(text=TextFilter(query="task_runs")),
    LogFilter(text=TextFilter(query="100%")),
]


def matches(log: Log, query: LogFilter) -> bool:
    """The contract's meaning of a filter, spelled out line by line."""
    text = f"{log.message} {log.name}".lower()
    return all(
        [
            query.level is None or query.level.ge_ is None or log.level >= query.level.ge_,
            query.level is None or query.level.le_ is None or log.level <= query.level.le_,
            query.timestamp is None
            or query.timestamp.after_ is None
            or log.timestamp >= query.timestamp.after_,
            query.timestamp is None
            or query.timestamp.before_ is None
            or log.timestamp <= query.timestamp.before_,
            query.task_run_id is None
            or query.task_run_id.is_null_ is None
            or (log.task_run_id is None) == query.task_run_id.is_null_,
            query.text is None
            or {
                "apple": "apple" in text,
                "APPLE -red": "apple" in text and "red" not in text,
                '+apple "a red" sour': "apple" in text and ("a red" in text or "sour" in text),
                "task_runs": "task_runs" in text,
                "100%": "100%" in text,
            }[query.text.query],
        ]
    )


@pytest.mark.parametrize("offloaded", [False, True])
@pytest.mark.parametrize("across_runs", [False, True])
async def test_each_filter_gives_the_lines_it_describes(
    services: Services, across_runs: bool, offloaded: bool
) -> None:
    run = new_id()
    words = ["a red apple", "a sour Apple", "a red brick", "100% done", "100 percent"]
    lines = [
        line(
            i,
            run=run if i % 4 else new_id(),
            task=new_id() if i % 2 else None,
            level=10 * (i % 5 + 1),
            message=f"{words[i % 5]} {i}",
            name="prefect.task_runs" if i % 2 else "prefect.flow_runs",
        )
        for i in range(30)
    ]
    await post(services, *lines)
    everything = await read(services, LogFilter() if across_runs else of_run(run))
    if offloaded:
        await offload_everything(services)
    for log_filter in FILTERS:
        query = log_filter
        if not across_runs:
            query = msgspec.structs.replace(query, flow_run_id=FlowRunIdFilter(any_=[run]))
        expected = [log for log in everything if matches(log, log_filter)]
        assert await read(services, query) == expected
        assert await read(services, query, limit=3, offset=2) == expected[2:5]
        assert await read(services, query, descending=True) == expected[::-1]


async def test_or_joins_the_fields(services: Services) -> None:
    run = new_id()
    await post(services, line(0, run=run), line(1, run=new_id(), level=40), line(2, run=new_id()))
    query = LogFilter(
        operator="or_", flow_run_id=FlowRunIdFilter(any_=[run]), level=LevelFilter(ge_=40)
    )
    assert [log.message for log in await read(services, query)] == ["line 0", "line 1"]
    await offload_everything(services)
    assert [log.message for log in await read(services, query)] == ["line 0", "line 1"]


async def test_a_body_posted_again_is_acknowledged_and_stored_once(services: Services) -> None:
    run = new_id()
    await post(services, line(0, run=run))
    await post(services, line(0, run=run))
    await offload_everything(services)
    await post(services, line(0, run=run), line(1, run=run))
    await post(services, line(0, run=run))

    messages = [log.message for log in await read(services, of_run(run))]

    assert messages == ["line 0", "line 0", "line 1"]


async def test_a_bad_line_refuses_its_own_body_only(services: Services) -> None:
    run = new_id()
    bad = msgspec.structs.replace(line(1, run=run), timestamp="yesterday")
    with pytest.raises(BadLine) as refused:
        await post(services, line(0, run=run), bad)
    assert (refused.value.index, refused.value.field) == (1, "timestamp")
    await post(services, line(2, run=run))
    assert [log.message for log in await read(services, of_run(run))] == ["line 2"]


async def test_the_nil_run_is_a_run_like_another(services: Services) -> None:
    """Lines without a run and lines of the nil run share a batch and a segment."""
    await post(services, line(0, run=None), line(1, run=NIL_UUID), line(2, run=new_id()))
    for _ in range(2):
        assert [log.message for log in await read(services, LogFilter())] == [
            "line 0",
            "line 1",
            "line 2",
        ]
        assert [log.message for log in await read(services, of_run(NIL_UUID))] == ["line 1"]
        await offload_everything(services)


async def test_a_deleted_run_disappears_from_every_reader(services: Services) -> None:
    run, other = new_id(), new_id()
    await post(services, line(0, run=run), line(1, run=other))
    await offload_everything(services)
    await post(services, line(2, run=run), line(3, run=other))
    async with connection(services.pool) as conn:
        await conn.execute("INSERT INTO log_tombstone (flow_run_id) VALUES ($1)", run)

    assert await read(services, of_run(run)) == []
    assert [log.message for log in await read(services, LogFilter())] == ["line 1", "line 3"]


async def test_a_run_longer_than_many_row_groups_pages_from_end_to_end(services: Services) -> None:
    run = new_id()
    for start in range(0, 40_000, 10_000):
        await post(services, *[line(i, run=run) for i in range(start, start + 10_000)])
    await offload_everything(services)
    for offset in (0, 8_100, 8_192, 24_500, 39_900):
        page = await read(services, of_run(run), offset=offset)
        assert [log.message for log in page] == [
            f"line {i}" for i in range(offset, min(offset + 200, 40_000))
        ]
    rare = msgspec.structs.replace(of_run(run), text=TextFilter(query='"line 38765"'))
    assert [log.message for log in await read(services, rare)] == ["line 38765"]
