"""What is told of a row group's lines by their bytes agrees with the filter itself."""

import random

import duckdb
import pyarrow as pa
import pytest

from app.wire.logs import LogFilter, TextFilter
from storage.logs.predicate import compile_filter
from storage.logs.required_text import required_text
from storage.logs.text_mask import holding
from storage.logs.text_rows import searched_clauses

WORDS = ["Paid", "refused", "REFUSED", "order", "k8s"]
# Whose small letters are ASCII, or longer than themselves, or neither.
FAR_WORDS = ["\u212a8s", "İstanbul", "über"]
QUERIES = ["refused", "PAID k8s", "+order +refused", "+app order", "bank", "nowhere"]


def matching(lines: pa.Table, log_filter: LogFilter) -> list[bool]:
    """What the filter itself says of each line."""
    predicate = compile_filter(log_filter)
    with duckdb.connect() as connection:
        connection.register("lines", lines)
        sql = f"SELECT coalesce({predicate.sql}, false) FROM lines"
        return [row[0] for row in connection.execute(sql, list(predicate.arguments)).fetchall()]


@pytest.mark.parametrize("seed", range(6))
def test_lines_that_hold_a_text_are_found_by_their_bytes(seed: int) -> None:
    draw = random.Random(seed)
    words = WORDS if seed % 2 else WORDS + FAR_WORDS
    names = ["app.bank", "Prefect.Flow"] if seed % 3 else ["app.bänk", "prefect"]
    count = 300
    lines = pa.table(
        {
            "name": [draw.choice(names) for _ in range(count)],
            "message": [" ".join(draw.choices(words, k=3)) for _ in range(count)],
        }
    )
    for query in QUERIES:
        log_filter = LogFilter(text=TextFilter(query=query))
        found = holding(lines, searched_clauses(required_text(log_filter)))
        told = found.mask.to_pylist()
        expected = matching(lines, log_filter)
        assert found.certain == (seed % 2 == 1 and seed % 3 > 0)
        if found.certain:
            assert told == expected, query
        else:
            missed = [one for one, other in zip(expected, told, strict=True) if one and not other]
            assert not missed, query
