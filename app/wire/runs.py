"""Flow runs and task runs on the wire: what creates and changes them, what is answered."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from app.wire.base import Json, Labels, as_utc
from app.wire.states import TERMINAL, State, StateCreate, StateType

# A century: beyond it a due time could leave the calendar.
DELAY_LIMIT = 3_155_760_000
Delay = Annotated[int, msgspec.Meta(ge=0, le=DELAY_LIMIT)]
FloatDelay = Annotated[float, msgspec.Meta(ge=0, le=DELAY_LIMIT)]
Delays = Annotated[list[Delay | FloatDelay], msgspec.Meta(max_length=50)]
RetryType: TypeAlias = Literal["in_process", "reschedule"]


class FlowRunPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a flow run is retried, and what the server remembers between its states: the pauses that
    have fired, whether it is being resumed, who retries it. Delays are seconds. Clients before 2.0
    say `max_retries` and `retry_delay_seconds`."""

    max_retries: int = 0
    retry_delay_seconds: FloatDelay = 0
    retries: int | None = None
    retry_delay: Delay | None = None
    pause_keys: list[str] | None = []
    resuming: bool | None = False
    retry_type: RetryType | None = None

    def __post_init__(self) -> None:
        if self.max_retries and not self.retries:
            msgspec.structs.force_setattr(self, "retries", self.max_retries)
        if self.retry_delay_seconds and not self.retry_delay:
            msgspec.structs.force_setattr(self, "retry_delay", int(self.retry_delay_seconds))


class TaskRunPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a task run is retried; a list of delays (seconds) is one delay per attempt. Of
    the older two fields see `FlowRunPolicy`."""

    max_retries: int = 0
    retry_delay_seconds: FloatDelay = 0
    retries: int | None = None
    retry_delay: Delay | FloatDelay | Delays | None = None
    retry_jitter_factor: Annotated[float, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.max_retries and not self.retries:
            msgspec.structs.force_setattr(self, "retries", self.max_retries)
        if self.retry_delay_seconds and not self.retry_delay:
            msgspec.structs.force_setattr(self, "retry_delay", self.retry_delay_seconds)


class CreatedBy(msgspec.Struct, frozen=True, kw_only=True):
    """What made a run: a deployment, a schedule, an automation."""

    id: uuid.UUID | None = None
    type: str | None = None
    display_value: str | None = None


class FlowRunCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /flow_runs/`."""

    flow_id: uuid.UUID
    state: StateCreate | None = None
    name: str | None = None
    flow_version: str | None = None
    parameters: Json = {}
    context: Json = {}
    parent_task_run_id: uuid.UUID | None = None
    infrastructure_document_id: uuid.UUID | None = None
    empirical_policy: FlowRunPolicy = msgspec.field(default_factory=FlowRunPolicy)
    tags: list[str] = []
    labels: Labels | None = None
    idempotency_key: str | None = None
    work_pool_name: str | None = None
    work_queue_name: str | None = None
    job_variables: Json | None = {}
    deployment_id: uuid.UUID | None = None


class FlowRunUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /flow_runs/{id}`; what is absent stays as it is."""

    name: str | None | msgspec.UnsetType = msgspec.UNSET
    flow_version: str | None | msgspec.UnsetType = msgspec.UNSET
    parameters: Json | msgspec.UnsetType = msgspec.UNSET
    empirical_policy: FlowRunPolicy | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    infrastructure_pid: str | None | msgspec.UnsetType = msgspec.UNSET
    job_variables: Json | None | msgspec.UnsetType = msgspec.UNSET


class FlowRun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow run as it is answered. `estimated_*` (seconds) hold for the moment of the answer."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    flow_id: uuid.UUID
    state_id: uuid.UUID | None = None
    deployment_id: uuid.UUID | None = None
    deployment_version: str | None = None
    work_queue_id: uuid.UUID | None = None
    work_queue_name: str | None = None
    flow_version: str | None = None
    parameters: Json = {}
    idempotency_key: str | None = None
    context: Json = {}
    empirical_policy: FlowRunPolicy = msgspec.field(default_factory=FlowRunPolicy)
    tags: list[str] = []
    labels: Labels = {}
    parent_task_run_id: uuid.UUID | None = None
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    expected_start_time: dt.datetime | None = None
    next_scheduled_start_time: dt.datetime | None = None
    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    total_run_time: float = 0.0
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    auto_scheduled: bool = False
    infrastructure_document_id: uuid.UUID | None = None
    infrastructure_pid: str | None = None
    created_by: CreatedBy | None = None
    work_pool_id: uuid.UUID | None = None
    work_pool_name: str | None = None
    state: State | None = None
    job_variables: Json | None = None


class FlowRunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of flow runs."""

    results: list[FlowRun]
    count: int
    limit: int
    pages: int
    page: int


class FlowRunInputCreate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/{id}/input`. The value is text: clients put JSON into it."""

    key: str
    value: str
    sender: str | None = None


class FlowRunInputQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/{id}/input/filter`."""

    prefix: str
    limit: int = 1
    exclude_keys: list[str] = []


class FlowRunInput(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody told a run under a key."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    flow_run_id: uuid.UUID
    key: str
    value: str
    sender: str | None


class TaskRunResult(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="task_run"
):
    """A task input that is the result of a task run."""

    id: uuid.UUID


class FlowRunResult(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="flow_run"
):
    """A task input that is the result of a flow run."""

    id: uuid.UUID


class Parameter(msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="parameter"):
    """A task input that is a parameter of the flow."""

    name: str


class Constant(msgspec.Struct, frozen=True, kw_only=True, tag_field="input_type", tag="constant"):
    """A task input that is a value; only its type is told."""

    type: str


TaskInputs: TypeAlias = "dict[str, list[TaskRunResult | FlowRunResult | Parameter | Constant]]"


class TaskRunCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /task_runs/`."""

    task_key: str
    dynamic_key: str
    id: uuid.UUID | None = None
    state: StateCreate | None = None
    name: str | None = None
    flow_run_id: uuid.UUID | None = None
    cache_key: str | None = None
    cache_expiration: dt.datetime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = TaskRunPolicy()
    tags: list[str] = []
    labels: Labels | None = None
    task_inputs: TaskInputs = {}

    def __post_init__(self) -> None:
        if self.cache_expiration is not None:
            msgspec.structs.force_setattr(self, "cache_expiration", as_utc(self.cache_expiration))


class TaskRunUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PATCH /task_runs/{id}`; a null changes nothing."""

    name: str | None | msgspec.UnsetType = msgspec.UNSET


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """A task run as it is answered. `estimated_*` (seconds) hold for the moment of the answer."""

    id: uuid.UUID
    created: dt.datetime
    updated: dt.datetime
    name: str
    flow_run_id: uuid.UUID | None
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: dt.datetime | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = TaskRunPolicy()
    tags: list[str] = []
    labels: Labels = {}
    state_id: uuid.UUID | None = None
    # What the store gives back is not judged again: events may bring inputs of kinds yet unknown.
    task_inputs: Json = {}
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: dt.datetime | None = None
    next_scheduled_start_time: dt.datetime | None = None
    start_time: dt.datetime | None = None
    end_time: dt.datetime | None = None
    total_run_time: float = 0.0
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    state: State | None = None


class TaskRunPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of task runs."""

    results: list[TaskRun]
    count: int
    limit: int
    pages: int
    page: int


class SetState(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `set_state`. `force` leaves out all rules but those that guard results."""

    state: StateCreate
    force: bool = False


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /flow_runs/{id}/resume`."""

    run_input: dict[str, Any] | None = None


def estimated_run_time(
    total: float, state_type: str | None, state_timestamp: dt.datetime | None, now: dt.datetime
) -> float:
    """Seconds in RUNNING, the stretch that is not over yet included."""
    if state_type == "RUNNING" and state_timestamp is not None:
        return total + (now - state_timestamp).total_seconds()
    return total


def estimated_start_time_delta(
    start: dt.datetime | None,
    expected: dt.datetime | None,
    state_type: str | None,
    now: dt.datetime,
) -> float:
    """Seconds by which a run started late, or is late by now; never negative."""
    if expected is None:
        return 0.0
    if start is not None:
        return max((start - expected).total_seconds(), 0.0)
    if state_type not in TERMINAL and expected < now:
        return (now - expected).total_seconds()
    return 0.0
