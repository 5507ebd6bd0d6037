"""A history says of each interval and state what its runs add up to, however it is read."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from app.wire.base import new_id
from app.wire.filters import (
    AnyOrNullId,
    AnyText,
    FlowRunFilter,
    FlowRunStateFilter,
    HistoryQuery,
    NameFilter,
    StateTypeOrNotFilter,
    WorkPoolFilter,
)
from app.wire.states import TERMINAL, StateType
from storage.postgres.pool import Pool, transaction
from storage.postgres.run_history import flow_run_history

START = dt.datetime(2026, 11, 24, 6, 30, tzinfo=dt.UTC)
NOW = START + dt.timedelta(hours=5)
STATES: tuple[tuple[StateType, str], ...] = (
    ("SCHEDULED", "Scheduled"),
    ("SCHEDULED", "Late"),
    ("RUNNING", "Running"),
    ("COMPLETED", "Completed"),
    ("FAILED", "Completed"),
)
FLOW, POOL, QUEUE = (uuid.UUID(int=number) for number in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Run:
    """What counts of a run; `half_hours` after the start, which is where intervals meet."""

    state: tuple[StateType, str] | None
    half_hours: int | None
    late: int | None
    seconds: float
    queued: bool
    nested: bool

    @property
    def expected(self) -> dt.datetime | None:
        if self.half_hours is None:
            return None
        return START + self.half_hours * dt.timedelta(minutes=30)

    @property
    def started(self) -> dt.datetime | None:
        if self.late is None or self.expected is None:
            return None
        return self.expected + dt.timedelta(seconds=self.late)

    def is_in(self, first: dt.datetime, after: dt.datetime) -> bool:
        return self.expected is not None and first <= self.expected < after

    @property
    def run_time(self) -> float:
        running = self.state is not None and self.state[0] == "RUNNING"
        return self.seconds + ((NOW - START).total_seconds() if running else 0)

    @property
    def lateness(self) -> float:
        assert self.state is not None
        assert self.expected is not None
        if self.started is not None:
            return max(0.0, (self.started - self.expected).total_seconds())
        if self.state[0] in TERMINAL:
            return 0.0
        return max(0.0, (NOW - self.expected).total_seconds())


runs = st.builds(
    Run,
    st.one_of(st.none(), st.sampled_from(STATES)),
    st.one_of(st.none(), st.integers(-1, 12)),
    st.one_of(st.none(), st.integers(-5, 5)),
    st.integers(0, 9).map(float),
    st.booleans(),
    st.booleans(),
)


async def _keep(pool: Pool, runs: list[Run]) -> None:
    async with transaction(pool) as conn:
        await conn.execute("TRUNCATE flow, work_pool CASCADE")
        await conn.execute(
            "INSERT INTO flow (id, created, updated, name, tags, labels)"
            " VALUES ($1, $2, $2, 'f', '{}', '{}')",
            FLOW,
            START,
        )
        await conn.execute(
            "INSERT INTO work_pool (id, created, updated, name, type, base_job_template,"
            " is_paused, storage_configuration, status)"
            " VALUES ($1, $2, $2, 'pool', 'process', '{}', false, '{}', 'READY')",
            POOL,
            START,
        )
        await conn.execute(
            "INSERT INTO work_queue (id, created, updated, name, is_paused, priority,"
            " work_pool_id, status) VALUES ($1, $2, $2, 'queue', false, 1, $3, 'READY')",
            QUEUE,
            START,
            POOL,
        )
        await conn.executemany(
            "INSERT INTO flow_run (id, created, updated, name, flow_id, parameters, context,"
            " empirical_policy, tags, labels, state_type, state_name, state_timestamp,"
            " expected_start_time, start_time, total_run_time, work_queue_id, parent_task_run_id)"
            " VALUES ($1, $2, $2, 'run', $3, '{}', '{}', '{}', '{}', '{}', $4, $5, $2, $6, $7,"
            " $8, $9, $10)",
            [
                (
                    new_id(),
                    START,
                    FLOW,
                    *(run.state or (None, None)),
                    run.expected,
                    run.started,
                    run.seconds,
                    QUEUE if run.queued else None,
                    new_id() if run.nested else None,
                )
                for run in runs
            ],
        )


IN_STATE = StateTypeOrNotFilter(any_=["SCHEDULED", "COMPLETED"])
# What is asked, and of which runs.
ASKED: list[tuple[dict[str, Any], Callable[[Run], bool]]] = [
    ({}, lambda run: True),
    ({"work_pools": WorkPoolFilter(name=AnyText(any_=["pool"]))}, lambda run: run.queued),
    (
        {"flow_runs": FlowRunFilter(parent_task_run_id=AnyOrNullId(is_null_=True))},
        lambda run: not run.nested,
    ),
    (
        {"flow_runs": FlowRunFilter(state=FlowRunStateFilter(type=IN_STATE))},
        lambda run: run.state is not None and run.state[0] in ("SCHEDULED", "COMPLETED"),
    ),
    # Names are not in the index of histories, so this is read another way.
    ({"flow_runs": FlowRunFilter(name=NameFilter(like_="RU"))}, lambda run: True),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(runs, max_size=12), st.sampled_from([600.0, 1800.0, 3600.0, 5400.5]))
async def test_each_interval_and_state_is_added_up(
    pool: Pool, kept: list[Run], seconds: float
) -> None:
    await _keep(pool, kept)
    for filters, means in ASKED:
        query = HistoryQuery(
            history_start=START,
            history_end=NOW,
            history_interval_seconds=seconds,
            **filters,
        )
        async with transaction(pool) as conn:
            answer = await flow_run_history(conn, query, now=NOW)
        meant = [run for run in kept if run.state is not None and means(run)]
        assert answer[0].interval_start == START
        for interval in answer:
            wanted = defaultdict[tuple[str, str], list[Run]](list)
            for run in meant:
                if run.is_in(interval.interval_start, interval.interval_end):
                    assert run.state is not None
                    wanted[run.state].append(run)
            assert [
                (s.state_type, s.state_name, s.count_runs, s.sum_estimated_run_time)
                for s in interval.states
            ] == [
                (*state, len(runs), sum(run.run_time for run in runs))
                for state, runs in sorted(wanted.items())
            ]
            assert [s.sum_estimated_lateness for s in interval.states] == [
                sum(run.lateness for run in runs) for _, runs in sorted(wanted.items())
            ]
