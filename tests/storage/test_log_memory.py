"""What is read at once is bounded, however much there is and however well it compresses."""

import pyarrow as pa
import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import LogFilter, TextFilter
from storage.logs import offload, scan
from storage.logs.engine import Engine
from storage.logs.manifest import tier_status
from storage.logs.offload import offload_pass
from storage.logs.predicate import Predicate
from storage.postgres.pool import connection
from tests.storage.test_log_tier import line, of_run, offload_everything, post, read


async def test_batches_that_decode_to_much_become_several_segments(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload, "MAX_SEGMENT_DECODED_BYTES", 3 * 1024**2)
    run = new_id()
    for number in range(8):
        await post(services, line(number, run=run, message=f"{number} " + "x" * 1024**2))

    first = await offload_pass(services.pool, services.objects, force=True)
    assert (first.batches, first.rows, first.more) == (2, 2, True)
    await offload_everything(services)

    async with connection(services.pool) as conn:
        hot, segments = await tier_status(conn)
    assert (hot.rows, segments.rows, segments.parts) == (0, 8, 4)
    page = await read(services, of_run(run))
    assert [log.message.split()[0] for log in page] == [str(number) for number in range(8)]


async def test_a_scan_looks_at_a_bounded_part_of_the_hot_tier_at_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MAX_ROWS", 10)
    most = 0
    whole = Engine.filter

    async def measured(engine: Engine, lines: pa.Table, predicate: Predicate) -> pa.Table:
        nonlocal most
        most = max(most, lines.num_rows)
        return await whole(engine, lines, predicate)

    monkeypatch.setattr(Engine, "filter", measured)
    # All overlap in time; some lie in a segment.
    for start in range(20):
        await post(services, *[line(i, run=new_id()) for i in range(start, 100, 20)])
        if start == 4:
            await offload_everything(services)

    for descending in (False, True):
        numbers = [f"line {i}" for i in range(100)][:: -1 if descending else 1]
        page = await read(services, LogFilter(), limit=30, offset=40, descending=descending)
        assert [log.message for log in page] == numbers[40:70]
    # A segment's row group of 25 lines comes whole.
    assert most <= 10 + 25


async def test_a_filtered_page_keeps_no_more_than_it_needs(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_id()
    for half in (0, 1):
        await post(services, *[line(i, run=run) for i in range(half, 60_000, 2)])
        await offload_everything(services)
    read_rows = 0
    whole = Engine.filter

    async def measured(engine: Engine, lines: pa.Table, predicate: Predicate) -> pa.Table:
        nonlocal read_rows
        read_rows += lines.num_rows
        return await whole(engine, lines, predicate)

    monkeypatch.setattr(Engine, "filter", measured)
    query = LogFilter(
        flow_run_id=of_run(run).flow_run_id, text=TextFilter(query="matches -nothing line")
    )
    for descending in (False, True):
        page = await read(services, query, offset=300, descending=descending)
        numbers = [f"line {i}" for i in range(60_000)][:: -1 if descending else 1]
        assert [log.message for log in page] == numbers[300:500]
    assert read_rows <= 4 * 8192
