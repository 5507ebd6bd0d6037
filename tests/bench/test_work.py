"""Workers of the benchmark claim what they are given, once, and say what was refused."""

import asyncio
import re

import msgspec
import pytest
from typing_extensions import override

from bench.driver import LoadFailed, run_load
from bench.work import CreateRuns, PollLoad, SetStateLoad
from tests.bench.tiny_server import TinyServer, serving

ID_IN_PATH = re.compile(r"/flow_runs/([^/]+)/set_state")


class TinyPool(TinyServer):
    """Hands out the same first runs to everybody until they are claimed."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.created = 0
        self.due = {f"run-{number}": True for number in range(runs)}
        self.accepts_twice = False
        self.refuses_first = False
        self.accepted: list[tuple[str, str]] = []

    @override
    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/get_scheduled_flow_runs"):
            limit = msgspec.json.decode(body)["limit"]
            free = [run for run, due in self.due.items() if due][:limit]
            return 200, msgspec.json.encode([{"flow_run": {"id": run}} for run in free])
        if path.endswith("/flow_runs/filter"):
            offset = msgspec.json.decode(body)["offset"]
            return 200, msgspec.json.encode([{"id": run} for run in [*self.due][offset:][:200]])
        if path.endswith("/create_flow_run"):
            self.created += 1
        if found := ID_IN_PATH.search(path):
            return 201, self.claim(found[1], msgspec.json.decode(body)["state"]["type"])
        return 201, b'{"id":"7d1f9d0c-0a75-4b5a-8d46-7d4b1a7c1b1e"}'

    def claim(self, run: str, state_type: str) -> bytes:
        """The answer to a proposed state."""
        taken = state_type == "PENDING" and not self.due[run] and not self.accepts_twice
        if self.refuses_first or taken:
            self.refuses_first = False
            return b'{"status":"ABORT"}'
        self.due[run] = False
        self.accepted.append((run, state_type))
        return b'{"status":"ACCEPT"}'


async def test_workers_claim_every_due_run_once() -> None:
    pool = TinyPool(runs=90)
    async with serving(pool) as target:
        load = PollLoad(runs=90, workers=8, limit=20, seconds=30)
        result = await asyncio.to_thread(run_load, load, target)
    assert result.units == 90
    assert sorted(pool.accepted) == sorted((run, "PENDING") for run in pool.due)


async def test_refused_claims_are_counted() -> None:
    pool = TinyPool(runs=10)
    pool.refuses_first = True
    async with serving(pool) as target:
        load = PollLoad(runs=10, workers=1, limit=20, seconds=30)
        result = await asyncio.to_thread(run_load, load, target)
    assert (result.units, result.failures) == (10, 1)
    assert "ABORT" in result.first_failure


async def test_a_run_that_two_workers_may_have_fails_the_load() -> None:
    pool = TinyPool(runs=40)
    pool.accepts_twice = True
    async with serving(pool) as target:
        load = PollLoad(runs=40, workers=4, limit=20, seconds=30)
        with pytest.raises(LoadFailed, match="two workers"):
            await asyncio.to_thread(run_load, load, target)


async def test_as_many_runs_are_created_as_asked_for() -> None:
    pool = TinyPool(runs=0)
    async with serving(pool) as target:
        load = CreateRuns(count=30, due=True, connections=4)
        result = await asyncio.to_thread(run_load, load, target)
    assert result.units == pool.created == 30


async def test_each_run_is_set_running_and_then_completed() -> None:
    pool = TinyPool(runs=450)
    async with serving(pool) as target:
        load = SetStateLoad(runs=430, connections=4, seconds=30)
        result = await asyncio.to_thread(run_load, load, target)
    assert result.units == len(pool.accepted) == 860
    for run in [*pool.due][:430]:
        assert [state for of_run, state in pool.accepted if of_run == run] == [
            "RUNNING",
            "COMPLETED",
        ]
