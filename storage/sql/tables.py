"""The views beside `logs`: what of PostgreSQL they show, and how it comes to DuckDB.

Each is exported by the statement `export_<name>`, whose columns are those named here in that order. Nothing
that may hold a secret is among them (job variables, infrastructure).
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

Type: TypeAlias = Literal[
    "UUID", "VARCHAR", "TIMESTAMPTZ", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR[]", "JSON"
]

_STATE: Mapping[str, Type] = {
    "state_type": "VARCHAR",
    "state_name": "VARCHAR",
    "state_timestamp": "TIMESTAMPTZ",
    "expected_start_time": "TIMESTAMPTZ",
    "start_time": "TIMESTAMPTZ",
    "end_time": "TIMESTAMPTZ",
    "total_run_time": "DOUBLE",
    "run_count": "BIGINT",
    "tags": "VARCHAR[]",
}
TABLES: Mapping[str, Mapping[str, Type]] = {
    "runs": {
        "id": "UUID",
        "name": "VARCHAR",
        "created": "TIMESTAMPTZ",
        "flow_id": "UUID",
        "flow_name": "VARCHAR",
        "deployment_id": "UUID",
        "deployment_name": "VARCHAR",
        "work_pool_name": "VARCHAR",
        "work_queue_name": "VARCHAR",
        "parent_task_run_id": "UUID",
        **_STATE,
        "parameters": "JSON",
    },
    "task_runs": {
        "id": "UUID",
        "name": "VARCHAR",
        "created": "TIMESTAMPTZ",
        "flow_run_id": "UUID",
        "task_key": "VARCHAR",
        "dynamic_key": "VARCHAR",
        **_STATE,
    },
    "flows": {
        "id": "UUID",
        "name": "VARCHAR",
        "created": "TIMESTAMPTZ",
        "tags": "VARCHAR[]",
    },
    "deployments": {
        "id": "UUID",
        "name": "VARCHAR",
        "created": "TIMESTAMPTZ",
        "flow_id": "UUID",
        "flow_name": "VARCHAR",
        "version": "VARCHAR",
        "description": "VARCHAR",
        "paused": "BOOLEAN",
        "status": "VARCHAR",
        "work_pool_name": "VARCHAR",
        "work_queue_name": "VARCHAR",
        "tags": "VARCHAR[]",
        "last_polled": "TIMESTAMPTZ",
    },
}


def create_table(name: str, columns_wanted: list[str], arriving: str) -> str:
    """The statement that makes the table of a view from text columns of the relation `arriving`."""
    columns = ", ".join(
        f"{_cast(column, TABLES[name][column])} AS {column}" for column in columns_wanted
    )
    return f"CREATE TABLE {name} AS SELECT {columns} FROM {arriving}"


def _cast(column: str, kind: Type) -> str:
    return f"{column}::JSON::VARCHAR[]" if kind == "VARCHAR[]" else f"{column}::{kind}"
