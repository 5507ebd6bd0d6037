"""`tailrace import`: take over what another server has."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from app.command_options import load, options
from app.stores import check_stores, find_stores, migrate_database

if TYPE_CHECKING:
    from app.prefect_import import ImportReport
    from storage.postgres.imports import Kind

EXIT_DIFFERS = 1
# Without a terminal a line is printed so often.
SAY_SECONDS = 5.0


def _source_url(_: click.Context, __: click.Parameter, value: str) -> str:
    """The URL, without the driver that Prefect's own setting names. Errors never show it: it may hold a
    password."""
    scheme, separator, rest = value.partition("://")
    scheme = scheme.removesuffix("+asyncpg").removesuffix("+aiosqlite")
    if not separator or scheme not in ("postgresql", "postgres", "sqlite"):
        raise click.BadParameter(
            "use postgresql://user:password@host:port/database or sqlite:///path/prefect.db"
        )
    try:
        _port = urlsplit(f"{scheme}://{rest}").port
    except ValueError:
        raise click.BadParameter(
            "the port is not a number; write / # ? @ : in a password as %2F %23 %3F %40 %3A"
        ) from None
    return f"{scheme}://{rest}"


@click.group("import")
def import_() -> None:
    """Take over what another server has."""


@import_.command("prefect")
@click.argument("url", callback=_source_url, envvar="PREFECT_API_DATABASE_CONNECTION_URL")
@options("data_dir")
@click.option("--lines-only", is_flag=True, help="Logs alone, no flows and runs.")
def import_prefect(config: Path | None, url: str, lines_only: bool, **flags: object) -> None:
    """Take over the flows, runs, states and logs of a Prefect 3 server, from its database at URL.

    Nothing is written to that database. When it is ended at any moment and begun again, it goes on: no line
    comes twice, none is left out. Begun again later it takes what has come since. Deployments come paused,
    schedules not active; runs that have not ended are left out.

    Exits with 1 when runs have other counts of lines here than there.

    \b
    Examples:
      tailrace import prefect postgresql://prefect:secret@db/prefect
      tailrace import prefect sqlite:////root/.prefect/prefect.db
      PREFECT_API_DATABASE_CONNECTION_URL=postgresql://… tailrace import prefect --lines-only
    """
    from app.prefect_import import import_prefect as run_import

    stores = find_stores(load(config, **flags).values)

    async def run() -> "ImportReport":
        await check_stores(stores)
        await migrate_database(stores.database_url)
        with _Progress() as progress:
            return await run_import(
                stores.database_url, stores.s3, url, progress, lines_only=lines_only
            )

    report = asyncio.run(run())
    _tell(report)
    if report.differing:
        sys.exit(EXIT_DIFFERS)


def _tell(report: "ImportReport") -> None:
    click.echo(
        f"{report.lines:,} lines imported, {report.all_lines:,} in all; of {report.runs:,} runs the"
        f" lines of {report.runs - len(report.differing):,} are all here"
    )
    if report.later:
        click.echo(f"{report.later:,} lines have come meanwhile; import again for them")
    if report.unfinished:
        click.echo(
            f"{report.unfinished:,} flow runs have not ended and were left out; import again later"
        )
    if report.fewer:
        click.echo(f"{report.fewer:,} runs have fewer lines there now than were imported")
    for run in report.differing:
        click.echo(
            f"differs: {run.flow_run_id}: {run.source:,} lines there, {run.taken:,} imported,"
            f" {run.held:,} held",
            err=True,
        )


class _Progress:
    """A bar on a terminal, else a line every few seconds."""

    def __init__(self) -> None:
        self._bar: click.progressbar | None = None  # pyrefly: ignore
        self._told = 0
        self._said = time.monotonic()
        self._began = time.monotonic()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def table(self, kind: "Kind", rows: int) -> None:
        """See `Told`."""
        if sys.stdout.isatty():
            click.echo(f"\r{kind.replace('_', ' ')}: {rows:,}\x1b[K", nl=False)
        elif time.monotonic() - self._said > SAY_SECONDS:
            self._say(f"{kind.replace('_', ' ')}: {rows:,}")

    def waits(self, seconds: float) -> None:
        """See `Told`."""
        self._say(f"waiting {seconds:.0f} s: the newest lines have to settle")

    def lines(self, rows: int, total: int) -> None:
        """See `Told`."""
        if sys.stdout.isatty():
            if self._bar is None:
                click.echo("\r\x1b[K", nl=False)
                self._bar = click.progressbar(length=total, label="lines", show_pos=True)
                self._bar.render_progress()
            self._bar.update(rows - self._told)
            self._told = rows
        elif rows == 0:
            self._began = time.monotonic()
            self._say(f"{total:,} lines to import")
        elif time.monotonic() - self._said > SAY_SECONDS or rows == total:
            rate = rows / max(time.monotonic() - self._began, 0.001)
            self._say(f"{rows:,} of {total:,} lines, {rate:,.0f} a second")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        click.echo(text)
