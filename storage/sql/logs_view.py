"""The view `logs`: every line that may be shown, wherever it lies."""

import uuid
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from storage.logs.lines import UUID_TYPE
from storage.sql.first_lines import Moment
from storage.sql.messages import Tier

# The public id of a line, as `storage.logs.lines.log_id` makes it, made only where it is asked for.
_ID = (
    "printf('%08x-%04x-8%03x-%04x-000000000000', seq >> 32, (seq >> 16) & 65535,"
    " (seq >> 4) & 4095, 32768 | ((seq & 15) << 10))::UUID"
)
_LEVEL_NAME = (
    "CASE level WHEN 10 THEN 'DEBUG' WHEN 20 THEN 'INFO' WHEN 30 THEN 'WARNING'"
    " WHEN 40 THEN 'ERROR' WHEN 50 THEN 'CRITICAL' ELSE 'LEVEL ' || level END"
)
_COLUMNS = f"""
    {_ID} AS id, flow_run_id::UUID AS flow_run_id, task_run_id::UUID AS task_run_id,
    timestamp, level, {_LEVEL_NAME} AS level_name, name, message, seq
"""
SEGMENTS = "tailrace_segments"
HOT = "tailrace_hot"


@dataclass(frozen=True, slots=True)
class LogsView:
    """The relations that lines are in, and conditions that those to be shown meet."""

    relations: list[str]
    conditions: list[str]

    def create(self, connection: duckdb.DuckDBPyConnection, moment: Moment | None = None) -> None:
        """Make the view, of the lines on one side of a moment, or of all."""
        conditions = list(self.conditions)
        if moment is not None:
            order = ">=" if moment.from_then_on else "<="
            conditions.append(f"timestamp {order} TIMESTAMPTZ '{moment.time.isoformat()}'")
        where = " WHERE " + " AND ".join(conditions) if conditions else ""
        selects = [f"SELECT {_COLUMNS} FROM {name}{where}" for name in self.relations]
        connection.execute("CREATE OR REPLACE VIEW logs AS " + " UNION ALL ".join(selects))


def create_logs(
    connection: duckdb.DuckDBPyConnection, tier: Tier, relations: dict[str, object]
) -> LogsView:
    """Make the view of these relations, whose columns are those of `LINES`, without what is not to be
    shown."""
    for name, relation in relations.items():
        connection.register(name, relation)
    view = LogsView(list(relations), _conditions(connection, tier))
    view.create(connection)
    return view


def _conditions(connection: duckdb.DuckDBPyConnection, tier: Tier) -> list[str]:
    conditions = []
    for column, ids in (("flow_run_id", tier.deleted_runs), ("task_run_id", tier.deleted_tasks)):
        if ids:
            name = f"tailrace_deleted_{column}"
            _keep_ids(connection, name, ids)
            conditions.append(f"({column} IS NULL OR {column} NOT IN (SELECT id FROM {name}))")
    if tier.below_level:
        _keep_ids(
            connection, "tailrace_expired", list(tier.below_level), list(tier.below_level.values())
        )
        conditions.append(
            "NOT EXISTS (SELECT 1 FROM tailrace_expired AS expired"
            " WHERE expired.id = flow_run_id AND level < expired.below_level)"
        )
    if tier.runless_before is not None:
        moment = tier.runless_before.isoformat()
        conditions.append(f"NOT (flow_run_id IS NULL AND timestamp < TIMESTAMPTZ '{moment}')")
    return conditions


def _keep_ids(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    ids: list[uuid.UUID],
    levels: list[int] | None = None,
) -> None:
    columns: dict[str, Any] = {"id": pa.array([each.bytes for each in ids], UUID_TYPE)}
    if levels is not None:
        columns["below_level"] = pa.array(levels, pa.int32())
    connection.register("arriving", pa.table(columns))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
    connection.unregister("arriving")
