"""`tailrace sql`: one SELECT, run by the server that is running, printed or written to a file."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import httpx

from app.command_options import load, options
from app.listening import find_api
from app.wire.sql import DEFAULT_ROWS, MAX_ROWS
from storage.embedded.errors import CannotStart

# A statement of ten minutes, which is the most that a server allows, and what it waits before.
ANSWER_SECONDS = 700.0
MAX_CELL = 60
EXIT_REFUSED = 1
BINARY = ("arrow", "parquet")


@click.command("sql")
@click.argument("statement")
@options("data_dir", "host", "port")
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["table", "csv", "json", "arrow", "parquet"]),
    default="table",
    show_default=True,
    help="Form of the result.",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file."
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_ROWS),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Rows at most; it is told when there were more.",
)
def sql(
    config: Path | None,
    statement: str,
    form: str,
    output: Path | None,
    limit: int,
    **flags: object,
) -> None:
    """Answer one SELECT over the views logs, runs, task_runs, flows and deployments (DuckDB's SQL).

    STATEMENT is - to read it from standard input. docs/sql.md has the columns of the views.

    \b
    Examples:
      tailrace sql "SELECT level_name, count(*) FROM logs GROUP BY ALL"
      tailrace sql "FROM logs WHERE level >= 40 ORDER BY timestamp DESC" --limit 20
      tailrace sql "SELECT r.name, count(*) AS errors FROM logs JOIN runs AS r ON r.id = flow_run_id
                    WHERE level >= 40 GROUP BY ALL ORDER BY errors DESC"
      tailrace sql "FROM runs WHERE state_type = 'FAILED'" --format csv > failed.csv
      tailrace sql "FROM logs WHERE timestamp >= '2026-11-24'" -f parquet -o day.parquet
      tailrace sql "DESCRIBE logs"
    """
    if statement == "-":
        statement = sys.stdin.read()
    if form in BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{form} is not for a terminal; name a file with --output")
    url, auth = find_api(load(config, **flags))
    user, _, password = (auth or "").partition(":")
    body = {"sql": statement, "limit": limit, "format": "json" if form == "table" else form}
    try:
        with httpx.stream(
            "POST",
            f"{url}/tailrace/sql",
            json=body,
            auth=httpx.BasicAuth(user, password) if auth else None,
            timeout=ANSWER_SECONDS,
            trust_env=False,
        ) as answer:
            if answer.status_code != 200:
                answer.read()
                click.echo(f"tailrace: {_problem(answer)}", err=True)
                sys.exit(EXIT_REFUSED)
            with _sink(output) as sink:
                if form == "table":
                    sink.write(_table(json.loads(answer.read())).encode())
                else:
                    for piece in answer.iter_bytes():
                        sink.write(piece)
            if answer.headers.get("tailrace-truncated") == "true":
                click.echo(f"tailrace: there are more than {limit:,} rows (--limit)", err=True)
    except httpx.TransportError as error:
        raise CannotStart(
            f"no server answers at {url} ({error or type(error).__name__}); start one with"
            " `tailrace up`, or name its directory with --data-dir or its port with --port"
        ) from error


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with output.open("wb") as file:
            yield file
    except OSError as error:
        raise CannotStart(f"cannot write {output}: {error.strerror}") from error


def _problem(answer: httpx.Response) -> str:
    """What is wrong, in one line."""
    if answer.status_code == 401:
        return "the server asks for a password; set TAILRACE_API_AUTH_STRING"
    try:
        detail = answer.json()["exception_detail"]
    except (ValueError, KeyError, TypeError):
        return f"the server answers {answer.status_code}: {answer.text[:300]}"
    return str(detail[0]["msg"] if isinstance(detail, list) else detail)


def _table(result: dict[str, Any]) -> str:
    """Rows below one another. Cells are cut where the terminal ends or texts are long."""
    names = [str(column["name"]) for column in result["columns"]]
    numeric = [
        all(isinstance(row[index], int | float | None) for row in result["rows"])
        for index in range(len(names))
    ]
    rows = [[_cell(value) for value in row] for row in result["rows"]]
    room = MAX_CELL
    if len(names) == 1 and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
    widths = [min(room, max(map(len, column))) for column in zip(names, *rows, strict=True)]
    lines = [
        _line(names, widths, numeric),
        _line(["-" * width for width in widths], widths, numeric),
    ]
    lines += [_line(row, widths, numeric) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: list[str], widths: list[int], numeric: list[bool]) -> str:
    parts = []
    for cell, width, right in zip(cells, widths, numeric, strict=True):
        text = cell if len(cell) <= width else cell[: width - 1] + "…"
        parts.append(text.rjust(width) if right else text.ljust(width))
    return "  ".join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return " ".join(value.splitlines()) if "\n" in value else value
    return json.dumps(value, ensure_ascii=False)
