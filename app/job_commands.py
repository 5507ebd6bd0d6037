"""`tailrace jobs`: the process that runs the jobs, and what an operator sees and does of them.

The jobs bring Arrow and DuckDB along, half a second; they are imported by what needs them.
"""

import asyncio
import datetime as dt
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.command_options import load, options
from app.services import Services, ServicesConfig, open_services
from app.settings import Settings
from app.stores import check_stores, configured_archive, find_stores
from app.supervisor import run_some
from storage.postgres import jobs as job_records
from storage.postgres.jobs import JobLease, JobRun
from storage.postgres.pool import connection, open_pool

if TYPE_CHECKING:
    from jobs.job import Job

EXIT_FAILED = 1
EXIT_HELD = 3
MAX_HISTORY = 1000


@click.group(invoke_without_command=True)
@options("data_dir")
@click.pass_context
def jobs(context: click.Context, config: Path | None, **flags: object) -> None:
    """Start a jobs process alone, or see and run single jobs.

    Several jobs processes share the work and take over from one another.

    \b
    Examples:
      TAILRACE_DATABASE_URL=postgresql://… TAILRACE_S3_BUCKET=logs tailrace jobs
      tailrace jobs list
      tailrace jobs run zombie-killer --dry-run
      tailrace jobs history lazarus
    """
    # What is said before the command holds for it too: `tailrace jobs --data-dir d list`.
    context.obj = {"config": config, **flags}
    if context.invoked_subcommand is None:
        asyncio.run(run_some(load(config, **flags), "jobs", insecure=True))


@jobs.command("list")
@options("data_dir")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array.")
@click.pass_context
def list_jobs(context: click.Context, config: Path | None, as_json: bool, **flags: object) -> None:
    """Each job: how often it runs, when last and next, how that ended, and in which process.

    Passes that find nothing to do leave no record, so the last outcome may be older than the last
    pass. Times of passes are those of a few seconds ago.

    \b
    Examples:
      tailrace jobs list
      tailrace jobs list --json
    """
    from jobs.registry import jobs_as_set

    settings = _settings(context, config, flags)
    leases, latest = asyncio.run(_read_jobs(find_stores(settings).database_url))
    shown = [
        _described(job, leases.get(job.name), latest.get(job.name))
        for job in jobs_as_set(settings.scheduling, settings.iceberg_every_minutes)
    ]
    if as_json:
        click.echo(json.dumps(shown, default=str))
        return
    click.echo(f"{'job':<24}{'every':>8}  {'last pass':<21}{'next pass':<21}{'outcome':<10}holder")
    for job in shown:
        click.echo(
            f"{job['name']:<24}{job['every_seconds']:>6g} s  {_time(job['last_pass']):<21}"
            f"{_time(job['next_pass']):<21}{job['last_outcome'] or '-':<10}{job['holder'] or '-'}"
        )


@jobs.command("run")
@click.argument("name")
@options("data_dir")
@click.option("--dry-run", is_flag=True, help="Change nothing: say what a pass would do, and why.")
@click.pass_context
def run_job(
    context: click.Context, config: Path | None, name: str, dry_run: bool, **flags: object
) -> None:
    """Run one pass of the job NAME now, in this process.

    It never runs beside another pass: a process that holds the job's lease is asked to hand it
    over, for 30 s at most.

    \b
    Exit codes: 0 done, 1 the pass failed, 2 it could not start, 3 another process kept the lease.

    \b
    Examples:
      tailrace jobs run zombie-killer --dry-run
      tailrace jobs run log-offload
    """
    job = _find_job(name)
    if dry_run and job.preview is None:
        raise click.UsageError(f"{name} has no dry run; `tailrace jobs run {name}` runs it")
    settings = _settings(context, config, flags)
    sys.exit(asyncio.run(_run(settings, job, dry_run=dry_run)))


@jobs.command("history")
@click.argument("name")
@options("data_dir")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_HISTORY),
    default=20,
    show_default=True,
    help="So many of the newest passes.",
)
@click.option("--json", "as_json", is_flag=True, help="As a JSON array.")
@click.pass_context
def show_history(
    context: click.Context,
    config: Path | None,
    name: str,
    limit: int,
    as_json: bool,
    **flags: object,
) -> None:
    """The newest recorded passes of the job NAME: those that did something, or failed.

    \b
    Examples:
      tailrace jobs history log-offload
      tailrace jobs history zombie-killer --limit 100 --json
    """
    job = _find_job(name)
    settings = _settings(context, config, flags)
    runs = asyncio.run(_read_history(find_stores(settings).database_url, job.name, limit))
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], default=str))
        return
    if not runs:
        click.echo(f"{name} has done nothing yet that is recorded")
    for run in runs:
        took = f"{(run.finished - run.started).total_seconds():.1f} s" if run.finished else "-"
        said = run.error or report_text(run.report)
        click.echo(f"{_time(run.started)}  {run.outcome:<8}{took:>9}  {said}")


def report_text(report: Mapping[str, object] | None) -> str:
    """A report as one line: `crashed=2 tasks=7`."""
    return " ".join(f"{key}={value}" for key, value in (report or {}).items()) or "nothing to do"


def _settings(context: click.Context, config: Path | None, flags: Mapping[str, object]) -> Settings:
    before: dict[str, object] = dict(context.obj or {})
    given = {key: value for key, value in flags.items() if value is not None}
    earlier_config = before.pop("config", None)
    chosen = config or (earlier_config if isinstance(earlier_config, Path) else None)
    return load(chosen, **{**before, **given}).values


def _find_job(name: str) -> "Job":
    from jobs.registry import ALL_JOBS

    for job in ALL_JOBS:
        if job.name == name:
            return job
    known = ", ".join(job.name for job in ALL_JOBS)
    raise click.BadParameter(f"there is no job {name!r}; there are {known}", param_hint="NAME")


def _described(job: "Job", lease: JobLease | None, latest: JobRun | None) -> dict[str, object]:
    passes = [latest.started] if latest else []
    if lease and lease.last_pass:
        passes.append(lease.last_pass)
    return {
        "name": job.name,
        "every_seconds": job.every.total_seconds(),
        "last_pass": max(passes, default=None),
        "next_pass": lease.next_pass if lease else None,
        "last_outcome": latest.outcome if latest else None,
        "last_report": latest.report if latest else None,
        "last_error": latest.error if latest else None,
        "holder": lease.holder if lease else None,
    }


async def _read_jobs(database_url: str) -> tuple[dict[str, JobLease], dict[str, JobRun]]:
    pool = await open_pool(database_url, max_size=1)
    try:
        async with connection(pool) as conn:
            return await job_records.job_leases(conn), await job_records.latest_job_runs(conn)
    finally:
        await pool.close()


async def _read_history(database_url: str, name: str, limit: int) -> list[JobRun]:
    pool = await open_pool(database_url, max_size=1)
    try:
        async with connection(pool) as conn:
            return await job_records.job_runs(conn, name, limit)
    finally:
        await pool.close()


async def _run(settings: Settings, job: "Job", *, dry_run: bool) -> int:
    stores = find_stores(settings)
    await check_stores(stores)
    config = ServicesConfig(
        database_url=stores.database_url,
        s3=stores.s3,
        pool_size=4,
        hot_limit_bytes=settings.hot_limit_bytes,
        event_retention_days=settings.event_retention_days,
        log_retention_days=settings.log_retention_days,
        late_after_seconds=settings.late_after_seconds,
        cancelling_timeout_seconds=settings.cancelling_timeout_seconds,
        recovery=settings.recovery,
        scheduling=settings.scheduling,
        archive=configured_archive(settings, stores),
        encryption_key=stores.encryption_key,
        serves_clients=False,
    )
    async with open_services(config) as services:
        if dry_run:
            return await _preview(services, job)
        return await _run_now(services, job)


async def _preview(services: Services, job: "Job") -> int:
    assert job.preview is not None
    lines = await job.preview(services)
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo(f"{job.name} has nothing to do")
    return 0


async def _run_now(services: Services, job: "Job") -> int:
    from jobs.by_hand import LeaseIsHeld, run_job_now

    def waiting_for(holder: str) -> None:
        click.echo(f"{job.name} is run by {holder}; asking it to hand over", err=True)

    try:
        run = await run_job_now(services, job, waiting_for=waiting_for)
    except LeaseIsHeld as error:
        click.echo(f"tailrace: {error} and was not handed over; try again later", err=True)
        return EXIT_HELD
    if run.error is not None:
        click.echo(f"tailrace: {job.name} failed: {run.error}", err=True)
        return EXIT_FAILED
    click.echo(f"{job.name}: {report_text(run.report)}")
    return 0


def _time(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z" if isinstance(time, dt.datetime) else "-"
