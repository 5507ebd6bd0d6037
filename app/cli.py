"""The command line. Wiring only: what a command does is elsewhere.

The log tier is imported by the commands that need it: it brings Arrow and DuckDB along, half a
second that the others save.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any

import click

from app.archive_commands import archive
from app.command_options import load, options
from app.import_commands import import_
from app.job_commands import jobs
from app.listening import find_api
from app.log_printer import LogClient, format_line, parse_level
from app.retention_commands import holds, retention
from app.settings import InvalidSettings, LoadedSettings, Settings, variable
from app.sql_command import sql
from app.stores import find_stores, migrate_database
from app.supervisor import run_all, run_some
from app.tier_commands import tier
from storage.embedded.errors import CannotStart
from storage.errors import StorageError

# What is wrong is the operator's to mend; also click's own code for bad usage.
EXIT_CANNOT_START = 2


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tailrace")
def cli() -> None:
    """A workflow-orchestration server that speaks the Prefect 3 protocol and keeps run logs in S3
    as Parquet.

    \b
    Examples:
      tailrace up                          everything on this machine
      tailrace up --port 4300              on another port
      tailrace logs show happy-otter       the logs of a flow run
      tailrace sql "SELECT … FROM logs"    what all logs and runs say
      tailrace tier status                 what lies in PostgreSQL, what in S3
      tailrace jobs list                   what the background jobs do
    """


@cli.command()
@options("host", "port", "data_dir", "workers")
@click.option("--insecure", is_flag=True, help="Serve other machines although nobody must log in.")
def up(config: Path | None, insecure: bool, **flags: object) -> None:
    """Start everything on this machine: PostgreSQL, SeaweedFS, API and jobs.

    What a database or a bucket is configured for is not started. Stops on Ctrl+C.

    \b
    Examples:
      tailrace up
      tailrace up --port 4300 --data-dir /var/lib/tailrace --workers 2
      TAILRACE_API_AUTH_STRING=admin:secret tailrace up --host 0.0.0.0
    """
    _run(run_all(load(config, **flags), insecure=insecure))


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document of the API, to generate clients from.

    \b
    Example:
      tailrace openapi > openapi.json
    """
    from app.server import openapi_document

    click.echo(openapi_document())


@cli.command()
@options("host", "port", "data_dir", "workers")
@click.option("--insecure", is_flag=True, help="Serve other machines although nobody must log in.")
def api(config: Path | None, insecure: bool, **flags: object) -> None:
    """Start API processes alone, over a configured database and bucket.

    \b
    Example:
      TAILRACE_DATABASE_URL=postgresql://… TAILRACE_S3_BUCKET=logs tailrace api --workers 4
    """
    _run(run_some(load(config, **flags), "api", insecure=insecure))


cli.add_command(jobs)
cli.add_command(tier)
cli.add_command(archive)
cli.add_command(retention)
cli.add_command(holds)
cli.add_command(sql)
cli.add_command(import_)


@cli.command()
@options("data_dir")
def migrate(config: Path | None, **flags: object) -> None:
    """Bring the configured database up to date. `up` does so by itself.

    \b
    Example:
      TAILRACE_DATABASE_URL=postgresql://user:password@db/tailrace tailrace migrate
    """
    settings = load(config, **flags).values
    url = settings.database_url
    database_url = url.get_secret_value() if url else find_stores(settings).database_url
    _run(migrate_database(database_url))
    click.echo("the database is up to date")


@cli.group()
def logs() -> None:
    """Read the logs of runs."""


@logs.command("show")
@click.argument("run")
@options("data_dir", "host", "port")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--level", default="0", help="Lines from this level up: info, warning, … or a number."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def show_logs(
    config: Path | None, run: str, follow: bool, level: str, as_json: bool, **flags: object
) -> None:
    """Print the logs of RUN: the id of a flow or task run, or the name of a flow run.

    \b
    Examples:
      tailrace logs show happy-otter
      tailrace logs show 0199f2d0-6d0a-7c5e-9d0a-1f2e3d4c5b6a --level warning
      tailrace logs show happy-otter --follow
      tailrace logs show happy-otter --json | jq .message
    """
    try:
        number = parse_level(level)
    except ValueError as error:
        raise click.BadParameter("use debug, info, warning, error, critical or a number") from error
    loaded = load(config, **flags)

    async def show() -> None:
        async with _log_client(loaded) as client:
            found = await client.find_run(run)
            lines = client.follow if follow else client.read
            async for line in lines(found, level=number):
                click.echo(format_line(line, as_json=as_json))

    _run(show())


@logs.command("download")
@click.argument("run")
@options("data_dir", "host", "port")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "ndjson", "csv", "parquet"]),
    default="text",
    help="Form of the file.",
)
@click.option(
    "--level", default="0", help="Lines from this level up: info, warning, … or a number."
)
@click.option("--output", "-o", type=click.File("wb"), default="-", help="File; else stdout.")
def download_logs(
    config: Path | None, run: str, form: str, level: str, output: IO[bytes], **flags: object
) -> None:
    """Write all logs of RUN, which is named as for `show`, to a file.

    \b
    Examples:
      tailrace logs download happy-otter > happy-otter.log
      tailrace logs download happy-otter --format parquet --output happy-otter.parquet
    """
    try:
        number = parse_level(level)
    except ValueError as error:
        raise click.BadParameter("use debug, info, warning, error, critical or a number") from error
    loaded = load(config, **flags)

    async def download() -> None:
        async with _log_client(loaded) as client:
            await client.download(await client.find_run(run), form, number, output)

    _run(download())


@cli.command("config")
@options("host", "port", "data_dir", "workers")
def show_config(config: Path | None, **flags: object) -> None:
    """Print the effective settings and where each comes from. Secrets are masked.

    \b
    Examples:
      tailrace config
      tailrace config --config /etc/tailrace.toml
    """
    loaded = load(config, **flags)
    for name in Settings.model_fields:
        click.echo(f"{variable(name):<32} {loaded.shown(name):<32} {loaded.origins[name]}")


def _log_client(loaded: LoadedSettings) -> LogClient:
    return LogClient(*find_api(loaded))


def main() -> None:
    """Run the command line. Errors that the operator can mend are one line and exit code 2."""
    try:
        cli()
    except (CannotStart, InvalidSettings) as error:
        for line in str(error).splitlines():
            click.echo(f"tailrace: {line}", err=True)
        sys.exit(EXIT_CANNOT_START)
    except StorageError as error:
        click.echo(f"tailrace: {' '.join(str(error).split())}", err=True)
        sys.exit(EXIT_CANNOT_START)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has gone; there is nobody left to tell.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
