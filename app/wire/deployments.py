"""Deployments on the wire."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from app.wire.base import Json, Labels, Name, in_utc
from app.wire.concurrency import GlobalConcurrencyLimit
from app.wire.filters import DeploymentFilter
from app.wire.runs import DELAY_LIMIT, CreatedBy, FlowRunPolicy
from app.wire.schedules import completed
from app.wire.states import StateCreate

CollisionStrategy: TypeAlias = Literal["ENQUEUE", "CANCEL_NEW"]
DeploymentStatus: TypeAlias = Literal["READY", "NOT_READY"]
# How many runs may be active at the same time.
RunLimit = Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
# What one request may ask a schedule for.
MAX_RUNS_AT_ONCE = 10_000
MaxScheduledRuns = Annotated[int, msgspec.Meta(gt=0, le=50)]


def _check_limits(own: object, shared: object) -> None:
    if own not in (None, msgspec.UNSET) and shared not in (None, msgspec.UNSET):
        raise ValueError(
            "A deployment cannot have both a concurrency limit and a global concurrency limit."
        )


class ConcurrencyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a run when the deployment's limit is reached, and for how many seconds a slot
    is kept for a run whose infrastructure is being made."""

    collision_strategy: CollisionStrategy
    grace_period_seconds: Annotated[int, msgspec.Meta(ge=60, le=86_400)] | None = None


class VersionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where the code of a deployment comes from. Checked, and not kept: so does the reference."""

    type: str
    version: str


class DeploymentScheduleCreate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A schedule in the bodies that make one. `schedule` is kept with all its fields."""

    schedule: Json
    active: bool = True
    max_scheduled_runs: MaxScheduledRuns | None = None
    parameters: Json = {}
    slug: str | None = None
    replaces: str | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "schedule", completed(self.schedule))


class DeploymentScheduleUpdate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A schedule in the bodies that change one; what is absent stays as it is."""

    schedule: Json | None | msgspec.UnsetType = msgspec.UNSET
    active: bool | None | msgspec.UnsetType = msgspec.UNSET
    max_scheduled_runs: MaxScheduledRuns | None | msgspec.UnsetType = msgspec.UNSET
    parameters: Json | msgspec.UnsetType = msgspec.UNSET
    slug: str | None | msgspec.UnsetType = msgspec.UNSET
    replaces: str | None | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if isinstance(self.schedule, dict):
            msgspec.structs.force_setattr(self, "schedule", completed(self.schedule))


class DeploymentSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    deployment_id: uuid.UUID
    schedule: Json
    active: bool
    max_scheduled_runs: int | None
    parameters: Json
    slug: str | None


class DeploymentCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /deployments/`, which makes a deployment or changes the one of that name.
    What is absent has its default in a new one and stays as it is in one that is known, but for
    schedules, parameters and labels, which are always replaced."""

    name: Name
    flow_id: uuid.UUID
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    schedules: list[DeploymentScheduleCreate] = []
    concurrency_limit: RunLimit | None | msgspec.UnsetType = msgspec.UNSET
    concurrency_options: ConcurrencyOptions | None | msgspec.UnsetType = msgspec.UNSET
    global_concurrency_limit_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    enforce_parameter_schema: bool | msgspec.UnsetType = msgspec.UNSET
    parameter_openapi_schema: Json | None | msgspec.UnsetType = msgspec.UNSET
    parameters: Json = {}
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    labels: Labels | None = None
    pull_steps: list[Json] | None | msgspec.UnsetType = msgspec.UNSET
    work_queue_name: str | None | msgspec.UnsetType = msgspec.UNSET
    work_pool_name: str | None | msgspec.UnsetType = msgspec.UNSET
    storage_document_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    infrastructure_document_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    path: str | None | msgspec.UnsetType = msgspec.UNSET
    version: str | None | msgspec.UnsetType = msgspec.UNSET
    entrypoint: str | None | msgspec.UnsetType = msgspec.UNSET
    job_variables: Json | msgspec.UnsetType = msgspec.UNSET
    version_info: VersionInfo | None = None

    def __post_init__(self) -> None:
        _check_limits(self.concurrency_limit, self.global_concurrency_limit_id)


class DeploymentUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /deployments/{id}`; what is absent stays as it is."""

    version: str | None | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    schedules: list[DeploymentScheduleUpdate] | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: RunLimit | None | msgspec.UnsetType = msgspec.UNSET
    concurrency_options: ConcurrencyOptions | None | msgspec.UnsetType = msgspec.UNSET
    global_concurrency_limit_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    parameters: Json | None | msgspec.UnsetType = msgspec.UNSET
    parameter_openapi_schema: Json | None | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    work_queue_name: str | None | msgspec.UnsetType = msgspec.UNSET
    work_pool_name: str | None | msgspec.UnsetType = msgspec.UNSET
    path: str | None | msgspec.UnsetType = msgspec.UNSET
    job_variables: Json | None | msgspec.UnsetType = msgspec.UNSET
    pull_steps: list[Json] | None | msgspec.UnsetType = msgspec.UNSET
    entrypoint: str | None | msgspec.UnsetType = msgspec.UNSET
    storage_document_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    infrastructure_document_id: uuid.UUID | None | msgspec.UnsetType = msgspec.UNSET
    enforce_parameter_schema: bool | None | msgspec.UnsetType = msgspec.UNSET
    version_info: VersionInfo | None | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        _check_limits(self.concurrency_limit, self.global_concurrency_limit_id)


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as it is answered."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    version: str | None
    description: str | None
    flow_id: uuid.UUID
    paused: bool
    schedules: list[DeploymentSchedule]
    concurrency_limit: int | None
    global_concurrency_limit: GlobalConcurrencyLimit | None
    concurrency_options: ConcurrencyOptions | None
    job_variables: Json
    parameters: Json
    tags: list[str]
    labels: Labels
    work_queue_name: str | None
    work_queue_id: uuid.UUID | None
    last_polled: dt.datetime | None
    parameter_openapi_schema: Any
    path: str | None
    pull_steps: list[Json] | None
    entrypoint: str | None
    storage_document_id: uuid.UUID | None
    infrastructure_document_id: uuid.UUID | None
    created_by: CreatedBy | None
    updated_by: CreatedBy | None
    work_pool_name: str | None
    status: DeploymentStatus | None
    enforce_parameter_schema: bool


class DeploymentFlowRunCreate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The body of `POST /deployments/{id}/create_flow_run`."""

    state: StateCreate | None = None
    name: str | None = None
    parameters: Json = {}
    enforce_parameter_schema: bool | None = None
    context: Json = {}
    infrastructure_document_id: uuid.UUID | None = None
    empirical_policy: FlowRunPolicy = msgspec.field(default_factory=FlowRunPolicy)
    tags: list[str] = []
    idempotency_key: str | None = None
    labels: Labels | None = None
    parent_task_run_id: uuid.UUID | None = None
    work_queue_name: str | None = None
    job_variables: Json | None = {}


class DeploymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of deployments."""

    results: list[Deployment]
    count: int
    limit: int
    pages: int
    page: int


class DeploymentBulkDelete(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /deployments/bulk_delete`."""

    deployments: DeploymentFilter | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 50


class DeletedDeployments(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to it."""

    deleted: list[uuid.UUID]


class CreatedFlowRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one of the runs of `POST /deployments/{id}/create_flow_run/bulk`."""

    flow_run_id: uuid.UUID | None = None
    status: Literal["CREATED", "FAILED"]
    error: str | None = None


class CreatedFlowRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to it, in the order of the request."""

    results: list[CreatedFlowRun]


class ScheduleNow(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /deployments/{id}/schedule`; `min_time` is seconds from the start on. What is
    not said is the scheduler's own horizon."""

    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    min_time: Annotated[float, msgspec.Meta(ge=0, le=DELAY_LIMIT)] | None = None
    min_runs: Annotated[int, msgspec.Meta(ge=0, le=MAX_RUNS_AT_ONCE)] | None = None
    max_runs: Annotated[int, msgspec.Meta(ge=0, le=MAX_RUNS_AT_ONCE)] | None = None

    def __post_init__(self) -> None:
        for name in ("start_time", "end_time"):
            time = getattr(self, name)
            if time is not None:
                msgspec.structs.force_setattr(self, name, in_utc(time))
