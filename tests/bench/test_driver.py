"""The driver counts what a server acknowledged, against a tiny server of the test's own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.corpus import CorpusSpec, batches
from bench.driver import IngestLoad, LifecycleLoad, LoadFailed, PageLoad, Target, run_load
from tests.bench.tiny_server import TinyServer, serving

SPEC = CorpusSpec(lines=6_000, seed=5)


@pytest_asyncio.fixture
async def tiny() -> AsyncIterator[tuple[TinyServer, Target]]:
    """A tiny server on a free port."""
    app = TinyServer()
    async with serving(app) as target:
        yield app, target


async def test_ingest_counts_every_acknowledged_line(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    started: list[bool] = []
    load = IngestLoad(corpus=SPEC, batch_lines=20, connections=4, seconds=30)
    result = await asyncio.to_thread(run_load, load, target, lambda: started.append(True))
    assert started == [True]
    assert result.units == app.lines == SPEC.lines
    assert result.requests == sum(1 for _ in batches(SPEC, 20))
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms
    assert result.failures == 0


async def test_a_part_of_the_corpus_can_be_posted(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    load = IngestLoad(
        corpus=SPEC, batch_lines=100, connections=2, seconds=30, first_batch=3, count=5
    )
    result = await asyncio.to_thread(run_load, load, target)
    assert result.requests == 5
    assert result.units == app.lines


async def test_refused_batches_fail_the_load(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    app.status = 503
    load = IngestLoad(corpus=SPEC, batch_lines=20, connections=2, seconds=30)
    with pytest.raises(LoadFailed, match="503"):
        await asyncio.to_thread(run_load, load, target)


async def test_a_short_page_fails_the_load(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    app.page_lines = 3
    with pytest.raises(LoadFailed, match="3 lines instead of"):
        await asyncio.to_thread(run_load, PageLoad(corpus=SPEC, pages=5), target)


async def test_a_lifecycle_is_three_requests_in_order(tiny: tuple[TinyServer, Target]) -> None:
    app, target = tiny
    load = LifecycleLoad(connections=2, seconds=0.3)
    result = await asyncio.to_thread(run_load, load, target)
    assert result.units > 0
    assert app.states.count("RUNNING") == app.states.count("COMPLETED") == result.units
