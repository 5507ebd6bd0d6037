"""The text query of log and event filters.

Terms separated by spaces are alternatives; `-term` or `!term` excludes; `+term` is required;
`"a phrase"` is one term, with `\\"` and `\\\\` for a quote and a backslash inside, other backslashes
literal; a quote ends a bare term; an unclosed quote runs to the end; a lone prefix is ignored.
Matching is a case-insensitive substring search. A blank query matches everything.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A line matches when any of `any_of` (if there are any), each of `all_of` and none of
    `none_of` is a substring of it."""

    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    def matches_everything(self) -> bool:
        """Whether there is no term at all."""
        return not (self.any_of or self.all_of or self.none_of)


def parse_text_query(query: str) -> TextQuery:
    """Parse a query. Every text is a valid query."""
    terms: dict[str, list[str]] = {"": [], "+": [], "-": []}
    position = 0
    while position < len(query):
        if query[position].isspace():
            position += 1
            continue
        prefix = ""
        if query[position] in "+-!":
            prefix = "-" if query[position] == "!" else query[position]
            position += 1
        if position < len(query) and query[position] == '"':
            term, position = _phrase(query, position + 1)
        else:
            start = position
            while (
                position < len(query) and not query[position].isspace() and query[position] != '"'
            ):
                position += 1
            term = query[start:position]
        if term:
            terms[prefix].append(term)
    return TextQuery(tuple(terms[""]), tuple(terms["+"]), tuple(terms["-"]))


def _phrase(query: str, position: int) -> tuple[str, int]:
    text: list[str] = []
    while position < len(query) and query[position] != '"':
        if query[position] == "\\" and query[position + 1 : position + 2] in ('"', "\\"):
            position += 1
        text.append(query[position])
        position += 1
    return "".join(text), position + 1
