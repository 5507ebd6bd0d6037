"""`tailrace tier`: see, move, merge and verify what the log tiers hold.

The log tier is imported by the commands that need it: it brings Arrow along, half a second that others
need not wait.
"""

import asyncio
import datetime as dt
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.command_options import load, options
from app.stores import check_stores, find_stores

if TYPE_CHECKING:
    from storage.logs.verify import Problem

EXIT_PROBLEMS = 1


@click.group()
def tier() -> None:
    """See and move what the log tiers hold."""


@tier.command("status")
@options("data_dir")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array.")
def tier_status(config: Path | None, as_json: bool, **flags: object) -> None:
    """Rows, bytes and oldest line of each tier.

    \b
    Examples:
      tailrace tier status
      tailrace tier status --json
    """
    from app.tiers import read_tiers

    tiers = asyncio.run(read_tiers(find_stores(load(config, **flags).values).database_url))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in tiers], default=str))
        return
    click.echo(f"{'tier':<10}{'parts':>10}{'rows':>14}{'bytes':>16}  oldest")
    for each in tiers:
        oldest = f"{each.oldest:%Y-%m-%d %H:%M:%S} UTC" if each.oldest else "-"
        click.echo(f"{each.tier:<10}{each.parts:>10,}{each.rows:>14,}{each.bytes:>16,}  {oldest}")


@tier.command("offload")
@options("data_dir")
def tier_offload(config: Path | None, **flags: object) -> None:
    """Move all hot logs to S3 now, and wait until that is done.

    \b
    Example:
      tailrace tier offload && tailrace tier status
    """
    from app.tiers import offload_everything

    stores = find_stores(load(config, **flags).values)

    async def offload() -> None:
        await check_stores(stores)
        rows, segments = await offload_everything(stores.database_url, stores.s3)
        click.echo(f"offloaded {rows:,} rows in {segments} segments; nothing is hot")

    asyncio.run(offload())


@tier.command("compact")
@options("data_dir")
def tier_compact(config: Path | None, **flags: object) -> None:
    """Merge all segments that are not final now, and wait until that is done.

    The jobs do this by themselves, hour by hour. What was replaced stays in the bucket for 15 minutes,
    for readers that have it in hand.

    \b
    Example:
      tailrace tier offload && tailrace tier compact
    """
    from app.tiers import compact_everything

    stores = find_stores(load(config, **flags).values)

    async def compact() -> None:
        await check_stores(stores)
        merged, made, rows = await compact_everything(stores.database_url, stores.s3)
        click.echo(f"merged {merged} segments into {made} ({rows:,} rows); all are final")

    asyncio.run(compact())


@tier.command("verify")
@options("data_dir")
@click.option("--contents", is_flag=True, help="Read every object whole and compare its SHA-256.")
@click.option(
    "--repair",
    is_flag=True,
    help="Count the runs of whole objects anew, remember which objects are damaged.",
)
@click.option(
    "--delete-orphans",
    is_flag=True,
    help="Delete objects that the database does not know. After a restore of the database their lines"
    " may be nowhere else.",
)
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def tier_verify(
    config: Path | None,
    contents: bool,
    repair: bool,
    delete_orphans: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Compare the segments in the database with the objects in the bucket.

    Exits with 1 when something is wrong that was not repaired.

    \b
    Examples:
      tailrace tier verify
      tailrace tier verify --contents --json
    """
    from app.tiers import verify_tier

    stores = find_stores(load(config, **flags).values)

    async def run() -> None:
        await check_stores(stores)
        found = await verify_tier(
            stores.database_url,
            stores.s3,
            contents=contents,
            repair=repair,
            delete_orphans=delete_orphans,
        )
        if as_json:
            click.echo(json.dumps(asdict(found), default=_shown))
        else:
            for problem in found.problems:
                click.echo(_line(problem))
            click.echo(
                f"{found.segments:,} segments, {found.rows:,} rows, {found.bytes:,} bytes;"
                f" {len(found.problems)} problems"
            )
        if any(problem.repaired is None for problem in found.problems):
            sys.exit(EXIT_PROBLEMS)

    asyncio.run(run())


def _line(problem: "Problem") -> str:
    line = f"{problem.fault}: {problem.key}: {problem.detail}"
    if problem.segment is not None:
        held = problem.segment
        line += (
            f"; {held.rows:,} rows of {held.runs:,} runs from {held.min_timestamp:%Y-%m-%d %H:%M:%S}"
            f" to {held.max_timestamp:%Y-%m-%d %H:%M:%S} UTC"
        )
    return f"{line} [{problem.repaired}]" if problem.repaired else line


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
