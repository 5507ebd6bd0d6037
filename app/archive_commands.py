"""`tailrace archive`: how the Iceberg tables stand."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.command_options import load, options
from app.settings import variable
from app.stores import configured_archive, find_stores
from storage.embedded.errors import CannotStart

if TYPE_CHECKING:
    from storage.archive.status import TableStatus


@click.group()
def archive() -> None:
    """See the Iceberg tables of logs and runs."""


@archive.command("status")
@options("data_dir")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def archive_status(config: Path | None, as_json: bool, **flags: object) -> None:
    """Where the tables are, what they have and how far behind they are.

    \b
    Examples:
      tailrace archive status
      tailrace archive status --json
    """
    from storage.archive.status import read_status

    settings = load(config, **flags).values
    place = configured_archive(settings, find_stores(settings))
    if place is None:
        raise CannotStart(f"nothing is published: {variable('iceberg')} is false")
    status = asyncio.run(read_status(place))
    if as_json:
        click.echo(json.dumps(asdict(status), default=str))
        return
    for table in status.tables:
        click.echo(_text(table))
    backlog = status.backlog
    since = f" since {backlog.waiting_since:%Y-%m-%d %H:%M:%S} UTC" if backlog.waiting_since else ""
    click.echo(f"{backlog.waiting} of {backlog.final} final segments wait to be published{since}")
    click.echo(f"{backlog.held} replaced segments are kept for readers of older snapshots")
    if backlog.spanning:
        click.echo(
            f"{backlog.spanning} final segments have lines of many days and wait to be split"
        )


def _text(table: "TableStatus") -> str:
    committed = f"{table.committed:%Y-%m-%d %H:%M:%S} UTC" if table.committed else "never"
    return (
        f"{table.name}: {table.rows:,} rows in {table.files:,} files, committed {committed}\n"
        f"  location  {table.location}\n"
        f"  metadata  {table.metadata_location}\n"
        f"  snapshot  {table.snapshot_id or '-'} ({table.readable_snapshots} readable)"
    )
