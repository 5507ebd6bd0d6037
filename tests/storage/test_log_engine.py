"""DuckDB beside the event loop: deadlines hold, and whoever gives up frees a thread."""

import asyncio
import time

import duckdb
import pyarrow as pa
import pytest

from app.services import Services
from app.wire.base import new_id
from app.wire.logs import LevelFilter, LogFilter
from storage.errors import Busy
from storage.logs import engine as engine_module
from storage.logs import scan
from storage.logs.engine import Engine
from storage.logs.lines import LINES
from storage.logs.predicate import compile_filter
from tests.storage.test_log_tier import line, offload_everything, post, read


def _endless(cursor: duckdb.DuckDBPyConnection) -> pa.Table:
    with cursor:
        return cursor.execute(
            "SELECT count(*) FROM range(40000000000) a(x) WHERE x * x % 7 = 3"
        ).to_arrow_table()


async def _ends_early(engine: Engine) -> None:
    with pytest.raises(Busy):
        await engine._run(_endless)


async def test_the_deadline_holds_for_queries_that_wait_for_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "DEADLINE_SECONDS", 0.5)
    async with Engine.open() as engine:
        started = time.monotonic()
        await asyncio.gather(*(_ends_early(engine) for _ in range(8)))
        assert time.monotonic() - started < 5


async def test_whoever_gives_up_frees_a_thread() -> None:
    lines = pa.Table.from_pylist(
        [
            {"seq": seq, "timestamp": seq, "level": seq, "name": "n", "message": "m"}
            for seq in range(100)
        ],
        schema=LINES,
    )
    predicate = compile_filter(LogFilter(level=LevelFilter(ge_=50)))
    async with Engine.open() as engine:
        slow = [asyncio.create_task(engine._run(_endless)) for _ in range(8)]
        await asyncio.sleep(0.1)
        for task in slow:
            task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait(slow)
            assert (await engine.filter(lines, predicate)).num_rows == 50


async def test_many_scans_may_start_at_once(services: Services) -> None:
    await post(services, *[line(i, run=new_id()) for i in range(100)])
    await offload_everything(services)
    pages = await asyncio.gather(*(read(services, LogFilter()) for _ in range(20)))
    assert [len(page) for page in pages] == [100] * 20


async def test_a_question_too_large_for_memory_is_turned_away(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lines may come before the first that is given: their run ends as the last."""
    run = new_id()
    await post(services, *[line(i, run=run) for i in range(2_000)])
    await offload_everything(services)
    monkeypatch.setattr(scan, "MAX_WAITING_BYTES", 100_000)
    assert len(await read(services, LogFilter())) == 200
    with pytest.raises(Busy, match="narrow"):
        await read(services, LogFilter(), offset=10**9)
