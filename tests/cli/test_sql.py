"""`tailrace sql` prints what the running server answers, or writes it to a file."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Starter, Up, tailrace

LINES = [
    {
        "name": "test",
        "level": 20 + 10 * (number % 2),
        "message": f"line {number}\nof 9",
        "timestamp": f"2026-11-24T08:00:0{number}Z",
    }
    for number in range(9)
]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An instance with nine lines."""
    starter = Starter(tmp_path_factory.mktemp("sql") / "data")
    try:
        up = starter.up().wait_until_ready()
        httpx.post(f"{up.url}/logs/", json=LINES, timeout=10).raise_for_status()
        yield up
    finally:
        starter.end()


def ask(one: Up, *arguments: str) -> str:
    """What `tailrace sql` prints."""
    ran = tailrace("sql", *arguments, TAILRACE_DATA_DIR=str(one.directory))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_results_are_tables_files_and_refusals(one: Up, tmp_path: Path) -> None:
    table = ask(one, "SELECT level_name, count(*) AS lines FROM logs GROUP BY ALL ORDER BY lines")
    assert table.splitlines() == [
        "level_name  lines",
        "----------  -----",
        "WARNING         4",
        "INFO            5",
    ]
    assert "line 0 of 9" in ask(one, "SELECT message FROM logs ORDER BY timestamp")

    told = json.loads(ask(one, "SELECT max(timestamp) FROM logs", "--format", "json"))
    assert told["rows"] == [["2026-11-24T08:00:08Z"]]
    names, *rows = csv.reader(
        ask(one, "SELECT message, level FROM logs ORDER BY seq", "-f", "csv").splitlines(True)
    )
    assert names == ["message", "level"]
    assert len(rows) == len(LINES)
    ask(one, "FROM logs ORDER BY seq", "-f", "parquet", "-o", str(tmp_path / "x.parquet"))
    messages = pq.read_table(tmp_path / "x.parquet").column("message").to_pylist()
    assert messages == [line["message"] for line in LINES]

    cut = tailrace("sql", "FROM logs", "--limit", "2", TAILRACE_DATA_DIR=str(one.directory))
    assert "more than 2 rows" in cut.stderr
    refused = tailrace("sql", "DROP VIEW logs", TAILRACE_DATA_DIR=str(one.directory))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "tailrace: only SELECT is allowed, not DROP\n"
