"""The filters of variables and artifacts as SQL, from the pieces of `storage.postgres.filters`.

In the text, `v` is a variable and `a` an artifact.
"""

import msgspec

from app.wire.artifacts import (
    ArtifactCollectionFilter,
    ArtifactCollectionQuery,
    ArtifactCollectionSelection,
    ArtifactFilter,
    ArtifactQuery,
    ArtifactSelection,
    ArtifactSort,
    KeyFilter,
)
from app.wire.filters import Selection
from app.wire.variables import VariableFilter, VariableQuery, VariableSort
from storage.postgres.filters import (
    TRUE,
    Query,
    any_of,
    any_or_not,
    exists,
    flow_runs_where,
    join,
    name_like,
    tags_of,
    task_runs_where,
)
from storage.postgres.statements import statement

VARIABLE_ORDER: dict[VariableSort, str] = {
    "CREATED_DESC": "v.created DESC, v.id DESC",
    "UPDATED_DESC": "v.updated DESC, v.id DESC",
    "NAME_DESC": "v.name DESC",
    "NAME_ASC": "v.name ASC",
}
ARTIFACT_ORDER: dict[ArtifactSort, str] = {
    "CREATED_DESC": "a.created DESC, a.id DESC",
    "UPDATED_DESC": "a.updated DESC, a.id DESC",
    "ID_DESC": "a.id DESC",
    "KEY_DESC": "a.key DESC, a.id DESC",
    "KEY_ASC": "a.key ASC, a.id",
}

_SELECT_VARIABLES = statement("select_variables")
_SELECT_ARTIFACTS = statement("select_artifacts")
_SELECT_LATEST = statement("select_latest_artifacts")
_LATEST = statement("latest_artifacts")


def select_variables(on: VariableQuery) -> tuple[str, list[object]]:
    """One page of variables."""
    query = Query()
    where = _variable(query, on.variables)
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    sql = f"{_SELECT_VARIABLES} WHERE {where} ORDER BY {VARIABLE_ORDER[on.sort]} {tail}"
    return sql, query.values


def count_variables(on: VariableFilter | None) -> tuple[str, list[object]]:
    """How many variables."""
    query = Query()
    return f"SELECT count(*) FROM variable v WHERE {_variable(query, on)}", query.values


def select_artifacts(on: ArtifactQuery) -> tuple[str, list[object]]:
    """One page of artifacts."""
    query = Query()
    where = _artifacts_where(query, on, on.artifacts)
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    sql = f"{_SELECT_ARTIFACTS} WHERE {where} ORDER BY {ARTIFACT_ORDER[on.sort]} {tail}"
    return sql, query.values


def count_artifacts(on: ArtifactSelection) -> tuple[str, list[object]]:
    """How many artifacts."""
    query = Query()
    where = _artifacts_where(query, on, on.artifacts)
    return f"SELECT count(*) FROM artifact a WHERE {where}", query.values


def select_latest_artifacts(on: ArtifactCollectionQuery) -> tuple[str, list[object]]:
    """One page of keys, each as its newest artifact."""
    query = Query()
    where = _artifacts_where(query, on, on.artifacts)
    tail = f"LIMIT {query.bind(on.limit)} OFFSET {query.bind(on.offset)}"
    sql = (
        f"{_SELECT_LATEST} FROM ({_LATEST}) a WHERE {where} "
        f"ORDER BY {ARTIFACT_ORDER[on.sort]} {tail}"
    )
    return sql, query.values


def count_latest_artifacts(on: ArtifactCollectionSelection) -> tuple[str, list[object]]:
    """How many keys."""
    query = Query()
    where = _artifacts_where(query, on, on.artifacts)
    return f"SELECT count(*) FROM ({_LATEST}) a WHERE {where}", query.values


def _variable(query: Query, on: VariableFilter | None) -> str:
    if on is None:
        return TRUE
    parts: list[str] = []
    if on.id is not None:
        parts.append(any_of(query, "v.id", on.id))
    if on.name is not None:
        parts.append(name_like(query, "v.name", on.name))
    if on.tags is not None:
        parts.append(tags_of(query, "v.tags", on.tags))
    return join(parts, on.operator)


def _artifacts_where(
    query: Query, selection: Selection, on: ArtifactFilter | ArtifactCollectionFilter | None
) -> str:
    parts: list[str] = [] if on is None else [_artifact(query, on)]
    if selection.task_runs is not None:
        task = task_runs_where(query, Selection(task_runs=selection.task_runs))
        parts.append(exists("task_run t", "t.id = a.task_run_id", task))
    others = msgspec.structs.replace(_only_selection(selection), task_runs=None)
    if others != Selection():
        run = flow_runs_where(query, others)
        parts.append(exists("flow_run r", "r.id = a.flow_run_id", run))
    return join(parts, "and_")


def _only_selection(selection: Selection) -> Selection:
    return Selection(**{field: getattr(selection, field) for field in Selection.__struct_fields__})


def _artifact(query: Query, on: ArtifactFilter | ArtifactCollectionFilter) -> str:
    parts: list[str] = []
    ids = on.id if isinstance(on, ArtifactFilter) else on.latest_id
    if ids is not None:
        parts.append(any_of(query, "a.id", ids))
    if on.key is not None:
        parts.append(_key(query, on.key))
    if on.flow_run_id is not None:
        parts.append(any_of(query, "a.flow_run_id", on.flow_run_id))
    if on.task_run_id is not None:
        parts.append(any_of(query, "a.task_run_id", on.task_run_id))
    if on.type is not None:
        parts.append(any_or_not(query, "a.type", on.type))
    return join(parts, on.operator)


def _key(query: Query, on: KeyFilter) -> str:
    parts: list[str] = []
    if on.any_ is not None:
        parts.append(f"a.key = ANY ({query.bind(on.any_)})")
    if on.like_ is not None:
        parts.append(f"a.key ILIKE {query.bind(f'%{on.like_}%')}")
    if on.exists_ is not None:
        parts.append(f"a.key IS {'NOT NULL' if on.exists_ else 'NULL'}")
    return join(parts, "and_")
