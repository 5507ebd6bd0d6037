"""Lines of a deleted task run are gone under every flow run that they name, for every reader, for good."""

import datetime as dt
import uuid

from app.services import Services
from app.wire.base import new_id
from app.wire.line_filters import LogSearch, OwnLogFilter
from app.wire.log_counts import LogCountsQuery, LogHistogramQuery
from app.wire.logs import FlowRunIdFilter, LogFilter
from jobs.log_compaction import clean_logs, locate_task_lines, prune_log_tombstones
from storage.logs import offload
from storage.logs.compaction import NOTHING_TO_DO, compact_pass
from storage.logs.deleted_tasks import locate_deleted_tasks
from storage.logs.lines import microseconds_of, seq_of, to_logs
from storage.logs.manifest import run_sources
from storage.logs.planner import Bounds
from storage.logs.streams import Wanted
from storage.postgres.pool import connection
from tests.storage.test_log_tier import START, line, of_run, offload_everything, post, read


async def seen(services: Services, run: uuid.UUID) -> list[str]:
    """The messages of a run's lines, in order, which every reader must agree on."""
    page = await read(services, of_run(run), limit=1000)
    messages = [log.message for log in page]
    assert await services.logs.beyond(of_run(run), None, backward=False, limit=1000) == page
    if page:
        last = page[-1]
        key = (microseconds_of(last.timestamp), seq_of(last.id))
        assert await services.logs.lines_before(of_run(run), key) == len(page) - 1
    every = await read(services, LogFilter(), limit=1000)
    assert [log.message for log in every if log.flow_run_id == run] == messages
    of_this = OwnLogFilter(flow_run_id=FlowRunIdFilter(any_=[run]))
    search = LogSearch(logs=of_this, order="oldest", limit=1000)
    found = [log.message async for step in services.logs.search(search, None) for log in step.lines]
    assert found == messages
    streams = services.logs.streams
    parts = streams.lines(Wanted(log_filter=of_run(run)), await streams.now())
    assert [log.message async for part in parts for log in to_logs(part)] == messages
    for asked in (None, of_this):
        counts = await services.logs.run_counts(LogCountsQuery(logs=asked))
        assert [each.lines for each in counts.runs if each.flow_run_id == run] == (
            [len(page)] if page else []
        )
    histogram = await services.logs.histogram(
        LogHistogramQuery(start=START, end=START + dt.timedelta(days=1), bucket_seconds=60)
    )
    assert sum(bucket.lines for bucket in histogram.buckets) == len(every)
    return messages


async def test_lines_of_a_deleted_task_run_under_another_flow_run_are_gone_for_good(
    services: Services,
) -> None:
    run, other, third, task = new_id(), new_id(), new_id(), new_id()

    async def log(of: uuid.UUID, first: int) -> None:
        """Ten lines; every other one names the task run."""
        numbers = range(first, first + 10)
        await post(services, *[line(i, run=of, task=None if i % 2 else task) for i in numbers])

    for of in (run, other):
        await log(of, 0)
    await offload_everything(services)
    while (
        await compact_pass(services.pool, services.objects, dt.datetime.now(dt.UTC), force=True)
        != NOTHING_TO_DO
    ):
        pass
    await log(other, 10)
    await post(services, line(0, run=third))
    odd = [f"line {i}" for i in range(1, 20, 2)]

    # As deleting a task run does.
    await services.pool.execute(
        "INSERT INTO log_task_tombstone (task_run_id, flow_run_id) VALUES ($1, $2)", task, run
    )
    assert (await seen(services, run), await seen(services, other)) == (odd[:5], odd)

    # A flush that does not know of the deletion may still come, so for a minute nobody looks.
    assert await locate_task_lines(services) == {}
    assert (
        await locate_deleted_tasks(services.pool, services.objects, deleted_before_seconds=0) == 1
    )
    assert (await seen(services, run), await seen(services, other)) == (odd[:5], odd)
    # Other runs have nothing to do with it.
    async with connection(services.pool) as conn:
        assert (await run_sources(conn, [third], Bounds()))[1].tasks == []

    # What comes late is hidden at once, wherever.
    await log(third, 1)
    assert await seen(services, third) == ["line 0", *odd[:5]]
    await offload_everything(services)
    assert await seen(services, third) == ["line 0", *odd[:5]]

    await services.pool.execute(
        "UPDATE log_task_tombstone SET created = created - interval '2 days'"
    )
    await services.pool.execute("UPDATE log_segment SET cleaned = cleaned - interval '3 days'")
    assert (await clean_logs(services))["dropped_rows"] == 5 + 10 + 5
    assert await clean_logs(services) == {}
    await offload.sweep(services.pool, services.objects, grace_seconds=0)
    await services.pool.execute(
        "UPDATE log_task_tombstone SET created = created - interval '8 days'"
    )
    assert await prune_log_tombstones(services) == {"tombstones": 3}
    assert await seen(services, run) == odd[:5]
    assert (await seen(services, other), await seen(services, third)) == (odd, ["line 0", *odd[:5]])
