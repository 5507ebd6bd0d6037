"""Which lines of a row group hold a text: of each line that is ASCII for certain, and as fast as Arrow can."""

import functools
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.required_text import Clauses

Mask: TypeAlias = "pa.Array[pa.BooleanScalar] | pa.ChunkedArray[pa.BooleanScalar]"


@dataclass(frozen=True, slots=True)
class Holding:
    """`mask` has no line that does not hold the text if `certain`, and every line that does anyway."""

    mask: Mask
    certain: bool


def holding(lines: pa.Table, clauses: Clauses) -> Holding:
    """Of lines with their names and messages; `clauses` are `text_rows.searched_clauses`, at least one."""
    messages, names = lines.column("message"), lines.column("name")
    different = [str(name) for name in pc.unique(names).to_pylist()]
    certain = all(map(str.isascii, different))
    masks: list[Mask] = []
    for clause in clauses:
        # Twice as fast as looking for the text in small letters of all messages.
        found: list[Mask] = [
            pc.match_substring(messages, term, ignore_case=True) for term in clause
        ]
        named = [
            name
            for name in different
            if not name.isascii() or any(term in name.lower() for term in clause)
        ]
        if named:
            found.append(pc.is_in(names, value_set=pa.array(named, names.type)))
        masks.append(functools.reduce(pc.or_, found))
    mask = functools.reduce(pc.and_, masks)
    ascii_only = pc.string_is_ascii(messages)
    if not pc.all(ascii_only).as_py():
        # Beyond ASCII other letters may be the small ones of those that are looked for.
        mask = pc.or_(mask, pc.invert(ascii_only))
        certain = False
    return Holding(mask, certain)
