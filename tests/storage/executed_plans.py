"""The plans that PostgreSQL really executed, as its module auto_explain writes them to its log."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

PlanMode = Literal["force_custom_plan", "force_generic_plan"]
_PLAN = "  plan:\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and how it was executed: how many rows it looked at in each table, whether they
    were of use or not, and which tables it read whole."""

    rows: dict[str, int]
    read_whole: frozenset[str]
    shown: str


def telling(url: str, mode: PlanMode) -> str:
    """The same database for connections whose plans are told, made for the values at hand or for
    any: a driver that keeps statements gets the latter when the server finds them no worse."""
    said = {
        "session_preload_libraries": "auto_explain",
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_analyze": "on",
        "auto_explain.log_timing": "off",
        "auto_explain.log_format": "json",
        "auto_explain.log_parameter_max_length": "0",
        "plan_cache_mode": mode,
    }
    return urlunsplit(urlsplit(url)._replace(query=urlencode(said)))


@contextlib.contextmanager
def told_plans(log_file: Path) -> Iterator[list[Plan]]:
    """What is executed within the block is in the list after it."""
    plans: list[Plan] = []
    before = log_file.stat().st_size
    yield plans
    with log_file.open("rb") as log:
        log.seek(before)
        lines = log.read().decode("utf-8", "replace").splitlines(keepends=True)
    told: list[str] = []
    # A message goes on in lines that begin with a tab.
    for line in lines:
        if line.startswith("\t") and told:
            told[-1] += line[1:]
        else:
            told.append(line)
    for message in told:
        _, found, plan = message.partition(_PLAN)
        if found:
            plans.append(_plan_of(json.loads(plan)))


def _plan_of(told: dict[str, Any]) -> Plan:
    nodes = list(_nodes(told["Plan"]))
    rows = Counter[str]()
    for node in nodes:
        if "Relation Name" in node:
            rows[node["Relation Name"]] += round(_rows_of(node) * node["Actual Loops"])
    return Plan(
        rows=dict(rows),
        read_whole=frozenset(
            node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"
        ),
        shown="\n".join([told["Query Text"], *_lines(told["Plan"])]),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _rows_of(node: dict[str, Any]) -> float:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return float(sum(node.get(count, 0) for count in counts))


def _lines(node: dict[str, Any], depth: int = 0) -> Iterator[str]:
    names = [node[key] for key in ("Relation Name", "Index Name", "Index Cond") if key in node]
    said = f"{_rows_of(node):g} rows, {node['Actual Loops']} times"
    yield f"{'  ' * depth}{node['Node Type']} {' '.join(names)}: {said}"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
