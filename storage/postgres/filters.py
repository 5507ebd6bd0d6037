"""The filter language as SQL: the only place where SQL text is composed.

Values are always parameters. In the text, `f` is a flow, `r` a flow run, `t` a task run, `d` a
deployment, `q` a work queue, `p` a work pool. Entities are joined by EXISTS along their foreign
keys. A flow is in the pools and queues of its deployments, a task run in those of its flow run.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence

from app.wire.base import as_utc
from app.wire.filters import (
    AllOrAnyTags,
    AllTags,
    AnyId,
    AnyOrNotId,
    AnyOrNotText,
    AnyOrNullId,
    AnyOrNullText,
    AnyText,
    CreatedByFilter,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    FlowRunStateFilter,
    NameFilter,
    Operator,
    ParentFlowRunId,
    PrefixNameFilter,
    Selection,
    StateTypeFilter,
    StateTypeOrNotFilter,
    SubflowRunsFilter,
    TaskFlowRunId,
    TaskRunFilter,
    TaskRunStateFilter,
    TimeFilter,
    TimeOrNullFilter,
    WorkPoolFilter,
    WorkQueueFilter,
)
from app.wire.sorting import DeploymentSort, FlowRunSort, FlowSort, TaskRunSort
from storage.postgres.statements import statement

TRUE = "TRUE"
_A_TRIGRAM = re.compile(r"[^\W_]{3}")

FLOW_ORDER: dict[FlowSort, str] = {
    "CREATED_DESC": "f.created DESC, f.id DESC",
    "UPDATED_DESC": "f.updated DESC, f.id DESC",
    "NAME_ASC": "f.name ASC",
    "NAME_DESC": "f.name DESC",
}
FLOW_RUN_ORDER: dict[FlowRunSort, str] = {
    "ID_DESC": "r.id DESC",
    "START_TIME_ASC": "coalesce(r.start_time, r.expected_start_time) ASC, r.id",
    "START_TIME_DESC": "coalesce(r.start_time, r.expected_start_time) DESC, r.id DESC",
    "EXPECTED_START_TIME_ASC": "r.expected_start_time ASC, r.id",
    "EXPECTED_START_TIME_DESC": "r.expected_start_time DESC, r.id DESC",
    "NAME_ASC": "r.name ASC, r.id",
    "NAME_DESC": "r.name DESC, r.id DESC",
    "NEXT_SCHEDULED_START_TIME_ASC": "r.next_scheduled_start_time ASC, r.id",
    "END_TIME_DESC": "r.end_time DESC, r.id DESC",
}
TASK_RUN_ORDER: dict[TaskRunSort, str] = {
    "ID_DESC": "t.id DESC",
    "EXPECTED_START_TIME_ASC": "t.expected_start_time ASC, t.id",
    "EXPECTED_START_TIME_DESC": "t.expected_start_time DESC, t.id DESC",
    "NAME_ASC": "t.name ASC, t.id",
    "NAME_DESC": "t.name DESC, t.id DESC",
    "NEXT_SCHEDULED_START_TIME_ASC": "t.next_scheduled_start_time ASC, t.id",
    "END_TIME_DESC": "t.end_time DESC, t.id DESC",
}
DEPLOYMENT_ORDER: dict[DeploymentSort, str] = {
    "CREATED_DESC": "d.created DESC, d.id DESC",
    "UPDATED_DESC": "d.updated DESC, d.id DESC",
    "NAME_ASC": "d.name ASC, d.id",
    "NAME_DESC": "d.name DESC, d.id DESC",
}

_SELECT_FLOWS = statement("select_flows")
_SELECT_DEPLOYMENTS = statement("select_deployments")
_SELECT_FLOW_RUNS = statement("select_flow_runs")
_SELECT_TASK_RUNS = statement("select_task_runs")


class Query:
    """SQL text under construction and the values of its parameters."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def bind(self, value: object) -> str:
        """The placeholder of one more value."""
        self.values.append(value)
        return f"${len(self.values)}"


# Statements ---------------------------------------------------------------------------------------


def select_flows(
    selection: Selection, sort: FlowSort, limit: int, offset: int
) -> tuple[str, list[object]]:
    """One page of flows."""
    query = Query()
    where = flows_where(query, selection)
    tail = f"LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}"
    return f"{_SELECT_FLOWS} WHERE {where} ORDER BY {FLOW_ORDER[sort]} {tail}", query.values


def count_flows(selection: Selection) -> tuple[str, list[object]]:
    """How many flows."""
    query = Query()
    return f"SELECT count(*) FROM flow f WHERE {flows_where(query, selection)}", query.values


def select_flow_runs(
    selection: Selection, sort: FlowRunSort, limit: int, offset: int
) -> tuple[str, list[object]]:
    """One page of flow runs."""
    query = Query()
    where = flow_runs_where(query, selection)
    tail = f"LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}"
    order = FLOW_RUN_ORDER[sort]
    return page_of(_SELECT_FLOW_RUNS, "flow_run", "r", where, order, tail), query.values


def count_flow_runs(selection: Selection) -> tuple[str, list[object]]:
    """How many flow runs."""
    query = Query()
    where = flow_runs_where(query, selection)
    return f"SELECT count(*) FROM flow_run r WHERE {where}", query.values


def select_task_runs(
    selection: Selection, sort: TaskRunSort, limit: int, offset: int
) -> tuple[str, list[object]]:
    """One page of task runs."""
    query = Query()
    where = task_runs_where(query, selection)
    tail = f"LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}"
    order = TASK_RUN_ORDER[sort]
    return page_of(_SELECT_TASK_RUNS, "task_run", "t", where, order, tail), query.values


def count_task_runs(selection: Selection) -> tuple[str, list[object]]:
    """How many task runs."""
    query = Query()
    where = task_runs_where(query, selection)
    return f"SELECT count(*) FROM task_run t WHERE {where}", query.values


def select_deployments(
    selection: Selection, sort: DeploymentSort, limit: int, offset: int
) -> tuple[str, list[object]]:
    """One page of deployments."""
    query = Query()
    where = deployments_where(query, selection)
    tail = f"LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}"
    order = DEPLOYMENT_ORDER[sort]
    return f"{_SELECT_DEPLOYMENTS} WHERE {where} ORDER BY {order} {tail}", query.values


def count_deployments(selection: Selection) -> tuple[str, list[object]]:
    """How many deployments."""
    query = Query()
    where = deployments_where(query, selection)
    return f"SELECT count(*) FROM deployment d WHERE {where}", query.values


def select_flow_run_summaries(
    selection: Selection, sort: FlowRunSort, limit: int, offset: int
) -> tuple[str, list[object]]:
    """What a run is drawn from, of those that have a state and a time."""
    query = Query()
    where = flow_runs_where(query, selection)
    text = f"""
        SELECT r.id, r.state_type, r.state_timestamp, r.start_time, r.expected_start_time,
            r.total_run_time
        FROM flow_run r
        WHERE {where} AND r.state_type IS NOT NULL
            AND coalesce(r.start_time, r.expected_start_time) IS NOT NULL
        ORDER BY {FLOW_RUN_ORDER[sort]}
        LIMIT {query.bind(limit)} OFFSET {query.bind(offset)}
    """
    return text, query.values


def count_task_runs_by_state(selection: Selection) -> tuple[str, list[object]]:
    """How many task runs, by type of state."""
    query = Query()
    where = task_runs_where(query, selection)
    text = f"""
        SELECT t.state_type, count(*) AS count FROM task_run t
        WHERE {where} AND t.state_type IS NOT NULL GROUP BY t.state_type
    """
    return text, query.values


def task_run_outcomes(
    selection: Selection, start: dt.datetime, seconds: float
) -> tuple[str, list[object]]:
    """Task runs by when they started after `start`, in stretches of `seconds`: failed and not."""
    query = Query()
    where = task_runs_where(query, selection)
    since = f"extract(epoch FROM t.start_time - {query.bind(start)}::timestamptz)"
    text = f"""
        SELECT floor({since} / {query.bind(seconds)}::float8)::bigint AS bucket,
            count(*) FILTER (WHERE t.state_type IN ('FAILED', 'CRASHED')) AS failed,
            count(*) FILTER (WHERE t.state_type NOT IN ('FAILED', 'CRASHED')) AS completed
        FROM task_run t
        WHERE {where}
        GROUP BY 1
    """
    return text, query.values


def page_of(select: str, table: str, alias: str, where: str, order: str, tail: str) -> str:
    """What belongs to the rows is looked up for those of the page alone."""
    columns, joins = select.split(f"FROM {table} {alias}")
    page = f"SELECT {alias}.* FROM {table} {alias} WHERE {where} ORDER BY {order} {tail}"
    return f"{columns}FROM ({page}) {alias}{joins} ORDER BY {order}"


# Entities -----------------------------------------------------------------------------------------


def flows_where(query: Query, selection: Selection) -> str:
    """The condition on a flow `f`. Flow run and task run filters speak of the same flow run,
    deployment, pool and queue filters of the same deployment."""
    parts = []
    if selection.flows is not None:
        parts.append(_flow(query, selection.flows))
    if selection.flow_runs is not None or selection.task_runs is not None:
        parts.append(exists("flow_run r", "r.flow_id = f.id", _run_and_tasks(query, selection)))
    if selection.deployments is not None or _queue_asked(selection):
        where = [_queue(query, "d", selection)]
        if selection.deployments is not None:
            where.append(_deployment(query, selection.deployments))
        parts.append(exists("deployment d", "d.flow_id = f.id", _all(where)))
    return _all(parts)


def deployments_where(query: Query, selection: Selection) -> str:
    """The condition on a deployment `d`. Flow run and task run filters speak of the same flow
    run."""
    parts = [_queue(query, "d", selection)]
    if selection.deployments is not None:
        parts.append(_deployment(query, selection.deployments))
    if selection.flows is not None:
        parts.append(exists("flow f", "f.id = d.flow_id", _flow(query, selection.flows)))
    if selection.flow_runs is not None or selection.task_runs is not None:
        parts.append(
            exists("flow_run r", "r.deployment_id = d.id", _run_and_tasks(query, selection))
        )
    return _all(parts)


def _run_and_tasks(query: Query, selection: Selection) -> str:
    """The condition on a flow run `r` that flow run and task run filters make together."""
    parts = []
    if selection.flow_runs is not None:
        parts.append(_flow_run(query, selection.flow_runs))
    if selection.task_runs is not None:
        task = _task_run(query, selection.task_runs)
        parts.append(exists("task_run t", "t.flow_run_id = r.id", task))
    return _all(parts)


def flow_runs_where(query: Query, selection: Selection) -> str:
    """The condition on a flow run `r`."""
    parts = [_run_and_tasks(query, selection), _queue(query, "r", selection)]
    if selection.flows is not None:
        flow = _flow(query, selection.flows)
        # Every flow run has a flow.
        parts.append(TRUE if flow == TRUE else exists("flow f", "f.id = r.flow_id", flow))
    if selection.deployments is not None:
        deployment = _deployment(query, selection.deployments)
        parts.append(exists("deployment d", "d.id = r.deployment_id", deployment))
    return _all(parts)


def task_runs_where(query: Query, selection: Selection) -> str:
    """The condition on a task run `t`."""
    parts = []
    if selection.task_runs is not None:
        parts.append(_task_run(query, selection.task_runs))
    if selection.flow_runs is not None:
        run = _flow_run(query, selection.flow_runs)
        parts.append(exists("flow_run r", "r.id = t.flow_run_id", run))
    if selection.flows is not None:
        flow = _flow(query, selection.flows)
        joined = "flow_run r JOIN flow f ON f.id = r.flow_id"
        parts.append(exists(joined, "r.id = t.flow_run_id", flow))
    if selection.deployments is not None:
        deployment = _deployment(query, selection.deployments)
        joined = "flow_run r JOIN deployment d ON d.id = r.deployment_id"
        parts.append(exists(joined, "r.id = t.flow_run_id", deployment))
    if _queue_asked(selection):
        queue = _queue(query, "r", selection)
        parts.append(exists("flow_run r", "r.id = t.flow_run_id", queue))
    return _all(parts)


def _queue_asked(selection: Selection) -> bool:
    return selection.work_pools is not None or selection.work_pool_queues is not None


def _queue(query: Query, alias: str, selection: Selection) -> str:
    """The condition that work pool and work queue filters make on what has a `work_queue_id`."""
    if not _queue_asked(selection):
        return TRUE
    parts = []
    if selection.work_pool_queues is not None:
        parts.append(work_queue(query, selection.work_pool_queues))
    if selection.work_pools is not None:
        pool = work_pool(query, selection.work_pools)
        # Every queue has a pool.
        parts.append(TRUE if pool == TRUE else exists("work_pool p", "p.id = q.work_pool_id", pool))
    return exists("work_queue q", f"q.id = {alias}.work_queue_id", _all(parts))


def _flow(query: Query, on: FlowFilter) -> str:
    parts = []
    if on.id is not None:
        parts.append(_id(query, "f.id", on.id))
    if on.deployment is not None and on.deployment.is_null_ is not None:
        deployed = exists("deployment any_of", "any_of.flow_id = f.id", TRUE)
        parts.append(f"NOT {deployed}" if on.deployment.is_null_ else deployed)
    if on.name is not None:
        parts.append(name_like(query, "f.name", on.name))
    if on.tags is not None:
        parts.append(tags_of(query, "f.tags", on.tags))
    return join(parts, on.operator)


def _flow_run(query: Query, on: FlowRunFilter) -> str:
    parts = []
    if on.id is not None:
        parts.append(_id(query, "r.id", on.id))
    if on.name is not None:
        parts.append(name_like(query, "r.name", on.name))
    if on.tags is not None:
        parts.append(tags_of(query, "r.tags", on.tags))
    if on.deployment_id is not None:
        parts.append(_or_null(query, "r.deployment_id", on.deployment_id))
    if on.work_queue_name is not None:
        parts.append(_or_null(query, "r.work_queue_name", on.work_queue_name))
    if on.state is not None:
        parts.append(_state(query, "r", on.state))
    if on.flow_version is not None:
        parts.append(any_of(query, "r.flow_version", on.flow_version))
    if on.start_time is not None:
        parts.append(
            _time(
                query,
                "coalesce(r.start_time, r.expected_start_time)",
                on.start_time,
                "r.start_time",
            )
        )
    if on.end_time is not None:
        parts.append(_time(query, "r.end_time", on.end_time))
    if on.expected_start_time is not None:
        parts.append(_time(query, "r.expected_start_time", on.expected_start_time))
    if on.next_scheduled_start_time is not None:
        parts.append(_time(query, "r.next_scheduled_start_time", on.next_scheduled_start_time))
    if on.parent_flow_run_id is not None:
        parts.append(_parent_flow_run(query, on.parent_flow_run_id))
    if on.parent_task_run_id is not None:
        parts.append(_or_null(query, "r.parent_task_run_id", on.parent_task_run_id))
    if on.idempotency_key is not None:
        parts.append(any_or_not(query, "r.idempotency_key", on.idempotency_key))
    if on.created_by is not None:
        parts.append(_created_by(query, on.created_by))
    return join(parts, on.operator)


def _task_run(query: Query, on: TaskRunFilter) -> str:
    parts = []
    if on.id is not None:
        parts.append(any_of(query, "t.id", on.id))
    if on.name is not None:
        parts.append(name_like(query, "t.name", on.name))
    if on.tags is not None:
        parts.append(tags_of(query, "t.tags", on.tags))
    if on.state is not None:
        parts.append(_state(query, "t", on.state))
    if on.start_time is not None:
        parts.append(_time(query, "t.start_time", on.start_time))
    if on.end_time is not None:
        parts.append(_time(query, "t.end_time", on.end_time))
    if on.expected_start_time is not None:
        parts.append(_time(query, "t.expected_start_time", on.expected_start_time))
    if on.subflow_runs is not None:
        parts.append(_subflow_runs(on.subflow_runs))
    if on.flow_run_id is not None:
        parts.append(_or_null(query, "t.flow_run_id", on.flow_run_id))
    return join(parts, on.operator)


def _deployment(query: Query, on: DeploymentFilter) -> str:
    """A bound on the concurrency limit says nothing: so it is in the protocol."""
    parts = []
    if on.id is not None:
        parts.append(_id(query, "d.id", on.id))
    if on.name is not None:
        parts.append(name_like(query, "d.name", on.name))
    if on.flow_or_deployment_name is not None:
        parts.append(_flow_or_deployment_name(query, on.flow_or_deployment_name.like_))
    if on.paused is not None:
        parts.append(TRUE if on.paused.eq_ is None else f"d.paused = {query.bind(on.paused.eq_)}")
    if on.tags is not None:
        parts.append(tags_of(query, "d.tags", on.tags))
    if on.work_queue_name is not None:
        parts.append(any_of(query, "d.work_queue_name", on.work_queue_name))
    return join(parts, on.operator)


def work_pool(query: Query, on: WorkPoolFilter) -> str:
    """The condition on a work pool `p`."""
    parts = []
    if on.id is not None:
        parts.append(any_of(query, "p.id", on.id))
    if on.name is not None:
        parts.append(any_of(query, "p.name", on.name))
    if on.type is not None:
        parts.append(any_of(query, "p.type", on.type))
    return join(parts, on.operator)


def work_queue(query: Query, on: WorkQueueFilter) -> str:
    """The condition on a work queue `q`."""
    parts = []
    if on.id is not None:
        parts.append(any_of(query, "q.id", on.id))
    if on.name is not None:
        parts.append(_prefix_name(query, "q.name", on.name))
    return join(parts, on.operator)


# Fields -------------------------------------------------------------------------------------------


def any_of(query: Query, column: str, on: AnyId | AnyText | StateTypeFilter) -> str:
    return TRUE if on.any_ is None else _is_one_of(query, column, on.any_)


def any_or_not(
    query: Query, column: str, on: AnyOrNotId | AnyOrNotText | StateTypeOrNotFilter
) -> str:
    parts = []
    if on.any_ is not None:
        parts.append(_is_one_of(query, column, on.any_))
    if on.not_any_ is not None:
        parts.append(f"{column} <> ALL ({query.bind(on.not_any_)})")
    return _all(parts)


_id = any_or_not


def _or_null(query: Query, column: str, on: AnyOrNullId | AnyOrNullText | TaskFlowRunId) -> str:
    parts = []
    if on.any_ is not None:
        parts.append(_is_one_of(query, column, on.any_))
    if on.is_null_ is not None:
        parts.append(_null(column, on.is_null_))
    return join(parts, on.operator)


def name_like(query: Query, column: str, on: NameFilter) -> str:
    parts = []
    if on.any_ is not None:
        parts.append(_is_one_of(query, column, on.any_))
    if on.like_ is not None:
        # An index of trigrams is of no use for less than three letters, yet might be taken: all of
        # it would be read. It is not on this expression.
        text = column if _A_TRIGRAM.search(on.like_) else f"({column} || '')"
        parts.append(f"{text} ILIKE {query.bind(f'%{on.like_}%')}")
    return _all(parts)


def _prefix_name(query: Query, column: str, on: PrefixNameFilter) -> str:
    parts = []
    if on.any_ is not None:
        parts.append(_is_one_of(query, column, on.any_))
    if on.startswith_:
        prefixes = [f"{prefix}%" for prefix in on.startswith_]
        parts.append(f"{column} ILIKE ANY ({query.bind(prefixes)})")
    return _all(parts)


def _flow_or_deployment_name(query: Query, like: str | None) -> str:
    if like is None:
        return TRUE
    pattern = query.bind(f"%{like}%")
    flow = exists("flow named", "named.id = d.flow_id", f"named.name ILIKE {pattern}")
    return f"(d.name ILIKE {pattern} OR {flow})"


def tags_of(query: Query, column: str, on: AllTags | AllOrAnyTags) -> str:
    parts = []
    if on.all_ is not None:
        parts.append(f"{column} @> {query.bind(on.all_)}")
    if isinstance(on, AllOrAnyTags) and on.any_ is not None:
        parts.append(f"{column} && {query.bind(on.any_)}")
    if on.is_null_ is not None:
        parts.append(f"{column} {'=' if on.is_null_ else '<>'} '{{}}'")
    return join(parts, on.operator)


def _time(
    query: Query, column: str, on: TimeFilter | TimeOrNullFilter, null_column: str | None = None
) -> str:
    parts = []
    if on.before_ is not None:
        parts.append(f"{column} <= {query.bind(as_utc(on.before_))}")
    if on.after_ is not None:
        parts.append(f"{column} >= {query.bind(as_utc(on.after_))}")
    if isinstance(on, TimeOrNullFilter) and on.is_null_ is not None:
        parts.append(_null(null_column or column, on.is_null_))
    return _all(parts)


def _state(query: Query, alias: str, on: FlowRunStateFilter | TaskRunStateFilter) -> str:
    parts = []
    if isinstance(on.type, StateTypeOrNotFilter):
        parts.append(any_or_not(query, f"{alias}.state_type", on.type))
    elif on.type is not None:
        parts.append(any_of(query, f"{alias}.state_type", on.type))
    if isinstance(on.name, AnyOrNotText):
        parts.append(any_or_not(query, f"{alias}.state_name", on.name))
    elif on.name is not None:
        parts.append(any_of(query, f"{alias}.state_name", on.name))
    return join(parts, on.operator)


def _parent_flow_run(query: Query, on: ParentFlowRunId) -> str:
    if on.any_ is None:
        return TRUE
    parents = query.bind(on.any_)
    return exists("task_run p", "p.id = r.parent_task_run_id", f"p.flow_run_id = ANY ({parents})")


def _created_by(query: Query, on: CreatedByFilter) -> str:
    parts = []
    if on.id_ is not None:
        ids = [str(id) for id in on.id_]
        parts.append(f"r.created_by ->> 'id' = ANY ({query.bind(ids)})")
    if on.type_ is not None:
        parts.append(f"r.created_by ->> 'type' = ANY ({query.bind(on.type_)})")
    if on.is_null_ is not None:
        parts.append(_null("r.created_by", on.is_null_))
    return join(parts, on.operator)


def _subflow_runs(on: SubflowRunsFilter) -> str:
    if on.exists_ is None:
        return TRUE
    child = exists("flow_run child", "child.parent_task_run_id = t.id", TRUE)
    return child if on.exists_ else f"NOT {child}"


# Pieces -------------------------------------------------------------------------------------------


def _is_one_of(query: Query, column: str, values: Sequence[object]) -> str:
    """Of a single value an index gives its rows in the order of what follows in it."""
    if len(values) == 1:
        return f"{column} = {query.bind(values[0])}"
    return f"{column} = ANY ({query.bind(values)})"


def _null(column: str, is_null: bool) -> str:
    return f"{column} IS {'NULL' if is_null else 'NOT NULL'}"


def exists(tables: str, link: str, condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM {tables} WHERE {link} AND {condition})"


def _all(parts: Iterable[str]) -> str:
    return join(parts, "and_")


def join(parts: Iterable[str], operator: Operator) -> str:
    """The parts in parentheses. None at all is true under either operator; what is always true
    adds nothing to AND."""
    said = [part for part in parts if operator == "or_" or part != TRUE]
    if len(said) < 2:
        return said[0] if said else TRUE
    return f"({(' OR ' if operator == 'or_' else ' AND ').join(said)})"
