"""Publish the final segments as an Iceberg table, beside one of the runs."""

from app.services import Services
from jobs.job import Report
from storage.archive import claims
from storage.archive.in_process import publish_in_process
from storage.postgres.pool import connection


async def publish_archive(services: Services) -> Report:
    """Bring the tables up to date. Before there is a final segment there is nothing to do."""
    if services.archive is None:
        return {}
    async with connection(services.pool) as conn:
        backlog = await claims.backlog(conn)
    if not backlog.final and not backlog.begun:
        return {}
    return await publish_in_process(services.archive)
