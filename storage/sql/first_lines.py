"""Statements that want the newest or oldest lines: they are tried on the row groups at that end first.

The statement's rows must be lines as they are, one each, ordered by their time: then rows that come of the
lines on one side of a moment come before all others, and when these are as many as are wanted nothing else
needs to be read.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import duckdb

from storage.sql.statement import LOGS, column_of, is_logs, objects_of, parsed

# Row groups tried before all others, fewer first.
TRIED = (32, 512)

_SELECT_KEYS = {
    "type",
    "modifiers",
    "select_list",
    "from_table",
    "where_clause",
    "aggregate_handling",
}
_VALUES = ("COLUMN_REF", "CONSTANT", "CAST", "CASE", "COMPARISON", "FUNCTION")
_STAR_KEYS = {"class", "type", "query_location", "exclude_list"}


@dataclass(frozen=True, slots=True)
class FirstLines:
    """The order of time that is wanted, and how many rows; None: as many as are given at all."""

    descending: bool
    limit: int | None

    def has_all(self, rows: int, *, truncated: bool) -> bool:
        """Whether so many rows are all that are wanted."""
        return truncated or (self.limit is not None and rows >= self.limit)


@dataclass(frozen=True, slots=True)
class Moment:
    """Lines from a moment on, inclusive, or up to and with it when they are the oldest."""

    time: dt.datetime
    from_then_on: bool


def first_lines(connection: duckdb.DuckDBPyConnection, sql: str) -> FirstLines | None:
    """What a statement that was checked wants of the lines by their time; None when it wants anything else."""
    (statement,) = parsed(connection, sql)
    node = statement.get("node", {})
    logs = node.get("from_table")
    if node.get("type") != "SELECT_NODE" or not set(node) <= _SELECT_KEYS or not is_logs(logs):
        return None
    if "column_name_alias" in logs or "sample" in logs:
        return None
    if not all(map(_is_as_it_is, node.get("select_list", []))):
        return None
    if any(each.get("class") in ("SUBQUERY", "WINDOW") for each in objects_of(node)):
        return None
    modifiers = [modifier.get("type") for modifier in node.get("modifiers", [])]
    if modifiers not in (["ORDER_MODIFIER"], ["ORDER_MODIFIER", "LIMIT_MODIFIER"]):
        return None
    first = node["modifiers"][0]["orders"][0]
    names = {LOGS, str(logs.get("alias", LOGS)).lower()}
    if column_of(first.get("expression"), names) != "timestamp":
        return None
    limit = None
    if len(modifiers) == 2:
        limit = _whole_number(node["modifiers"][1].get("limit"))
        if limit is None:
            return None
    return FirstLines(first.get("type") == "DESCENDING", limit)


def moments(
    bounds: list[tuple[dt.datetime, dt.datetime]], wanted: FirstLines, tried: tuple[int, ...]
) -> list[Moment]:
    """Moments beyond which about so many row groups have lines; `bounds` are the first and last times of
    all. Fewer, when there are not so many row groups."""
    edges = sorted(
        (last if wanted.descending else first for first, last in bounds),
        reverse=wanted.descending,
    )
    return [
        Moment(edges[count - 1], from_then_on=wanted.descending)
        for count in tried
        if count < len(edges)
    ]


def _is_as_it_is(item: dict[str, Any]) -> bool:
    """Whether it gives one value for each line, and none is called `timestamp` that is not the line's."""
    if item.get("class") == "STAR":
        return set(item) <= _STAR_KEYS
    if str(item.get("alias", "")).lower() == "timestamp":
        return False
    # Operators alone: what else a function does is not known.
    return item.get("class") in _VALUES and all(
        each.get("is_operator") for each in objects_of(item) if each.get("class") == "FUNCTION"
    )


def _whole_number(node: Any) -> int | None:
    if not isinstance(node, dict) or node.get("type") != "VALUE_CONSTANT":
        return None
    value = node.get("value", {}).get("value")
    return value if isinstance(value, int) and value >= 0 else None
