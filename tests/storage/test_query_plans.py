"""What is asked often is answered from an index, in a database with very many runs.

Pages, counts and histories are explained. The hot paths are gone, and the plans that the server
really executed on the way are looked at: those made for the values at hand, and those made for any.
"""

import datetime as dt
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
from litestar import Litestar

from app.services import Services
from app.wire.base import NIL_UUID, new_id, utc_now
from app.wire.filters import (
    AllOrAnyTags,
    AnyOrNotId,
    AnyOrNotText,
    AnyOrNullId,
    AnyText,
    FlowFilter,
    FlowRunFilter,
    FlowRunStateFilter,
    NameFilter,
    Selection,
    StateTypeOrNotFilter,
    TimeFilter,
    WorkPoolFilter,
)
from app.wire.sorting import FlowRunSort
from jobs.job import Job
from jobs.registry import ALL_JOBS
from storage.postgres import filters, history_filters, recovery
from storage.postgres.pool import Conn, connect, connection
from tests.conftest import (
    EmbeddedServers,
    client_of,
    installation,
    own_bucket,
    own_database,
    started_app,
)
from tests.orchestration.test_task_run_recorder import told
from tests.storage.executed_plans import PlanMode, telling, told_plans
from tests.storage.months_of_use import fill_with_months_of_use

RUNS = int(os.environ.get("TAILRACE_TEST_RUNS", "1000000"))
BIG = {
    "concurrency_lease",
    "event",
    "flow_run",
    "flow_run_state",
    "log_segment_run",
    "task_run",
    "worker",
}
# Of a big table, on a hot path; who looks at more has gone through too much of it, by an index or not.
MOST_ROWS = RUNS // 100

# Jobs of the log tier work on batches and segments, of which there are few.
JOBS = [job for job in ALL_JOBS if not job.name.startswith("log-")]

NOW = utc_now()
SECOND = dt.timedelta(seconds=1)


def _seeded(kind: str, number: int) -> uuid.UUID:
    return uuid.UUID(f"{kind}0000-0000-7000-8000-{number:012x}")


FLOW = _seeded("000f", 7)
DEPLOYMENT = _seeded("000d", 77)
RUN = _seeded("0001", 1024)
TASK_RUN = _seeded("0002", 1024)
WAITING_RUN = _seeded("0001", RUNS - 10)


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
# Where the extension pg_trgm is there; with one letter there is nothing that it could look up.
PART_OF_A_NAME = Selection(flow_runs=FlowRunFilter(name=NameFilter(like_="26f5d")))
ONE_LETTER = Selection(flow_runs=FlowRunFilter(name=NameFilter(like_="a")))
SORTS: tuple[FlowRunSort, ...] = ("ID_DESC", "EXPECTED_START_TIME_DESC", "START_TIME_DESC")


@pytest.fixture(scope="module")
async def url(embedded_servers: EmbeddedServers) -> AsyncIterator[str]:
    """A database as it is after months."""
    async with own_database(embedded_servers) as url:
        conn = await connect(url)
        await fill_with_months_of_use(conn, runs=RUNS, now=NOW)
        await conn.close()
        yield url


# Pages, counts, histories --------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def conn(url: str) -> AsyncIterator[Conn]:
    opened = await connect(url)
    yield opened
    await opened.close()


async def plan_of(conn: Conn, sql: str, *values: object) -> str:
    return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *values))


async def assert_no_big_table_is_read_whole(conn: Conn, sql: str, *values: object) -> None:
    plan = await plan_of(conn, sql, *values)
    whole = [table for table in BIG if f"Seq Scan on {table} " in plan]
    assert not whole, plan


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", SELECTIONS)
async def test_a_page_of_runs(conn: Conn, name: str, sort: FlowRunSort) -> None:
    sql, values = filters.select_flow_runs(SELECTIONS[name], sort, 50, 0)
    await assert_no_big_table_is_read_whole(conn, sql, *values)


@pytest.mark.parametrize("name", ["flow", "deployment"])
async def test_the_newest_runs_come_in_their_order(conn: Conn, name: str) -> None:
    sql, values = filters.select_flow_runs(SELECTIONS[name], "START_TIME_DESC", 50, 0)
    rows = await conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", *values)
    [scan] = [row[0] for row in rows if f"Index Scan using flow_run_by_{name} on" in row[0]]
    assert "actual rows=50.00" in scan


@pytest.mark.parametrize("name", SELECTIONS)
async def test_a_count_of_runs(conn: Conn, name: str) -> None:
    sql, values = filters.count_flow_runs(SELECTIONS[name])
    await assert_no_big_table_is_read_whole(conn, sql, *values)


@pytest.mark.parametrize("name", ["everything", "day", "deployment", "flow"])
async def test_a_history_of_runs(conn: Conn, name: str) -> None:
    start = NOW - dt.timedelta(days=91)
    sql, values = history_filters.flow_run_history(SELECTIONS[name], start, NOW, 86400.0, NOW)
    await assert_no_big_table_is_read_whole(conn, sql, *values)


@pytest.mark.parametrize("name", ["everything", "day", "state", "subflow runs", "pool"])
async def test_a_history_needs_nothing_but_its_index(conn: Conn, name: str) -> None:
    more = {
        "subflow runs": Selection(
            flow_runs=FlowRunFilter(parent_task_run_id=AnyOrNullId(is_null_=False))
        ),
        "pool": Selection(work_pools=WorkPoolFilter(name=AnyText(any_=["seeded"]))),
    }
    start = NOW - dt.timedelta(days=91)
    selection = (SELECTIONS | more)[name]
    sql, values = history_filters.flow_run_history(selection, start, NOW, 86400.0, NOW)
    plan = await plan_of(conn, sql, *values)
    assert "Index Only Scan using flow_run_history on flow_run r" in plan, plan


async def test_a_part_of_a_name_is_looked_up(conn: Conn) -> None:
    start = NOW - dt.timedelta(days=91)
    for sql, values in (
        filters.select_flow_runs(PART_OF_A_NAME, "START_TIME_DESC", 50, 0),
        filters.count_flow_runs(PART_OF_A_NAME),
        history_filters.flow_run_history(PART_OF_A_NAME, start, NOW, 86400.0, NOW),
    ):
        plan = await plan_of(conn, sql, *values)
        assert "Bitmap Index Scan on flow_run_by_part_of_name" in plan, plan


async def test_a_part_of_a_name_that_is_too_short_is_not(conn: Conn) -> None:
    sql, values = filters.count_flow_runs(ONE_LETTER)
    await conn.execute("SET enable_seqscan = off; SET enable_indexonlyscan = off")
    plan = await plan_of(conn, sql, *values)
    await conn.execute("RESET enable_seqscan; RESET enable_indexonlyscan")
    assert "flow_run_by_part_of_name" not in plan, plan


# Hot paths -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["force_custom_plan", "force_generic_plan"])
async def app(
    url: str, embedded_servers: EmbeddedServers, request: pytest.FixtureRequest
) -> AsyncIterator[Litestar]:
    mode: PlanMode = request.param
    async with (
        own_bucket(embedded_servers.seaweedfs.s3) as s3,
        started_app(installation(telling(url, mode), s3)) as started,
    ):
        yield started


@pytest.fixture(scope="module")
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def services(app: Litestar) -> Services:
    opened: Services = app.state.services
    return opened


Indexed = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def indexed(embedded_servers: EmbeddedServers) -> Indexed:
    """Within the block these tables are looked at, and of no big one more than a small part."""

    @contextmanager
    def within(*tables: str, most: int = MOST_ROWS) -> Iterator[None]:
        with told_plans(embedded_servers.postgres.log_file) as plans:
            yield
        looked_at = {table for plan in plans for table in plan.rows}
        assert set(tables) <= looked_at
        for plan in plans:
            assert not plan.read_whole & BIG, plan.shown
            assert max(plan.rows.get(table, 0) for table in BIG) <= most, plan.shown

    return within


async def ask(client: httpx.AsyncClient, path: str, **body: object) -> httpx.Response:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer


async def test_workers_poll_a_pool(client: httpx.AsyncClient, indexed: Indexed) -> None:
    with indexed("work_queue", "flow_run", "flow_run_offer"):
        answer = await ask(client, "/work_pools/seeded/get_scheduled_flow_runs", limit=10)
    assert len(answer.json()) == 10


async def test_an_old_agent_polls_a_queue(client: httpx.AsyncClient, indexed: Indexed) -> None:
    with indexed("work_queue", "flow_run"):
        await ask(client, f"/work_queues/{_seeded('000a', 3)}/get_runs", limit=10)


async def test_a_process_polls_the_deployments_that_it_serves(
    client: httpx.AsyncClient, indexed: Indexed
) -> None:
    served = [str(_seeded("000d", number)) for number in range(1, 200)]
    with indexed("flow_run", "flow_run_offer"):
        await ask(client, "/deployments/get_scheduled_flow_runs", deployment_ids=served)


async def test_a_run_goes_through_its_states(client: httpx.AsyncClient, indexed: Indexed) -> None:
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        with indexed("flow_run", "flow_run_state", "event"):
            url = f"/flow_runs/{WAITING_RUN}/set_state"
            answer = await ask(client, url, state={"type": type}, force=True)
        assert answer.json()["status"] == "ACCEPT"


async def test_a_run_is_made_once_for_its_key(client: httpx.AsyncClient, indexed: Indexed) -> None:
    body = {"flow_id": str(FLOW), "idempotency_key": str(new_id()), "parent_task_run_id": None}
    ids = []
    for _ in range(2):
        with indexed("flow_run", "flow_run_state"):
            ids.append((await ask(client, "/flow_runs/", **body)).json()["id"])
    assert ids[0] == ids[1]


async def test_a_run_of_a_deployment_is_asked_for_and_deleted(
    client: httpx.AsyncClient, indexed: Indexed
) -> None:
    with indexed("flow_run", "deployment"):
        run = await ask(client, f"/deployments/{DEPLOYMENT}/create_flow_run")
    with indexed("flow_run", "task_run"):
        deleted = await client.delete(f"/flow_runs/{run.json()['id']}")
    assert deleted.status_code == 204


async def test_a_run_is_looked_at(client: httpx.AsyncClient, indexed: Indexed) -> None:
    with indexed("flow_run", "flow_run_state", "task_run", "artifact"):
        for path in (
            f"/flow_runs/{RUN}",
            f"/flow_runs/{RUN}/graph-v2",
            f"/flow_run_states/?flow_run_id={RUN}",
            f"/task_runs/{TASK_RUN}",
            f"/task_run_states/?task_run_id={TASK_RUN}",
        ):
            assert (await client.get(path)).status_code == 200
        await ask(client, "/ui/flow_runs/count-task-runs", flow_run_ids=[str(RUN)])
        await ask(client, "/task_runs/filter", flow_runs={"id": {"any_": [str(RUN)]}})


async def test_what_belongs_to_runs_is_looked_up_for_a_page_of_them(
    client: httpx.AsyncClient, embedded_servers: EmbeddedServers
) -> None:
    flow = {"id": {"any_": [str(FLOW)]}}
    with told_plans(embedded_servers.postgres.log_file) as plans:
        page = await ask(client, "/flow_runs/filter", flows=flow, limit=20)
        count = await ask(client, "/flow_runs/count", flows=flow)
    assert len(page.json()) == 20
    assert count.json() > 500
    [states] = [plan.rows["flow_run_state"] for plan in plans if "flow_run_state" in plan.rows]
    assert states == 20


async def test_a_task_run_goes_through_its_states(
    client: httpx.AsyncClient, indexed: Indexed
) -> None:
    body = {"flow_run_id": str(RUN), "task_key": "t", "dynamic_key": str(new_id())}
    with indexed("task_run", "task_run_state"):
        run = (await ask(client, "/task_runs/", **body)).json()
        for type in ("PENDING", "RUNNING", "COMPLETED"):
            await ask(client, f"/task_runs/{run['id']}/set_state", state={"type": type})


async def test_task_runs_are_told(services: Services, indexed: Indexed) -> None:
    events = [told(run, step, id=new_id()) for run in range(1, 40) for step in range(5)]
    with indexed("event", "task_run", "task_run_state"):
        await services.events.write(events, 1, within=10.0)


async def test_events_are_looked_for(client: httpx.AsyncClient, indexed: Indexed) -> None:
    day = {"since": (NOW - dt.timedelta(days=1)).isoformat(), "until": NOW.isoformat()}
    run = f"prefect.flow-run.{RUNS // 5}"
    asked: list[dict[str, object]] = [
        {},
        {"occurred": day},
        {"resource": {"id": [run]}},
        {"any_resource": {"id": [run]}},
        {"related": {"id": [run]}},
    ]
    for said in asked:
        # How many there are is counted too, in the index.
        with indexed("event", most=RUNS):
            await ask(client, "/events/filter", filter=said, limit=50)


async def test_lines_of_a_run_are_planned(client: httpx.AsyncClient, indexed: Indexed) -> None:
    nobody = new_id()
    with indexed("log_segment_run", "log_batch"):
        body = {"logs": {"flow_run_id": {"any_": [str(nobody)]}}, "sort": "TIMESTAMP_ASC"}
        assert (await ask(client, "/logs/filter", **body)).json() == []


async def test_signs_of_life_are_written(services: Services, indexed: Indexed) -> None:
    assert services.signs is not None
    services.signs.hear_runs([_seeded("0001", number) for number in range(1000, 2000)])
    with indexed("flow_run_sign", "flow_run_watch"):
        await services.signs.write()


async def test_slots_are_taken_renewed_and_given_back(
    client: httpx.AsyncClient, indexed: Indexed
) -> None:
    limits = "/v2/concurrency_limits"
    with indexed("concurrency_limit", "concurrency_lease"):
        taken = await ask(client, f"{limits}/increment-with-lease", names=["limit-9"], slots=1)
        lease = taken.json()["lease_id"]
        await ask(client, f"{limits}/leases/{lease}/renew")
        await ask(client, f"{limits}/decrement-with-lease", lease_id=lease)


async def test_a_changed_schedule_takes_its_runs_back(
    client: httpx.AsyncClient, indexed: Indexed
) -> None:
    url = f"/deployments/{DEPLOYMENT}/schedules/{DEPLOYMENT}"
    with indexed("flow_run", "deployment_schedule"):
        answer = await client.patch(
            url, json={"schedule": {"cron": "0 5 * * *", "timezone": "UTC", "day_or": True}}
        )
    assert answer.status_code == 204


async def test_runs_that_may_be_dead_or_stuck_are_looked_at(
    services: Services, indexed: Indexed
) -> None:
    later = NOW + dt.timedelta(hours=1)
    first = (dt.datetime(1, 1, 1, tzinfo=dt.UTC), NIL_UUID)
    async with connection(services.pool) as conn:
        for state_type in ("PENDING", "RUNNING"):
            with indexed("flow_run", "flow_run_sign"):
                ids = await recovery.silent_runs(
                    conn, state_type, heard_before=later, after=NIL_UUID, limit=200
                )
            with indexed("flow_run", "flow_run_state", "flow_run_sign", "worker"):
                assert len(await recovery.suspects(conn, ids)) == len(ids) > 0
        with indexed("flow_run", "work_queue"):
            await recovery.overdue_runs(
                conn, due_before=NOW, polled_since=NOW - SECOND, after=first, limit=200
            )
        with indexed("flow_run"):
            await recovery.unsettled_deaths(conn, after=first, limit=200)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
async def test_a_job_finds_what_it_looks_for(
    services: Services, indexed: Indexed, job: Job
) -> None:
    with indexed():
        await job.run(services)
