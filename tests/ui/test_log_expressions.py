"""What the log view marks of a regular expression is what the server finds with it."""

import json
from pathlib import Path

import duckdb

from app.api.web_ui import BUILT

# The browser's side of it is app/ui/src/logs/expression.test.ts.
EXPRESSIONS: Path = BUILT.parent / "src" / "logs" / "expressions.json"


def test_marked_is_what_the_engine_of_the_search_matches() -> None:
    with duckdb.connect() as connection:
        for expression, text, marked in json.loads(EXPRESSIONS.read_text()):
            row = connection.execute(
                "SELECT regexp_replace(?, ?, ?, 'g')", [text, f"({expression})", r"<\1>"]
            ).fetchone()
            assert row is not None
            assert row[0].replace("<>", "") == marked, expression
