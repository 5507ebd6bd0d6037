"""What the text of a line must hold for a filter to match, as far as an index of text can tell."""

import re
from typing import TypeAlias

from app.wire.logs import LogFilter
from storage.logs.text import parse_text_query

# Of each of these at least one must be a substring of message or name, whatever the case; a text that
# begins or ends in a space may span both. No clause is no condition.
Clauses: TypeAlias = list[tuple[str, ...]]

# A regular expression of which the text between is literal: any character, anything, the ends.
_PLAIN_REGEX = re.compile(r"(?:[^\\.|()\[\]{}?*+^$]|\.[*+]?|\^|\$)+")
_NOT_LITERAL = re.compile(r"\.[*+]?|\^|\$")


def text_of_regex(regex: str) -> Clauses:
    """The clauses of a regular expression of nothing but literals, `.`, `.*`, `.+`, `^` and `$`; of any
    other nothing is known."""
    if not _PLAIN_REGEX.fullmatch(regex):
        return []
    return [(text,) for text in _NOT_LITERAL.split(regex) if text]


def required_text(log_filter: LogFilter, regex: str | None = None) -> Clauses:
    """The clauses of a filter, and of a regular expression besides."""
    clauses = [] if regex is None else text_of_regex(regex)
    if log_filter.text is None or (log_filter.operator == "or_" and _has_more(log_filter)):
        return clauses
    query = parse_text_query(log_filter.text.query)
    clauses += [(term,) for term in query.all_of]
    if query.any_of:
        clauses.append(query.any_of)
    return clauses


def _has_more(log_filter: LogFilter) -> bool:
    return any(
        each is not None
        for each in (
            log_filter.level,
            log_filter.timestamp,
            log_filter.flow_run_id,
            log_filter.task_run_id,
        )
    )
