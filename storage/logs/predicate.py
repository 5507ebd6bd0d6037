"""A log filter as a DuckDB condition over columns of `LINES`: the one meaning of a filter, for hot
lines, row groups and whole segments alike."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.wire.line_filters import LevelSetFilter
from app.wire.logs import LogFilter
from storage.logs.lines import LINES
from storage.logs.required_text import Clauses, text_of_regex
from storage.logs.text import TextQuery, parse_text_query

Argument = int | str | bytes | uuid.UUID | list[uuid.UUID] | object


@dataclass(frozen=True, slots=True)
class Predicate:
    """SQL with `?` for each of `arguments`; the empty predicate matches every line. `text` is what
    lines that match hold, as far as it is known."""

    sql: str
    arguments: tuple[Argument, ...]
    text: Clauses = field(default_factory=list, compare=False)

    @property
    def columns(self) -> list[str]:
        """The columns of `LINES` that the condition is about."""
        words = set(_WORDS.findall(self.sql))
        return [name for name in LINES.names if name in words]


_WORDS = re.compile(r"[a-z_]+")

EVERYTHING = Predicate("", ())


def compile_filter(log_filter: LogFilter) -> Predicate:
    """The condition of a filter. A UUID column must be of DuckDB's type UUID."""
    conditions = [
        *_level(log_filter),
        *_timestamp(log_filter),
        *_flow_run(log_filter),
        *_task_run(log_filter),
        *_text(log_filter),
    ]
    if not conditions:
        return EVERYTHING
    joint = " AND " if log_filter.operator == "and_" else " OR "
    return Predicate(
        joint.join(f"({condition.sql})" for condition in conditions),
        tuple(argument for condition in conditions for argument in condition.arguments),
    )


def without(
    predicate: Predicate, flow_run_ids: list[uuid.UUID], task_run_ids: list[uuid.UUID]
) -> Predicate:
    """`predicate`, and not of any of these flow runs or task runs."""
    parts = [predicate] if predicate.sql else []
    for column, ids in (("flow_run_id", flow_run_ids), ("task_run_id", task_run_ids)):
        if ids:
            sql = f"coalesce({column} NOT IN (SELECT unnest(?::UUID[])), true)"
            parts.append(Predicate(sql, (ids,)))
    return _all_of(parts)[0] if parts else EVERYTHING


def of_runs(ids: Sequence[uuid.UUID] | None) -> Predicate:
    """Lines of these flow runs; None is any."""
    if ids is None:
        return EVERYTHING
    return Predicate("flow_run_id IN (SELECT unnest(?::UUID[]))", (list(ids),))


def of_loggers(names: list[str] | None) -> Predicate:
    """Lines of these loggers; None is any."""
    if names is None:
        return EVERYTHING
    text = [tuple(names)] if names and all(names) else []
    return Predicate("name IN (SELECT unnest(?::VARCHAR[]))", (names,), text)


def matching_regex(pattern: str) -> Predicate:
    """Lines whose message holds a match of a regular expression (RE2 syntax, `(?i)` for any case)."""
    return Predicate("regexp_matches(message, ?)", (pattern,), text_of_regex(pattern))


def besides(*, regex: str | None = None, loggers: list[str] | None = None) -> Predicate:
    """What Tailrace's own questions ask of lines beside a filter; None is any."""
    matching = EVERYTHING if regex is None else matching_regex(regex)
    return both(of_loggers(loggers), matching)


def both(one: Predicate, other: Predicate) -> Predicate:
    """What matches the one and the other."""
    parts = [part for part in (one, other) if part.sql]
    return _all_of(parts)[0] if parts else EVERYTHING


def negated(predicate: Predicate) -> Predicate:
    """What does not match; the predicate must not be empty, nor null for any line."""
    return Predicate(f"NOT ({predicate.sql})", predicate.arguments)


def _level(log_filter: LogFilter) -> list[Predicate]:
    level = log_filter.level
    if level is None:
        return []
    parts = []
    if level.ge_ is not None:
        parts.append(Predicate("level >= ?", (level.ge_,)))
    if level.le_ is not None:
        parts.append(Predicate("level <= ?", (level.le_,)))
    if isinstance(level, LevelSetFilter) and level.any_ is not None:
        parts.append(Predicate("level IN (SELECT unnest(?::INTEGER[]))", (level.any_,)))
    return _all_of(parts)


def _timestamp(log_filter: LogFilter) -> list[Predicate]:
    timestamp = log_filter.timestamp
    if timestamp is None:
        return []
    parts = []
    if timestamp.after_ is not None:
        parts.append(Predicate("timestamp >= ?", (timestamp.after_,)))
    if timestamp.before_ is not None:
        parts.append(Predicate("timestamp <= ?", (timestamp.before_,)))
    return _all_of(parts)


def _flow_run(log_filter: LogFilter) -> list[Predicate]:
    runs = log_filter.flow_run_id
    if runs is None or runs.any_ is None:
        return []
    return [of_runs(runs.any_)]


def _task_run(log_filter: LogFilter) -> list[Predicate]:
    tasks = log_filter.task_run_id
    if tasks is None:
        return []
    parts = []
    if tasks.any_ is not None:
        parts.append(Predicate("task_run_id IN (SELECT unnest(?::UUID[]))", (tasks.any_,)))
    if tasks.is_null_ is not None:
        parts.append(Predicate(f"task_run_id IS {'' if tasks.is_null_ else 'NOT '}NULL", ()))
    return _all_of(parts)


def _text(log_filter: LogFilter) -> list[Predicate]:
    if log_filter.text is None:
        return []
    query: TextQuery = parse_text_query(log_filter.text.query)
    if query.matches_everything():
        return []
    parts = [_contains(term) for term in query.all_of]
    for term in query.none_of:
        found = _contains(term)
        parts.append(Predicate(f"NOT ({found.sql})", found.arguments))
    if query.any_of:
        alternatives = [_contains(term) for term in query.any_of]
        parts.append(
            Predicate(
                " OR ".join(found.sql for found in alternatives),
                tuple(argument for found in alternatives for argument in found.arguments),
            )
        )
    return _all_of(parts)


def _contains(term: str) -> Predicate:
    if " " in term:
        return Predicate("contains(lower(message || ' ' || name), lower(?))", (term,))
    # Such a term cannot span message and name; joining them for each line takes as long again.
    return Predicate(
        "contains(lower(message), lower(?)) OR contains(lower(name), lower(?))", (term, term)
    )


def _all_of(parts: list[Predicate]) -> list[Predicate]:
    if len(parts) < 2:
        return parts
    return [
        Predicate(
            " AND ".join(f"({part.sql})" for part in parts),
            tuple(argument for part in parts for argument in part.arguments),
            [clause for part in parts for clause in part.text],
        )
    ]
