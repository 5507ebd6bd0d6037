"""What is asked often is answered from an index, in a database with very many runs."""

import datetime as dt
import os
import uuid
from collections.abc import AsyncIterator

import pytest

from app.wire.base import utc_now
from app.wire.filters import (
    AllOrAnyTags,
    AnyOrNotId,
    AnyOrNotText,
    AnyOrNullId,
    FlowFilter,
    FlowRunFilter,
    FlowRunStateFilter,
    Selection,
    StateTypeOrNotFilter,
    TimeFilter,
)
from app.wire.sorting import FlowRunSort
from bench.seeded_runs import seed_runs
from storage.postgres import filters
from storage.postgres.pool import Conn, connect
from storage.postgres.statements import statement
from tests.conftest import EmbeddedServers, own_database

# The plans of a million runs are those of fewer; `TAILRACE_TEST_RUNS=1000000` shows it.
RUNS = int(os.environ.get("TAILRACE_TEST_RUNS", "200000"))
BIG = ("flow_run", "flow_run_state", "task_run", "event")

NOW = utc_now()
FLOW = uuid.UUID("000f0000-0000-7000-8000-000000000007")
DEPLOYMENT = uuid.UUID("000d0000-0000-7000-8000-00000000004d")
RUN = uuid.UUID("00010000-0000-7000-8000-000000000400")


def in_state(*types: str) -> FlowRunStateFilter:
    return FlowRunStateFilter(type=StateTypeOrNotFilter(any_=list(types)))  # pyrefly: ignore


SELECTIONS = {
    "everything": Selection(),
    "state": Selection(flow_runs=FlowRunFilter(state=in_state("FAILED", "CRASHED"))),
    "rare state": Selection(flow_runs=FlowRunFilter(state=in_state("RUNNING"))),
    "name of a state": Selection(
        flow_runs=FlowRunFilter(state=FlowRunStateFilter(name=AnyOrNotText(any_=["Late"])))
    ),
    "deployment": Selection(flow_runs=FlowRunFilter(deployment_id=AnyOrNullId(any_=[DEPLOYMENT]))),
    "flow": Selection(flows=FlowFilter(id=AnyOrNotId(any_=[FLOW]))),
    "tag": Selection(flow_runs=FlowRunFilter(tags=AllOrAnyTags(all_=["tag-3"]))),
    "day": Selection(
        flow_runs=FlowRunFilter(
            expected_start_time=TimeFilter(after_=NOW - dt.timedelta(days=1), before_=NOW)
        )
    ),
}
SORTS: tuple[FlowRunSort, ...] = ("ID_DESC", "EXPECTED_START_TIME_DESC", "START_TIME_DESC")


@pytest.fixture(scope="module")
async def conn(embedded_servers: EmbeddedServers) -> AsyncIterator[Conn]:
    """A connection to a database as it is after months."""
    async with own_database(embedded_servers) as url:
        opened = await connect(url)
        await seed_runs(opened, runs=RUNS, task_runs=RUNS // 4, events=RUNS // 4, now=NOW)
        yield opened
        await opened.close()


async def assert_no_big_table_is_read_whole(conn: Conn, sql: str, *values: object) -> None:
    rows = await conn.fetch(f"EXPLAIN {sql}", *values)
    plan = "\n".join(row[0] for row in rows)
    whole = [table for table in BIG if f"Seq Scan on {table} " in plan]
    assert not whole, plan


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", SELECTIONS)
async def test_a_page_of_runs(conn: Conn, name: str, sort: FlowRunSort) -> None:
    sql, values = filters.select_flow_runs(SELECTIONS[name], sort, 50, 0)
    await assert_no_big_table_is_read_whole(conn, sql, *values)


@pytest.mark.parametrize("name", SELECTIONS)
async def test_a_count_of_runs(conn: Conn, name: str) -> None:
    sql, values = filters.count_flow_runs(SELECTIONS[name])
    await assert_no_big_table_is_read_whole(conn, sql, *values)


@pytest.mark.parametrize("name", ["everything", "day", "deployment", "flow"])
async def test_a_history_of_runs(conn: Conn, name: str) -> None:
    start = NOW - dt.timedelta(days=91)
    sql, values = filters.flow_run_history(SELECTIONS[name], start, NOW, 86400.0, NOW)
    await assert_no_big_table_is_read_whole(conn, sql, *values)


async def test_one_run_and_what_belongs_to_it(conn: Conn) -> None:
    for name, values in (
        ("lock_flow_run", [RUN]),
        ("lock_task_run", [RUN]),
        ("select_flow_run_states", [RUN]),
        ("read_flow_run_by_idempotency_key", [FLOW, "k"]),
        ("read_task_run_by_key", [RUN, "k", "k"]),
        ("select_graph_nodes", [RUN, NOW, 10_000]),
        ("count_task_runs_of_flow_runs", [[RUN]]),
        ("claim_deferred_task_run", [["a"], NOW, RUN, NOW]),
    ):
        await assert_no_big_table_is_read_whole(conn, statement(name), *values)
    await assert_no_big_table_is_read_whole(
        conn, statement("select_flow_runs") + " WHERE r.id = $1", RUN
    )
