"""The graph of a flow run: its task runs and subflow runs, and what each took from which."""

import datetime as dt
import uuid
from typing import Literal, TypeAlias

import msgspec

from app.wire.runs import TaskRunResult
from app.wire.states import State, StateType

NodeKind: TypeAlias = Literal["flow-run", "task-run"]


class GraphEdge(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of an edge."""

    id: uuid.UUID


class GraphArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact on a node or on the run. Only the data of a progress artifact is told."""

    id: uuid.UUID
    created: dt.datetime
    key: str | None
    type: str | None
    is_latest: bool
    data: msgspec.Raw | None


class GraphState(msgspec.Struct, frozen=True, kw_only=True):
    """A state the flow run was in."""

    id: uuid.UUID
    timestamp: dt.datetime
    type: StateType
    name: str


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """A task run, or the subflow run that a task run stands for. `encapsulating` are the task runs
    inside which it ran."""

    kind: NodeKind
    id: uuid.UUID
    label: str
    state_type: StateType | None
    start_time: dt.datetime
    end_time: dt.datetime | None
    parents: list[GraphEdge]
    children: list[GraphEdge]
    encapsulating: list[GraphEdge]
    artifacts: list[GraphArtifact]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /flow_runs/{id}/graph-v2`."""

    start_time: dt.datetime | None
    end_time: dt.datetime | None
    root_node_ids: list[uuid.UUID]
    nodes: list[tuple[uuid.UUID, GraphNode]]
    artifacts: list[GraphArtifact]
    states: list[GraphState]


class Dependencies(msgspec.Struct, frozen=True, kw_only=True):
    """A task run and those whose results it took: an item of `GET /flow_runs/{id}/graph`."""

    id: uuid.UUID
    name: str
    upstream_dependencies: list[TaskRunResult]
    state: State | None
    expected_start_time: dt.datetime | None
    start_time: dt.datetime | None
    end_time: dt.datetime | None
    total_run_time: float
    estimated_run_time: float
    untrackable_result: bool
