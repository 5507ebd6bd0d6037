"""Who runs which job (`job_lease`) and what its passes did (`job_run`).

A lease that is not renewed expires, and then anybody may take it. Its holder must stop before
that by a clock of its own; `jobs.driver` does.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_ACQUIRE_JOB_LEASE = statement("acquire_job_lease")
_RENEW_JOB_LEASE = statement("renew_job_lease")
_RELEASE_JOB_LEASE = statement("release_job_lease")
_RECORD_JOB_RUN = statement("record_job_run")
_FORGET_JOB_RUN = statement("forget_job_run")
_LOSE_JOB_RUNS = statement("lose_job_runs")
_PRUNE_JOB_RUNS = statement("prune_job_runs")
_JOB_RUNS = statement("job_runs")
_JOB_LEASES = statement("job_leases")
_LATEST_JOB_RUNS = statement("latest_job_runs")
_ASK_FOR_JOB_LEASE = statement("ask_for_job_lease")

# Notifications on it carry the name of a job whose lease somebody else would like to have.
LEASE_CHANNEL = "job_lease"

# An error is cut to this before it is recorded.
MAX_ERROR_CHARACTERS = 2000

Outcome = Literal["running", "done", "failed", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One pass. `lost` means that its process died or lost touch before it could say more."""

    id: uuid.UUID
    name: str
    holder: str
    started: dt.datetime
    finished: dt.datetime | None = None
    outcome: Outcome = "running"
    report: Mapping[str, int | float | str | bool | None] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLease:
    """Who has the lease, and when its passes begin, as of a few seconds ago."""

    name: str
    holder: str
    last_pass: dt.datetime | None
    next_pass: dt.datetime | None


async def acquire_job_lease(conn: Conn, name: str, holder: str, lasting: dt.timedelta) -> bool:
    """Whether the lease is now ours, for so long from now."""
    return await conn.fetchval(_ACQUIRE_JOB_LEASE, name, holder, lasting) is not None


async def renew_job_lease(
    conn: Conn,
    name: str,
    holder: str,
    lasting: dt.timedelta,
    last_pass: dt.datetime | None = None,
    next_pass: dt.datetime | None = None,
) -> bool:
    """Whether the lease is still ours; it then lasts so long from now. Others are told when the
    passes begin."""
    kept = await conn.fetchval(_RENEW_JOB_LEASE, name, holder, lasting, last_pass, next_pass)
    return kept is not None


async def release_job_lease(conn: Conn, name: str, holder: str) -> None:
    """Let anybody take the lease at once, if it is ours."""
    await conn.execute(_RELEASE_JOB_LEASE, name, holder)


async def record_job_run(conn: Conn, run: JobRun) -> None:
    """Write a pass's record, or what has become of it."""
    await conn.execute(
        _RECORD_JOB_RUN,
        run.id,
        run.name,
        run.holder,
        run.started,
        run.finished,
        run.outcome,
        run.report,
        run.error,
    )


async def forget_job_run(conn: Conn, run_id: uuid.UUID) -> None:
    """Remove the record of a pass that found nothing to do."""
    await conn.execute(_FORGET_JOB_RUN, run_id)


async def lose_job_runs(conn: Conn, name: str) -> int:
    """Call lost what an earlier holder left running; gives how many. Only while holding the lease
    and before the first pass under it."""
    tag: str = await conn.execute(_LOSE_JOB_RUNS, name)
    return int(tag.rpartition(" ")[2])


async def prune_job_runs(conn: Conn, keep: int) -> int:
    """Remove all but the newest `keep` records of each job; gives how many went."""
    tag: str = await conn.execute(_PRUNE_JOB_RUNS, keep)
    return int(tag.rpartition(" ")[2])


async def job_runs(conn: Conn, name: str, limit: int) -> list[JobRun]:
    """The newest records of one job, newest first."""
    return [JobRun(**dict(row)) for row in await conn.fetch(_JOB_RUNS, name, limit)]


async def job_leases(conn: Conn) -> dict[str, JobLease]:
    """The leases in force, by job."""
    return {row["name"]: JobLease(**dict(row)) for row in await conn.fetch(_JOB_LEASES)}


async def latest_job_runs(conn: Conn) -> dict[str, JobRun]:
    """The newest record of each job that has one."""
    return {row["name"]: JobRun(**dict(row)) for row in await conn.fetch(_LATEST_JOB_RUNS)}


async def ask_for_job_lease(conn: Conn, name: str) -> None:
    """Ask the holder to hand the lease over after the pass that it runs, if it runs one."""
    await conn.execute(_ASK_FOR_JOB_LEASE, LEASE_CHANNEL, name)
