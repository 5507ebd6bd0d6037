"""Keep the record of passes, and of wishes for them, bounded."""

import datetime as dt

from app.services import Services
from jobs.job import Report
from storage.postgres.job_wishes import prune_job_wishes
from storage.postgres.jobs import prune_job_runs as prune
from storage.postgres.pool import connection

KEPT_PER_JOB = 1000
WISHES_KEPT = dt.timedelta(days=1)


async def prune_job_runs(services: Services) -> Report:
    """Remove all but the newest records of each job, and wishes that are a day old."""
    async with connection(services.pool) as conn:
        pruned = await prune(conn, KEPT_PER_JOB)
        await prune_job_wishes(conn, older_than=WISHES_KEPT)
    return {"records": pruned} if pruned else {}
