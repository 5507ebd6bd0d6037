"""`tailrace retention` and `tailrace holds`: how long logs are kept, and which runs nothing deletes."""

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, TypeVar

import click
import msgspec

from app.command_options import load, options
from app.orchestration.log_retention import preview_retention, with_default
from app.settings import Settings
from app.stores import find_stores
from app.wire.base import utc_now
from app.wire.log_retention import RetentionRules
from storage.errors import NotFound
from storage.postgres import log_retention as store
from storage.postgres.pool import Pool, connection, open_pool, transaction

EXIT_NOT_FOUND = 1
HOLDS_PAGE = 1000

_T = TypeVar("_T")
_RULES = msgspec.json.Decoder(RetentionRules)


@click.group()
def retention() -> None:
    """See, set and try the rules of how long logs are kept."""


@retention.command("show")
@options("data_dir")
def show(config: Path | None, **flags: object) -> None:
    """Print the rules in force as JSON, as `set` reads them.

    \b
    Example:
      tailrace retention show > rules.json
    """
    settings = load(config, **flags).values

    async def read(pool: Pool) -> RetentionRules:
        async with connection(pool) as conn:
            return await store.read_rules(conn)

    rules = _with_pool(settings, read)
    click.echo(msgspec.json.format(msgspec.json.encode(rules), indent=2).decode())
    days = settings.log_retention_days
    click.echo(
        f"runs that no rule fits: {f'{days} days' if days else 'kept for good'}"
        " (TAILRACE_LOG_RETENTION_DAYS)",
        err=True,
    )


@retention.command("set")
@click.argument("file", type=click.File("rb"))
@options("data_dir")
def set_rules(config: Path | None, file: IO[bytes], **flags: object) -> None:
    """Replace all rules by those of the JSON FILE (- for standard input).

    The first rule that fits a run decides; docs/retention.md has the words. Try them first with
    `tailrace retention preview FILE`.

    \b
    Example:
      tailrace retention set rules.json
    """
    rules = _read(file)

    async def write(pool: Pool) -> None:
        async with connection(pool) as conn:
            await store.write_rules(conn, rules)

    _with_pool(load(config, **flags).values, write)
    click.echo(f"{len(rules.rules)} rules are in force; the job log-retention applies them")


@retention.command("preview")
@click.argument("file", type=click.File("rb"))
@options("data_dir")
def preview(config: Path | None, file: IO[bytes], **flags: object) -> None:
    """Say what the rules of the JSON FILE would take now. Nothing changes.

    \b
    Example:
      tailrace retention preview rules.json
    """
    settings = load(config, **flags).values
    rules = with_default(_read(file), settings.log_retention_days)
    expiring = _with_pool(settings, lambda pool: preview_retention(pool, rules, now=utc_now()))
    click.echo(f"{'rule':<32}{'runs':>10}{'rows':>16}{'bytes':>18}{'runs below a level':>20}")
    for each in expiring:
        click.echo(
            f"{each.rule:<32}{each.runs:>10,}{each.rows:>16,}{each.bytes:>18,}"
            f"{each.runs_below_level:>20,}"
        )
    if not expiring:
        click.echo("nothing is old enough")


@click.group()
def holds() -> None:
    """Runs that cannot be deleted and whose logs stay, whatever the rules say."""


@holds.command("list")
@options("data_dir")
def list_holds(config: Path | None, **flags: object) -> None:
    """Held runs, with the reason.

    \b
    Example:
      tailrace holds list
    """

    async def read(pool: Pool) -> None:
        after = uuid.UUID(int=0)
        while True:
            async with connection(pool) as conn:
                page = await store.holds(conn, after_id=after, limit=HOLDS_PAGE)
            if not page:
                return
            for hold in page:
                click.echo(f"{hold.flow_run_id}  {hold.created:%Y-%m-%d %H:%M} UTC  {hold.reason}")
            after = page[-1].flow_run_id

    _with_pool(load(config, **flags).values, read)


@holds.command("add")
@click.argument("flow_run_id", type=click.UUID)
@click.option("--reason", required=True, help="Why, for whoever wants to release it.")
@options("data_dir")
def add_hold(config: Path | None, flow_run_id: uuid.UUID, reason: str, **flags: object) -> None:
    """Hold a flow run.

    \b
    Example:
      tailrace holds add 0199f2d0-6d0a-7c5e-9d0a-1f2e3d4c5b6a --reason "audit of 2026"
    """

    async def hold(pool: Pool) -> None:
        async with transaction(pool) as conn:
            await store.hold_run(conn, flow_run_id, reason)

    _with_pool(load(config, **flags).values, hold)
    click.echo(f"held: {flow_run_id}")


@holds.command("release")
@click.argument("flow_run_id", type=click.UUID)
@options("data_dir")
def release_hold(config: Path | None, flow_run_id: uuid.UUID, **flags: object) -> None:
    """Release a flow run.

    \b
    Example:
      tailrace holds release 0199f2d0-6d0a-7c5e-9d0a-1f2e3d4c5b6a
    """

    async def release(pool: Pool) -> None:
        async with connection(pool) as conn:
            await store.release_run(conn, flow_run_id)

    _with_pool(load(config, **flags).values, release)
    click.echo(f"released: {flow_run_id}")


def _read(file: IO[bytes]) -> RetentionRules:
    try:
        return _RULES.decode(file.read())
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"{file.name}: {error}") from error


def _with_pool(settings: Settings, work: Callable[[Pool], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        pool = await open_pool(find_stores(settings).database_url, max_size=1)
        try:
            return await work(pool)
        finally:
            await pool.close()

    try:
        return asyncio.run(run())
    except NotFound as error:
        click.echo(f"tailrace: {error}", err=True)
        sys.exit(EXIT_NOT_FOUND)
