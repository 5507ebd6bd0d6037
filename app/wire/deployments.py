"""Deployments on the wire."""

import datetime as dt
import uuid
from typing import Any, Literal, TypeAlias

import msgspec

from app.wire.base import Json, Labels, Name
from app.wire.concurrency import Count, GlobalConcurrencyLimit
from app.wire.runs import CreatedBy, FlowRunPolicy
from app.wire.schedules import document_of, schedule_from
from app.wire.states import StateCreate

CollisionStrategy: TypeAlias = Literal["ENQUEUE", "CANCEL_NEW"]
DeploymentStatus: TypeAlias = Literal["READY", "NOT_READY"]


class ConcurrencyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a run when the deployment's limit is reached, and for how many seconds a slot
    is kept for a run whose infrastructure is being made."""

    collision_strategy: CollisionStrategy
    grace_period_seconds: int | None = None


class DeploymentScheduleCreate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A schedule in the bodies that make one. `schedule` is kept with all its fields."""

    schedule: Json
    active: bool = True
    max_scheduled_runs: int | None = None
    parameters: Json = {}
    slug: str | None = None
    replaces: str | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "schedule", document_of(schedule_from(self.schedule)))


class DeploymentScheduleUpdate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A schedule in the bodies that change one; what is absent stays as it is."""

    schedule: Json | None | msgspec.UnsetType = msgspec.UNSET
    active: bool | None | msgspec.UnsetType = msgspec.UNSET
    max_scheduled_runs: int | None | msgspec.UnsetType = msgspec.UNSET
    parameters: Json | msgspec.UnsetType = msgspec.UNSET
    slug: str | None | msgspec.UnsetType = msgspec.UNSET
    replaces: str | None | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if isinstance(self.schedule, dict):
            document = document_of(schedule_from(self.schedule))
            msgspec.structs.force_setattr(self, "schedule", document)


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
    """The body of `POST /deployments/`."""

    name: Name
    flow_id: uuid.UUID
    paused: bool = False
    schedules: list[DeploymentScheduleCreate] = []
    concurrency_limit: Count | None = None
    concurrency_options: ConcurrencyOptions | None = None
    global_concurrency_limit_id: uuid.UUID | None = None
    enforce_parameter_schema: bool = True
    parameter_openapi_schema: Json | None = {}
    parameters: Json = {}
    tags: list[str] = []
    labels: Labels | None = None
    pull_steps: list[Json] | None = None
    work_queue_name: str | None = None
    work_pool_name: str | None = None
    storage_document_id: uuid.UUID | None = None
    infrastructure_document_id: uuid.UUID | None = None
    description: str | None = None
    path: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    job_variables: Json = {}
    version_info: Json | None = None


class DeploymentUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /deployments/{id}`; what is absent stays as it is."""

    version: str | None | msgspec.UnsetType = msgspec.UNSET
    description: str | None | msgspec.UnsetType = msgspec.UNSET
    paused: bool | msgspec.UnsetType = msgspec.UNSET
    schedules: list[DeploymentScheduleUpdate] | msgspec.UnsetType = msgspec.UNSET
    concurrency_limit: Count | None | msgspec.UnsetType = msgspec.UNSET
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
    version_info: Json | None | msgspec.UnsetType = msgspec.UNSET


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
    job_variables: Json | None = None
