"""Workers, pools, queues and deployments that nobody has heard of lately are marked so."""

from app.orchestration.liveness import note_silence
from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report
from storage.postgres.polling import forget_old_offers
from storage.postgres.pool import connection


async def mark_silent_workers(services: Services) -> Report:
    """Mark who is silent, and forget which runs were handed out long ago."""
    now = utc_now()
    silence = await note_silence(services.pool, now=now)
    services.events.announce(silence.event_ids)
    async with connection(services.pool) as conn:
        await forget_old_offers(conn, now=now)
    report = {
        "workers": silence.workers,
        "pools": silence.pools,
        "queues": silence.queues,
        "deployments": silence.deployments,
    }
    return report if any(report.values()) else {}
