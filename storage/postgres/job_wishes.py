"""Which jobs there are (`job`), and passes of them that somebody wished for (`job_wish`).

The API writes a wish and reads what comes of it; the jobs processes publish what jobs they have, take
wishes and do them. A wish is taken by one process, so it is done once or, when that process dies, is lost.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from app.wire.jobs import JobPass, JobStatus, JobWish, PassSummary
from storage.errors import NotFound
from storage.postgres.jobs import JobRun, job_leases
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_PUBLISH_JOBS = statement("publish_jobs")
_PUBLISHED_JOBS = statement("published_jobs")
_RECENT_JOB_RUNS = statement("recent_job_runs")
_WISH_FOR_JOB = statement("wish_for_job")
_TAKE_JOB_WISH = statement("take_job_wish")
_KEEP_JOB_WISH = statement("keep_job_wish")
_FINISH_JOB_WISH = statement("finish_job_wish")
_WITHDRAW_JOB_WISH = statement("withdraw_job_wish")
_READ_JOB_WISH = statement("read_job_wish")
_RUNNING_JOB_WISH = statement("running_job_wish")
_PRUNE_JOB_WISHES = statement("prune_job_wishes")

# Notifications on it carry the id of a wish that waits.
WISH_CHANNEL = "job_wish"
# Who wished has given up by then.
WISH_WAITS = dt.timedelta(seconds=30)
RECENT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedJob:
    """What everybody may know of a job."""

    name: str
    description: str
    every_seconds: float
    has_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenWish:
    """A wish that is ours to do."""

    id: uuid.UUID
    name: str
    dry_run: bool


async def publish_jobs(conn: Conn, jobs: Sequence[PublishedJob]) -> None:
    """Say which jobs there are."""
    await conn.execute(
        _PUBLISH_JOBS,
        [job.name for job in jobs],
        [job.description for job in jobs],
        [job.every_seconds for job in jobs],
        [job.has_dry_run for job in jobs],
    )


async def published_jobs(conn: Conn) -> dict[str, PublishedJob]:
    """The jobs that there are, by name, in its order; none before a jobs process has run."""
    return {row["name"]: PublishedJob(**dict(row)) for row in await conn.fetch(_PUBLISHED_JOBS)}


async def job_statuses(conn: Conn) -> tuple[bool, list[JobStatus]]:
    """Whether some process runs jobs, and how each job stands, by name."""
    leases = await job_leases(conn)
    passes: dict[str, list[JobPass]] = {}
    for row in await conn.fetch(_RECENT_JOB_RUNS, RECENT):
        passes.setdefault(row["name"], []).append(pass_of(JobRun(**dict(row))))
    found = []
    for job in (await published_jobs(conn)).values():
        recent = passes.get(job.name, [])
        lease = leases.get(job.name)
        begun = [
            moment
            for moment in (lease.last_pass if lease else None, *(each.started for each in recent))
            if moment is not None
        ]
        found.append(
            JobStatus(
                name=job.name,
                description=job.description,
                every_seconds=job.every_seconds,
                has_dry_run=job.has_dry_run,
                last_pass=max(begun, default=None),
                next_pass=lease.next_pass if lease else None,
                holder=lease.holder if lease else None,
                last=recent[-1] if recent else None,
                recent=[
                    PassSummary(started=each.started, seconds=each.seconds, outcome=each.outcome)
                    for each in recent
                ],
            )
        )
    return bool(leases), found


def pass_of(run: JobRun) -> JobPass:
    """A recorded pass for the wire."""
    seconds = (run.finished - run.started).total_seconds() if run.finished else None
    return JobPass(
        id=run.id,
        name=run.name,
        holder=run.holder,
        started=run.started,
        finished=run.finished,
        seconds=seconds,
        outcome=run.outcome,
        report=dict(run.report) if run.report is not None else None,
        error=run.error,
    )


async def wish_for_job(conn: Conn, wish_id: uuid.UUID, name: str, *, dry_run: bool) -> None:
    """Ask the jobs processes for a pass of a job, or for a dry run."""
    await conn.execute(_WISH_FOR_JOB, wish_id, name, dry_run, WISH_CHANNEL)


async def take_job_wish(
    conn: Conn, holder: str, names: Sequence[str], alive: dt.timedelta
) -> TakenWish | None:
    """The oldest wish for one of these jobs, which nobody else does then; None when none waits. It counts
    as lost when it is not kept for `alive`."""
    row = await conn.fetchrow(_TAKE_JOB_WISH, holder, alive, list(names), WISH_WAITS)
    return None if row is None else TakenWish(**dict(row))


async def keep_job_wish(conn: Conn, wish_id: uuid.UUID, alive: dt.timedelta) -> None:
    """Say that a wish is still being done."""
    await conn.execute(_KEEP_JOB_WISH, wish_id, alive)


async def finish_job_wish(
    conn: Conn,
    wish_id: uuid.UUID,
    *,
    report: Mapping[str, int | float | str | bool | None] | None = None,
    lines: Sequence[str] | None = None,
    error: str | None = None,
) -> None:
    """Say what came of a wish; with an `error` it failed."""
    await conn.execute(
        _FINISH_JOB_WISH,
        wish_id,
        "done" if error is None else "failed",
        report,
        None if lines is None else list(lines),
        error,
    )


async def withdraw_job_wish(conn: Conn, wish_id: uuid.UUID) -> bool:
    """Take a wish back that nobody has taken; says whether that was so."""
    return await conn.execute(_WITHDRAW_JOB_WISH, wish_id) == "DELETE 1"


async def read_job_wish(conn: Conn, wish_id: uuid.UUID) -> JobWish:
    """A wish and what came of it so far. Raises NotFound."""
    row = await conn.fetchrow(_READ_JOB_WISH, wish_id)
    if row is None:
        raise NotFound(f"there is no wish {wish_id}, or it is older than a day")
    return _wish_of(row)


async def running_job_wish(conn: Conn, name: str) -> JobWish | None:
    """A wish for this job that is not done yet."""
    row = await conn.fetchrow(_RUNNING_JOB_WISH, name)
    return None if row is None else _wish_of(row)


async def prune_job_wishes(conn: Conn, *, older_than: dt.timedelta) -> int:
    """Forget wishes of long ago; gives how many."""
    tag: str = await conn.execute(_PRUNE_JOB_WISHES, older_than)
    return int(tag.rpartition(" ")[2])


def _wish_of(row: asyncpg.Record) -> JobWish:
    return msgspec.convert(dict(row), JobWish)
