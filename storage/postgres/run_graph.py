"""The graph of a flow run, drawn from the inputs of its task runs."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import msgspec

from app.wire.run_graph import (
    Dependencies,
    Graph,
    GraphArtifact,
    GraphEdge,
    GraphNode,
    GraphState,
)
from app.wire.runs import TaskRun, TaskRunResult
from storage.errors import NotFound, TooMany
from storage.postgres.pool import Conn
from storage.postgres.run_rows import task_run_of
from storage.postgres.statements import statement

MAX_NODES = 10_000
# More artifacts than these are left out.
MAX_ARTIFACTS = 10_000

_READ_RUN = statement("read_graph_run")
_NODES = statement("select_graph_nodes")
_ARTIFACTS = statement("select_graph_artifacts")
_STATES = statement("select_graph_states")
_TASK_RUNS = statement("select_task_runs") + " WHERE t.flow_run_id = $1 ORDER BY t.id LIMIT $2"


async def read_graph(conn: Conn, flow_run_id: uuid.UUID, *, since: dt.datetime) -> Graph:
    """The run's task runs and subflow runs that had not ended before `since`.

    Raises:
        NotFound: there is no such run.
        TooMany: these are more than 10,000.
    """
    run = await conn.fetchrow(_READ_RUN, flow_run_id)
    if run is None:
        raise NotFound(f"Flow run {flow_run_id} not found")
    rows = await conn.fetch(_NODES, flow_run_id, since, MAX_NODES)
    if len(rows) > MAX_NODES:
        raise TooMany(f"The graph of flow run {flow_run_id} has more than {MAX_NODES} nodes.")
    on_run: list[GraphArtifact] = []
    on_tasks: dict[uuid.UUID, list[GraphArtifact]] = {}
    for row in await conn.fetch(_ARTIFACTS, flow_run_id, MAX_ARTIFACTS):
        task_run_id = row["task_run_id"]
        place = on_run if task_run_id is None else on_tasks.setdefault(task_run_id, [])
        place.append(_artifact_of(row))
    states = await conn.fetch(_STATES, flow_run_id)
    return Graph(
        start_time=run["start_time"],
        end_time=run["end_time"],
        root_node_ids=[row["id"] for row in rows if not row["parent_ids"]],
        nodes=[(row["id"], _node_of(row, on_tasks.get(row["id"], []))) for row in rows],
        artifacts=on_run,
        states=[
            GraphState(id=row["id"], timestamp=row["timestamp"], type=row["type"], name=row["name"])
            for row in states
        ],
    )


async def read_dependencies(
    conn: Conn, flow_run_id: uuid.UUID, *, now: dt.datetime
) -> list[Dependencies]:
    """The run's task runs and whose results each took. Raises as `read_graph` does."""
    if await conn.fetchrow(_READ_RUN, flow_run_id) is None:
        raise NotFound(f"Flow run with id {flow_run_id} not found")
    rows = await conn.fetch(_TASK_RUNS, flow_run_id, MAX_NODES + 1)
    if len(rows) > MAX_NODES:
        raise TooMany(f"Flow run {flow_run_id} has more than {MAX_NODES} task runs.")
    return [_dependencies_of(task_run_of(row, now)) for row in rows]


def _node_of(row: asyncpg.Record, artifacts: list[GraphArtifact]) -> GraphNode:
    return GraphNode(
        kind=row["kind"],
        id=row["id"],
        label=row["label"],
        state_type=row["state_type"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        parents=_edges(row["parent_ids"]),
        children=_edges(row["child_ids"]),
        encapsulating=_edges(row["encapsulating_ids"]),
        artifacts=artifacts,
    )


def _edges(ids: Sequence[uuid.UUID] | None) -> list[GraphEdge]:
    return [GraphEdge(id=id) for id in ids or ()]


def _artifact_of(row: asyncpg.Record) -> GraphArtifact:
    data = row["data"]
    return GraphArtifact(
        id=row["id"],
        created=row["created"],
        key=row["key"],
        type=row["type"],
        is_latest=row["is_latest"],
        data=msgspec.Raw(data.encode()) if data is not None else None,
    )


def _dependencies_of(run: TaskRun) -> Dependencies:
    upstream: dict[uuid.UUID, TaskRunResult] = {}
    for taken in run.task_inputs.values():
        for value in taken if isinstance(taken, list) else ():
            try:
                result = msgspec.convert(value, TaskRunResult)
            except msgspec.ValidationError:
                # A parameter, a constant, or of a kind yet unknown.
                continue
            upstream[result.id] = result
    return Dependencies(
        id=run.id,
        name=run.name,
        upstream_dependencies=list(upstream.values()),
        state=run.state,
        expected_start_time=run.expected_start_time,
        start_time=run.start_time,
        end_time=run.end_time,
        total_run_time=run.total_run_time,
        estimated_run_time=run.estimated_run_time,
        untrackable_result=run.state is not None and run.state.state_details.untrackable_result,
    )
