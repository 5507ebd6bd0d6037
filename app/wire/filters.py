"""The filter language as plain data: no SQL here (`storage.postgres.filters`).

A field that is null or absent says nothing; an empty list matches nothing. `operator` joins the
fields of its own level. Unknown fields are errors inside a filter and ignored beside one.
"""

import datetime as dt
import uuid
from typing import Annotated, Literal, TypeAlias

import msgspec

from app.wire.base import PAGE_LIMIT, as_utc
from app.wire.runs import DELAY_LIMIT
from app.wire.sorting import DeploymentSort, FlowRunSort, FlowSort, TaskRunSort
from app.wire.states import StateType

Operator: TypeAlias = Literal["and_", "or_"]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


# Operations on one field ------------------------------------------------------


class AnyId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these ids."""

    any_: list[uuid.UUID] | None = None


class AnyOrNotId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these ids, none of those."""

    any_: list[uuid.UUID] | None = None
    not_any_: list[uuid.UUID] | None = None


class AnyOrNullId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these ids, or there (or not there) at all."""

    operator: Operator = "and_"
    any_: list[uuid.UUID] | None = None
    is_null_: bool | None = None


class TaskFlowRunId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these flow runs. `is_null_` counts as false unless it is said: task runs without a
    flow run are then left out."""

    operator: Operator = "and_"
    any_: list[uuid.UUID] | None = None
    is_null_: bool | None = False


class ParentFlowRunId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subflow runs of one of these flow runs."""

    operator: Operator = "and_"
    any_: list[uuid.UUID] | None = None


class AnyText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these texts."""

    any_: list[str] | None = None


class AnyOrNotText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these texts, none of those."""

    any_: list[str] | None = None
    not_any_: list[str] | None = None


class AnyOrNullText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these texts, or there (or not there) at all."""

    operator: Operator = "and_"
    any_: list[str] | None = None
    is_null_: bool | None = None


class NameFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these names; `like_` is a substring in any case, `%` and `_` being wildcards."""

    any_: list[str] | None = None
    like_: str | None = None


class PrefixNameFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these names, or beginning (in any case) with one of those."""

    any_: list[str] | None = None
    startswith_: list[str] | None = None


class LikeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A substring in any case."""

    like_: str | None = None


class AllTags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of these tags, or none at all (`is_null_`)."""

    operator: Operator = "and_"
    all_: list[str] | None = None
    is_null_: bool | None = None


class AllOrAnyTags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of these tags, one of those, or none at all (`is_null_`)."""

    operator: Operator = "and_"
    all_: list[str] | None = None
    any_: list[str] | None = None
    is_null_: bool | None = None


class TimeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on a time."""

    before_: dt.datetime | None = None
    after_: dt.datetime | None = None


class TimeOrNullFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on a time, or there (or not there) at all."""

    before_: dt.datetime | None = None
    after_: dt.datetime | None = None
    is_null_: bool | None = None


class StateTypeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these types."""

    any_: list[StateType] | None = None


class StateTypeOrNotFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of these types, none of those."""

    any_: list[StateType] | None = None
    not_any_: list[StateType] | None = None


class FlowRunStateFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the current state of a flow run."""

    operator: Operator = "and_"
    type: StateTypeOrNotFilter | None = None
    name: AnyOrNotText | None = None


class TaskRunStateFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the current state of a task run."""

    operator: Operator = "and_"
    type: StateTypeFilter | None = None
    name: AnyText | None = None


class CreatedByFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On what made a run."""

    operator: Operator = "and_"
    id_: list[uuid.UUID] | None = None
    type_: list[str] | None = None
    is_null_: bool | None = None


class SubflowRunsFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a task run stands for a subflow run."""

    exists_: bool | None = None


class DeploymentOfFlow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a flow has no deployment."""

    operator: Operator = "and_"
    is_null_: bool | None = None


class EqualsFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Is, or is not."""

    eq_: bool | None = None


class NumberOrNullFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inclusive bounds on a number, or there (or not there) at all."""

    ge_: int | None = None
    le_: int | None = None
    is_null_: bool | None = None


# Entities ---------------------------------------------------------------------


class FlowFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which flows."""

    operator: Operator = "and_"
    id: AnyOrNotId | None = None
    deployment: DeploymentOfFlow | None = None
    name: NameFilter | None = None
    tags: AllTags | None = None


class FlowRunFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which flow runs. Bounds of `start_time` fall back to the expected start."""

    operator: Operator = "and_"
    id: AnyOrNotId | None = None
    name: NameFilter | None = None
    tags: AllOrAnyTags | None = None
    deployment_id: AnyOrNullId | None = None
    work_queue_name: AnyOrNullText | None = None
    state: FlowRunStateFilter | None = None
    flow_version: AnyText | None = None
    start_time: TimeOrNullFilter | None = None
    end_time: TimeOrNullFilter | None = None
    expected_start_time: TimeFilter | None = None
    next_scheduled_start_time: TimeFilter | None = None
    parent_flow_run_id: ParentFlowRunId | None = None
    parent_task_run_id: AnyOrNullId | None = None
    idempotency_key: AnyOrNotText | None = None
    created_by: CreatedByFilter | None = None


class TaskRunFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which task runs."""

    operator: Operator = "and_"
    id: AnyId | None = None
    name: NameFilter | None = None
    tags: AllTags | None = None
    state: TaskRunStateFilter | None = None
    start_time: TimeOrNullFilter | None = None
    end_time: TimeOrNullFilter | None = None
    expected_start_time: TimeFilter | None = None
    subflow_runs: SubflowRunsFilter | None = None
    flow_run_id: TaskFlowRunId | None = None


class DeploymentFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deployments."""

    operator: Operator = "and_"
    id: AnyOrNotId | None = None
    name: NameFilter | None = None
    flow_or_deployment_name: LikeFilter | None = None
    paused: EqualsFilter | None = None
    tags: AllOrAnyTags | None = None
    work_queue_name: AnyText | None = None
    concurrency_limit: NumberOrNullFilter | None = None


class WorkPoolFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which work pools."""

    operator: Operator = "and_"
    id: AnyId | None = None
    name: AnyText | None = None
    type: AnyText | None = None


class WorkQueueFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which work queues."""

    operator: Operator = "and_"
    id: AnyId | None = None
    name: PrefixNameFilter | None = None


# Bodies -----------------------------------------------------------------------


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of any entities, joined by AND along their foreign keys: the body of a count."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None


class FlowQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /flows/filter`."""

    sort: FlowSort = "NAME_ASC"
    offset: NonNegative = 0
    limit: int = PAGE_LIMIT


class FlowPageQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /flows/paginate`."""

    sort: FlowSort = "NAME_ASC"
    page: Positive = 1
    limit: int = PAGE_LIMIT


class FlowRunQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/filter`."""

    sort: FlowRunSort = "ID_DESC"
    offset: NonNegative = 0
    limit: int = PAGE_LIMIT


class FlowRunPageQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/paginate`."""

    sort: FlowRunSort = "ID_DESC"
    page: Positive = 1
    limit: int = PAGE_LIMIT


class TaskRunQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /task_runs/filter`."""

    sort: TaskRunSort = "ID_DESC"
    offset: NonNegative = 0
    limit: int = PAGE_LIMIT


class TaskRunPageQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /task_runs/paginate`."""

    sort: TaskRunSort = "ID_DESC"
    page: Positive = 1
    limit: int = PAGE_LIMIT


class DeploymentQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /deployments/filter`."""

    sort: DeploymentSort = "NAME_ASC"
    offset: NonNegative = 0
    limit: int = PAGE_LIMIT


class DeploymentPageQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /deployments/paginate`."""

    sort: DeploymentSort = "NAME_ASC"
    page: Positive = 1
    limit: int = PAGE_LIMIT


class HistoryQuery(Selection, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/history` and `/task_runs/history`; the interval is seconds."""

    history_start: dt.datetime
    history_end: dt.datetime
    # Less than a second is refused in words of its own; more than a century leaves the calendar.
    history_interval_seconds: Annotated[float, msgspec.Meta(le=DELAY_LIMIT)]
    work_queues: WorkQueueFilter | None = None

    def __post_init__(self) -> None:
        for name in ("history_start", "history_end"):
            msgspec.structs.force_setattr(self, name, as_utc(getattr(self, name)))
