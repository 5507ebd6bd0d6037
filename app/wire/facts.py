"""Facts: a run as it was locked, and what else the rules may ask about.

They are written here, below both, so that the store can give what the rules take. Times are
aware, durations seconds.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from app.wire.concurrency import ConcurrencyLimit
from app.wire.deployments import ConcurrencyOptions
from app.wire.runs import CreatedBy, FlowRunPolicy, TaskRunPolicy
from app.wire.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What flow runs and task runs have in common."""

    id: uuid.UUID
    name: str
    state: State | None
    run_count: int
    expected_start_time: dt.datetime | None
    next_scheduled_start_time: dt.datetime | None
    start_time: dt.datetime | None
    end_time: dt.datetime | None
    total_run_time: float
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who proposes, as the headers of the request say. None is not known: a browser, an operator's
    script, this server itself."""

    version: str | None = None
    api_version: tuple[int, int, int] | None = None
    # As it is kept with the states that it proposes (`app.wire.state_changes`).
    changed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """The deployment of a flow run, as far as it limits how many run at once.

    Only for a transition that asks are these looked up: `limit`, locked if a slot of it may be taken;
    `lease_held`, whether the lease that the run's state names is still there, locked if so.
    """

    limit_id: uuid.UUID | None = None
    options: ConcurrencyOptions | None = None
    limit: ConcurrencyLimit | None = None
    lease_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedQueue:
    """A queue that is there, and its pool."""

    id: uuid.UUID
    name: str
    work_pool_id: uuid.UUID
    work_pool_name: str
    work_pool_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRunFacts(RunFacts):
    """A flow run. `deployment` and its name are None without one, and when the one of that id is
    gone. `tags_around` are those of its flow, its deployment and its parent task run. `awaits_new_process`: it was put back because its process was dead, and none has begun it
    since."""

    flow_id: uuid.UUID
    flow_name: str
    policy: FlowRunPolicy
    deployment_id: uuid.UUID | None
    parent_task_run_id: uuid.UUID | None
    infrastructure_pid: str | None
    deployment: DeploymentFacts | None = None
    deployment_name: str | None = None
    parent_task_run_name: str | None = None
    tags_around: tuple[str, ...] = ()
    work_queue: ResolvedQueue | None = None
    created_by: CreatedBy | None = None
    awaits_new_process: bool = False
    client: Client = Client()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclosingFlow:
    """The flow run that a task run belongs to, as far as it matters to the task run."""

    id: uuid.UUID
    state: State | None
    run_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunFacts(RunFacts):
    """A task run. `cached` is the newest unexpired state under the proposed cache key, if any;
    `tag_limits` are the active limits on its tags, locked, if it is to run."""

    policy: TaskRunPolicy
    flow_run_id: uuid.UUID | None
    flow_run_run_count: int
    enclosing: EnclosingFlow | None
    cached: State | None = None
    tag_limits: tuple[ConcurrencyLimit, ...] = ()
