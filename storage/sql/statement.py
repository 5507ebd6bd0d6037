"""Which statements may run: one SELECT over the views, checked on DuckDB's own parse of it.

A list of what is allowed, since there is no end to what is not: tables are the views and the statement's
own CTEs; table functions are a handful that read nothing. What a scalar function could tell is about a
process that knows nothing (see `storage.sql.sandbox`); those that are about settings are refused too.
"""

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec

from storage.sql.messages import Wanted
from storage.sql.tables import TABLES

LOGS = "logs"
MAX_SQL_CHARACTERS = 100_000
# Beyond it nobody wrote it by hand, and checking it takes long.
MAX_DEPTH = 400

_TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "repeat", "json_each", "json_tree"}
)
_TABLE_REFS = frozenset(
    {
        "BASE_TABLE",
        "SUBQUERY",
        "JOIN",
        "TABLE_FUNCTION",
        "EMPTY",
        "EXPRESSION_LIST",
        "PIVOT",
        "SHOW_REF",
        "CTE",
    }
)
_FROM_KEYS = ("from_table", "left", "right", "source", "subquery")
_REFUSED_FUNCTIONS = re.compile(
    r"(getenv|current_setting|getvariable|nextval|currval|write_log|parse_duckdb_log_message"
    r"|(pg_|duckdb_|pragma_|read_|parquet_|from_substrait|get_substrait).*)",
    re.IGNORECASE,
)
_MARGIN = dt.timedelta(milliseconds=1)
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+|\([^()]*\)\s*)?", re.IGNORECASE)


class _Details(msgspec.Struct, frozen=True):
    """An error as DuckDB tells it in JSON."""

    exception_message: str
    position: int | None = None


class Refused(Exception):
    """The statement is wrong, or not allowed; the message says why."""


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> Wanted:
    """What the statement reads.

    Raises:
        Refused: it is no single SELECT over the views.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        raise Refused(f"the statement is longer than {MAX_SQL_CHARACTERS:,} characters")
    if "\0" in sql:
        raise Refused("the statement has a NUL")
    statement = _single_select(connection, sql)
    tree = parsed(connection, statement)
    ctes = {name for node in objects_of(tree) for name in _cte_names(node)}
    named: set[str] = set()
    for node in objects_of(tree):
        _check_node(node, ctes, named)
    bounds = _bounds(tree) if LOGS in named else {}
    tables = {name: _columns(tree, name) for name in sorted(named - {LOGS})}
    return Wanted(tables=tables, logs=LOGS in named, **bounds)


def _single_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The statement to check: what EXPLAIN would explain, or the statement itself."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise Refused(explained(error, sql)) from error
    if not statements:
        raise Refused("there is no statement")
    kinds = [statement.type for statement in statements]
    if len(statements) > 1:
        made_up = duckdb.StatementType.CREATE in kinds and "pivot" in sql.lower()
        raise Refused(
            "PIVOT needs its values: `PIVOT logs ON level IN (20, 40) USING count(*)`"
            if made_up
            else "only one statement may be given"
        )
    if statements[0].named_parameters:
        raise Refused("parameters cannot be given; write the values into the statement")
    text = statements[0].query
    if kinds[0] == duckdb.StatementType.EXPLAIN:
        begins = _EXPLAIN.match(text)
        text = text[begins.end() :] if begins else ""
        if not text or _EXPLAIN.match(text):
            raise Refused("EXPLAIN must come first, and a SELECT after it")
        return _single_select(connection, text)
    if kinds[0] != duckdb.StatementType.SELECT:
        raise Refused(f"only SELECT is allowed, not {kinds[0].name}")
    return text


def parsed(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """DuckDB's own parse of a statement, as it tells it in JSON: a list of statements. Raises Refused."""
    found = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true,"
        " skip_default := true)",
        [sql],
    ).fetchone()
    try:
        tree = msgspec.json.decode(found[0] if found else "")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Refused("the statement is nested too deeply") from error
    if tree.get("error", True):
        raise Refused(f"only SELECT is allowed: {tree.get('error_message', 'not a statement')}")
    return tree["statements"]


def objects_of(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the parse."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > 4 * MAX_DEPTH:
            raise Refused("the statement is nested too deeply")
        if isinstance(node, dict):
            yield node
            waiting.extend((value, depth + 1) for value in node.values())
        elif isinstance(node, list):
            waiting.extend((value, depth + 1) for value in node)


def _cte_names(node: dict[str, Any]) -> Iterator[str]:
    ctes = node.get("cte_map")
    if isinstance(ctes, dict):
        for entry in ctes.get("map", []):
            yield str(entry["key"]).lower()
    if node.get("type") == "RECURSIVE_CTE_NODE":
        yield str(node["cte_name"]).lower()


def _check_node(node: dict[str, Any], ctes: set[str], named: set[str]) -> None:
    """Raise Refused, or add to `named` the view that the node reads."""
    for key in _FROM_KEYS:
        below = node.get(key)
        if isinstance(below, dict) and "class" not in below and "node" not in below:
            kind = below.get("type", "")
            if not kind.endswith("_NODE") and kind not in _TABLE_REFS:
                raise Refused(f"{kind.lower()} is not allowed after FROM")
    kind = node.get("type")
    if kind == "BASE_TABLE":
        _check_table(node, ctes, named)
    elif kind == "SHOW_REF" and "query" not in node:
        raise Refused("SHOW is not allowed; the views are logs, " + ", ".join(sorted(TABLES)))
    elif kind == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise Refused(f"the table function {name} is not allowed")
    if "function_name" in node and _REFUSED_FUNCTIONS.fullmatch(str(node["function_name"])):
        raise Refused(f"the function {node['function_name']} is not allowed")


def _check_table(node: dict[str, Any], ctes: set[str], named: set[str]) -> None:
    name = str(node.get("table_name", "")).lower()
    qualified = node.get("schema_name") or node.get("catalog_name")
    if not qualified and name in ctes and name not in TABLES and name != LOGS:
        return
    if qualified or (name != LOGS and name not in TABLES):
        full = ".".join(
            str(node[key]) for key in ("catalog_name", "schema_name", "table_name") if key in node
        )
        raise Refused(f"there is no view {full}; there are logs, {', '.join(sorted(TABLES))}")
    # A CTE of a view's name may hide it; the view is there all the same.
    named.add(name)


def _bounds(tree: Any) -> dict[str, Any]:
    """Runs and times that every line of `logs` must be of, as far as the statement says so plainly: in
    the WHERE of the only SELECT from `logs`, which reads nothing else."""
    reads = [node for node in objects_of(tree) if is_logs(node)]
    selects = [
        node
        for node in objects_of(tree)
        if node.get("type") == "SELECT_NODE" and is_logs(node.get("from_table"))
    ]
    if len(reads) != 1 or len(selects) != 1 or "column_name_alias" in reads[0]:
        return {}
    names = {LOGS, str(reads[0].get("alias", LOGS)).lower()}
    where = selects[0].get("where_clause")
    bounds: dict[str, Any] = {}
    for condition in _conjuncts(where):
        _narrow(bounds, condition, names)
    return bounds


def _columns(tree: Any, table: str) -> list[str]:
    """The columns of a table that a statement may need: those whose names it has anywhere, all when it
    may mean columns without naming them."""
    texts: set[str] = set()
    relations = {table}
    alone: set[str] = set()
    for node in objects_of(tree):
        if node.get("type") in ("STAR", "SHOW_REF", "PIVOT") or node.get("ref_type") == "NATURAL":
            return list(TABLES[table])
        if node.get("alias"):
            relations.add(str(node["alias"]).lower())
        for value in node.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    texts.add(text.lower())
        if node.get("type") == "COLUMN_REF" and len(node.get("column_names", [])) == 1:
            alone.add(str(node["column_names"][0]).lower())
    if alone & relations:
        # A row as a whole, by the name of its table.
        return list(TABLES[table])
    return [column for column in TABLES[table] if column in texts or column == "id"]


def is_logs(node: Any) -> bool:
    """Whether a node of the parse is the view `logs`."""
    return (
        isinstance(node, dict)
        and node.get("type") == "BASE_TABLE"
        and str(node.get("table_name", "")).lower() == LOGS
    )


def _conjuncts(where: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(where, dict):
        return
    if where.get("type") == "CONJUNCTION_AND":
        for child in where.get("children", []):
            yield from _conjuncts(child)
    else:
        yield where


def _narrow(bounds: dict[str, Any], condition: dict[str, Any], names: set[str]) -> None:
    kind = condition.get("type")
    if kind == "COMPARE_IN":
        column, *values = condition.get("children", [])
        if column_of(column, names) == "flow_run_id":
            _narrow_runs(bounds, values)
    elif kind == "COMPARE_BETWEEN":
        if column_of(condition.get("input"), names) == "timestamp":
            _narrow_times(bounds, "after", condition.get("lower"))
            _narrow_times(bounds, "before", condition.get("upper"))
    elif kind in ("COMPARE_EQUAL", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO",
                  "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO"):  # fmt: skip
        column = column_of(condition.get("left"), names)
        if column == "flow_run_id" and kind == "COMPARE_EQUAL":
            _narrow_runs(bounds, [condition.get("right")])
        elif column == "timestamp":
            if kind == "COMPARE_EQUAL" or "GREATER" in kind:
                _narrow_times(bounds, "after", condition.get("right"))
            if kind == "COMPARE_EQUAL" or "LESS" in kind:
                _narrow_times(bounds, "before", condition.get("right"))


def column_of(node: Any, names: set[str]) -> str | None:
    """The column of a table, known by any of these names, that a node of the parse is."""
    if not isinstance(node, dict) or node.get("type") != "COLUMN_REF":
        return None
    path = [str(part).lower() for part in node.get("column_names", [])]
    if len(path) == 2 and path[0] not in names:
        return None
    return path[-1] if 1 <= len(path) <= 2 else None


def _narrow_runs(bounds: dict[str, Any], values: list[Any]) -> None:
    runs = []
    for value in values:
        try:
            runs.append(uuid.UUID(_text(value) or ""))
        except ValueError:
            return
    if bounds.get("runs") is None:
        bounds["runs"] = runs
    else:
        bounds["runs"] = [run for run in bounds["runs"] if run in runs]


def _narrow_times(bounds: dict[str, Any], side: str, value: Any) -> None:
    text = _text(value)
    try:
        time = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return
    # A time without a zone is in UTC. DuckDB may round where Python cuts.
    time = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time
    try:
        time += -_MARGIN if side == "after" else _MARGIN
    except OverflowError:
        return
    known = bounds.get(side)
    if known is None or (time > known if side == "after" else time < known):
        bounds[side] = time


def _text(node: Any) -> str | None:
    """The text of a constant, cast to a type or not."""
    while isinstance(node, dict) and node.get("type") == "OPERATOR_CAST":
        kind = str(node.get("cast_type", {}).get("id", ""))
        if kind not in ("UUID", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_TZ", "VARCHAR"):
            return None
        node = node.get("child")
    if not isinstance(node, dict) or node.get("type") != "VALUE_CONSTANT":
        return None
    value = node.get("value", {}).get("value")
    return value if isinstance(value, str) else None


def explained(error: Exception, sql: str) -> str:
    """What an error of DuckDB says, with the line and the column of the statement where it is known."""
    kind, _, told = str(error).partition(": ")
    try:
        details = msgspec.json.decode(told, type=_Details, strict=False)
    except msgspec.MsgspecError:
        # Not every error is told as JSON.
        return _plain(str(error))
    message = _plain(f"{kind}: {details.exception_message}")
    if details.position is None:
        return message
    # In bytes of UTF-8.
    before = sql.encode()[: details.position].decode(errors="ignore")
    return f"{message} (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"


def _plain(text: str) -> str:
    """In one line, without the statement that it repeats."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("LINE ", "Stack Trace")):
            break
        if line.strip():
            lines.append(line.strip())
    return " ".join(lines)[:500]
