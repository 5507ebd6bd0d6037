"""Remove events whose time is over.

An event is kept for `event_retention_days` from when it occurred. A pass removes what is older in
batches, each a transaction of its own, so that no lock is held for longer than one batch takes and
writers of new events never wait; PostgreSQL's autovacuum gives the space to new ones.
"""

import datetime as dt

from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report
from storage.postgres.events import remove_events
from storage.postgres.pool import connection

# Events per transaction, a fraction of a second. More hold row locks and a snapshot for longer.
BATCH = 5_000
# The most of one pass; what is left waits for the next one, so that the disk has others to serve.
MAX_BATCHES = 100

_FIRST_TIME = dt.datetime.min.replace(tzinfo=dt.UTC)


async def remove_old_events(services: Services) -> Report:
    """Remove the events that occurred too long ago, oldest first."""
    before = utc_now() - services.event_retention
    since = _FIRST_TIME
    removed = 0
    for _ in range(MAX_BATCHES):
        async with connection(services.pool) as conn:
            events, since = await remove_events(conn, since=since, before=before, at_most=BATCH)
        removed += events
        if events < BATCH:
            break
    return {"events": removed} if removed else {}
