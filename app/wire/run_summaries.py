"""What the web UI asks for beside lists: runs as dots and bars, and counts of them."""

import datetime as dt
import uuid
from typing import Annotated

import msgspec

from app.wire.base import PAGE_LIMIT
from app.wire.filters import NonNegative, Selection, TaskRunFilter, WorkQueueFilter
from app.wire.runs import TaskRun
from app.wire.sorting import FlowRunSort
from app.wire.states import StateType

MAX_SUMMARIES = 1000


class FlowRunSummaryQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /ui/flow_runs/history`."""

    sort: FlowRunSort = "EXPECTED_START_TIME_DESC"
    offset: NonNegative = 0
    limit: Annotated[int, msgspec.Meta(ge=0, le=MAX_SUMMARIES)] = MAX_SUMMARIES


class FlowRunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a bar: when it started or is to start, how long it took and how late (seconds)."""

    id: uuid.UUID
    state_type: StateType
    timestamp: dt.datetime
    duration: float
    lateness: float


class FlowRunIds(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /ui/flow_runs/count-task-runs`."""

    flow_run_ids: Annotated[list[uuid.UUID], msgspec.Meta(max_length=PAGE_LIMIT)]


class TaskRunOutcomesQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /ui/task_runs/dashboard/counts`: a span of time is asked for."""

    task_runs: TaskRunFilter
    work_queues: WorkQueueFilter | None = None


class TaskRunOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Task runs that started in one stretch of time and are over."""

    completed: int
    failed: int


class NamedTaskRun(TaskRun, frozen=True, kw_only=True):
    """A task run with the name of its flow run."""

    flow_run_name: str | None = None
