"""The filter language as SQL: every field under every operator is a statement that PostgreSQL
takes, and a list and its count agree."""

import dataclasses
import datetime as dt
import random
import types
import typing
import uuid
from typing import Any, Literal

import msgspec
import pytest

from app.orchestration.submission import create_flow_run, create_task_run
from app.wire.base import new_id, utc_now
from app.wire.filters import (
    DeploymentFilter,
    DeploymentQuery,
    FlowFilter,
    FlowPageQuery,
    FlowQuery,
    FlowRunFilter,
    FlowRunPageQuery,
    FlowRunQuery,
    Selection,
    TaskRunFilter,
    TaskRunPageQuery,
    TaskRunQuery,
    WorkPoolFilter,
    WorkQueueFilter,
)
from app.wire.flows import FlowCreate
from app.wire.runs import FlowRunCreate, TaskRunCreate
from app.wire.sorting import DeploymentSort, FlowRunSort, FlowSort, TaskRunSort
from app.wire.states import StateCreate
from storage.postgres import deployments, flow_runs, flows, task_runs
from storage.postgres.pool import Pool, connection


@dataclasses.dataclass(frozen=True)
class Rows:
    """What there is to find."""

    flow: uuid.UUID
    runs: list[uuid.UUID]
    tasks: list[uuid.UUID]


@pytest.fixture
async def rows(pool: Pool) -> Rows:
    """One flow with three runs, each with two task runs, the last a subflow of the first."""
    now = utc_now()
    async with connection(pool) as conn:
        flow, _ = await flows.get_or_create_flow(
            conn, FlowCreate(name="etl", tags=["a"]), id=new_id(), now=now
        )
    runs: list[uuid.UUID] = []
    tasks: list[uuid.UUID] = []
    for number, state in enumerate(("PENDING", "SCHEDULED", "RUNNING")):
        create = FlowRunCreate(
            flow_id=flow.id,
            name=f"run-{number}",
            tags=["a", "b"][:number],
            state=msgspec.convert({"type": state}, StateCreate),
            parent_task_run_id=tasks[0] if number == 2 else None,
            idempotency_key=f"key-{number}",
        )
        run, _ = await create_flow_run(pool, create, now=now + dt.timedelta(seconds=number))
        runs.append(run.id)
        for key in "ab":
            task, _ = await create_task_run(
                pool,
                TaskRunCreate(task_key="t", dynamic_key=key, flow_run_id=run.id, name=key),
                now=now,
            )
            tasks.append(task.id)
    return Rows(flow=flow.id, runs=runs, tasks=tasks)


class Chooser:
    """Values of any type of the filter language, by chance."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids = [rows.flow, *rows.runs, *rows.tasks, uuid.UUID(int=1)]

    def of(self, kind: Any) -> Any:
        """One value of that type."""
        chance = self._random
        origin = typing.get_origin(kind)
        if origin in (typing.Union, types.UnionType):
            return self.of(chance.choice(typing.get_args(kind)))
        if origin is Literal:
            return chance.choice(typing.get_args(kind))
        if origin is list:
            (item,) = typing.get_args(kind)
            return [self.of(item) for _ in range(chance.randrange(3))]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            hints = typing.get_type_hints(kind)
            return kind(**{name: self.of(hint) for name, hint in hints.items()})
        simple = {
            type(None): None,
            bool: chance.random() < 0.5,
            int: chance.randrange(5),
            str: chance.choice(["a", "run-1", "%", "it's", "key-1", "Pending", ""]),
            uuid.UUID: chance.choice(self._ids),
            dt.datetime: chance.choice(
                [utc_now(), utc_now().replace(tzinfo=None), dt.datetime(2030, 1, 1, tzinfo=dt.UTC)]
            ),
        }
        return simple[kind]


async def test_every_filter_is_a_statement_and_a_list_agrees_with_its_count(
    pool: Pool, rows: Rows
) -> None:
    now = utc_now()
    async with connection(pool) as conn:
        for seed in range(150):
            chooser = Chooser(rows, seed)
            selection: dict[str, Any] = {
                "flows": chooser.of(FlowFilter | None),
                "flow_runs": chooser.of(FlowRunFilter | None),
                "task_runs": chooser.of(TaskRunFilter | None),
                "deployments": chooser.of(DeploymentFilter | None),
                "work_pools": chooser.of(WorkPoolFilter | None),
                "work_pool_queues": chooser.of(WorkQueueFilter | None),
            }
            found: list[Any] = await flows.select_flows(
                conn, FlowQuery(sort=chooser.of(FlowSort), **selection)
            )
            assert len(found) == await flows.count_flows(conn, Selection(**selection))
            found = await flow_runs.select_flow_runs(
                conn, FlowRunQuery(sort=chooser.of(FlowRunSort), **selection), now=now
            )
            assert len(found) == await flow_runs.count_flow_runs(conn, Selection(**selection))
            found = await task_runs.select_task_runs(
                conn, TaskRunQuery(sort=chooser.of(TaskRunSort), **selection), now=now
            )
            assert len(found) == await task_runs.count_task_runs(conn, Selection(**selection))
            found = await deployments.select_deployments(
                conn, DeploymentQuery(sort=chooser.of(DeploymentSort), **selection)
            )
            assert len(found) == await deployments.count_deployments(conn, Selection(**selection))


FOUND: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2]),
    ({"operator": "or_"}, [0, 1, 2]),
    ({"id": {"any_": []}}, []),
    ({"id": {"not_any_": []}}, [0, 1, 2]),
    ({"tags": {"all_": ["a", "b"]}}, [2]),
    ({"tags": {"any_": ["a"]}}, [1, 2]),
    ({"tags": {"is_null_": True}}, [0]),
    ({"tags": {"operator": "or_", "all_": ["b"], "is_null_": True}}, [0, 2]),
    ({"name": {"like_": "RUN-_"}}, [0, 1, 2]),
    ({"name": {"any_": ["run-1"]}}, [1]),
    ({"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}, [0, 2]),
    ({"state": {"type": {"not_any_": ["PENDING"]}, "name": {"any_": ["Running"]}}}, [2]),
    (
        {
            "state": {
                "operator": "or_",
                "type": {"any_": ["PENDING"]},
                "name": {"any_": ["Running"]},
            }
        },
        [0, 2],
    ),
    ({"start_time": {"is_null_": True}}, [0, 1]),
    # The bound falls back to the expected start: a run that has not started is found by it.
    ({"start_time": {"after_": "2020-01-01T00:00:00Z"}}, [0, 1, 2]),
    ({"next_scheduled_start_time": {"after_": "2020-01-01T00:00:00Z"}}, [1]),
    ({"idempotency_key": {"any_": ["key-2"]}}, [2]),
    ({"idempotency_key": {"not_any_": ["key-2"]}}, [0, 1]),
    ({"deployment_id": {"is_null_": True}}, [0, 1, 2]),
    ({"deployment_id": {"is_null_": False}}, []),
    ({"created_by": {"is_null_": True}}, [0, 1, 2]),
    ({"parent_task_run_id": {"is_null_": False}}, [2]),
    ({"operator": "or_", "name": {"any_": ["run-0"]}, "tags": {"all_": ["b"]}}, [0, 2]),
]


async def test_flow_runs_are_found(pool: Pool, rows: Rows) -> None:
    async with connection(pool) as conn:
        for wanted, found in FOUND:
            query = msgspec.convert({"flow_runs": wanted, "sort": "NAME_ASC"}, FlowRunQuery)
            runs = await flow_runs.select_flow_runs(conn, query, now=utc_now())
            assert [rows.runs.index(run.id) for run in runs] == found, wanted


async def test_entities_are_joined_along_their_keys(pool: Pool, rows: Rows) -> None:
    now = utc_now()
    async with connection(pool) as conn:

        async def names(**selection: Any) -> list[str]:
            query = FlowRunQuery(sort="NAME_ASC", **selection)
            return [run.name for run in await flow_runs.select_flow_runs(conn, query, now=now)]

        parent = msgspec.convert({"parent_flow_run_id": {"any_": [rows.runs[0]]}}, FlowRunFilter)
        assert await names(flow_runs=parent) == ["run-2"]
        one_task = msgspec.convert({"id": {"any_": [rows.tasks[2]]}}, TaskRunFilter)
        assert await names(task_runs=one_task) == ["run-1"]
        other_flow = msgspec.convert({"name": {"any_": ["other"]}}, FlowFilter)
        assert await names(flows=other_flow) == []
        # These runs belong to none, and there is none.
        for name, nothing in (
            ("deployments", DeploymentFilter()),
            ("work_pools", WorkPoolFilter()),
            ("work_pool_queues", WorkQueueFilter()),
        ):
            assert await names(**{name: nothing}) == []
        page = await flow_runs.page_of_flow_runs(
            conn, FlowRunPageQuery(limit=2, page=2, sort="NAME_ASC"), now=now
        )
        assert ([run.name for run in page.results], page.count, page.pages) == (["run-2"], 3, 2)
        tasks = await task_runs.page_of_task_runs(conn, TaskRunPageQuery(limit=4), now=now)
        assert (len(tasks.results), tasks.count, tasks.pages) == (4, 6, 2)
        flow_page = await flows.page_of_flows(conn, FlowPageQuery())
        assert (flow_page.count, flow_page.pages) == (1, 1)
