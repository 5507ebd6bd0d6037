"""Finds the few lines of a row group that may hold a text, faster than a filter looks at all of them."""

import bisect
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.required_text import Clauses

COLUMNS = ["name", "message"]
# Of a text that more lines of a row group hold, the filter itself looks at every line.
MAX_ROWS = 128


def searched_clauses(clauses: Clauses) -> Clauses:
    """Those that can be looked for in the bytes of messages and names: ASCII, and not over both."""
    return [
        tuple(term.lower() for term in clause)
        for clause in clauses
        if all(term.isascii() and " " not in term for term in clause)
    ]


def rows_holding(lines: pa.Table, clauses: Clauses) -> list[int] | None:
    """The rows that may match, in order; None when that may be any. `lines` has `COLUMNS` of a row group,
    `clauses` are `searched_clauses`."""
    if not lines.num_rows:
        return []
    messages = lines.column("message").combine_chunks()
    names = "\n".join(str(name) for name in pc.unique(lines.column("name")).to_pylist())
    text = _bytes_of(messages)
    # Lower case of characters beyond ASCII may be in it.
    if text is None or not names.isascii():
        return None
    names = names.lower()
    found: set[int] | None = None
    for clause in clauses:
        if any(term in names for term in clause):
            continue
        rows = set()
        for term in clause:
            of_term = list(islice(_rows_with(term.encode(), *text), MAX_ROWS + 1))
            if len(of_term) > MAX_ROWS:
                break
            rows.update(of_term)
        else:
            found = rows if found is None else found & rows
    return None if found is None else sorted(found)


def _bytes_of(messages: "pa.Array[pa.StringScalar]") -> tuple[bytes, memoryview] | None:
    """The lower case of all messages, one after another, and where each begins and the last ends; None
    when not all of it is ASCII."""
    lowered = pc.ascii_lower(messages)
    _, offsets, data = lowered.buffers()
    if offsets is None or data is None:
        return b"", memoryview(bytes(4 * (len(messages) + 1))).cast("i")
    places = memoryview(offsets).cast("i")[lowered.offset : lowered.offset + len(lowered) + 1]
    text = data.to_pybytes()
    return (text, places) if text.isascii() else None


def _rows_with(term: bytes, text: bytes, places: memoryview) -> Iterator[int]:
    at = text.find(term, places[0])
    while 0 <= at < places[-1]:
        row = bisect.bisect_right(places, at) - 1
        if at + len(term) <= places[row + 1]:
            yield row
            at = text.find(term, places[row + 1])
        else:
            at = text.find(term, at + 1)
