"""Keep the record of passes bounded."""

from app.services import Services
from jobs.job import Report
from storage.postgres.jobs import prune_job_runs as prune
from storage.postgres.pool import connection

KEPT_PER_JOB = 1000


async def prune_job_runs(services: Services) -> Report:
    """Remove all but the newest records of each job."""
    async with connection(services.pool) as conn:
        pruned = await prune(conn, KEPT_PER_JOB)
    return {"records": pruned} if pruned else {}
