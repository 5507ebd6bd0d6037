"""Compare the segments in the manifest with the objects in the bucket, once a day and when asked."""

import datetime as dt

from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report
from storage.logs.verify import verify
from storage.postgres import verifications
from storage.postgres.pool import connection

# Whether a day has passed; a jobs process that was started anew does not begin the day anew.
EVERY = dt.timedelta(hours=1)
DUE_AFTER = dt.timedelta(days=1)


async def verify_when_due(services: Services) -> Report:
    """Nothing when that was done within a day."""
    async with connection(services.pool) as conn:
        last = await verifications.last_verification(conn)
    if last is not None and utc_now() - last.started < DUE_AFTER:
        return {}
    return await verify_now(services)


async def verify_now(services: Services) -> Report:
    """Look at every object but its contents: that it is there, its size, its footer, its rows. Nothing is
    repaired; what is wrong is kept, for `GET /tailrace/archive/verification`."""
    started = utc_now()
    found = await verify(services.pool, services.objects)
    async with connection(services.pool) as conn:
        await verifications.keep_verification(conn, found, started=started, finished=utc_now())
    return {
        "segments": found.segments,
        "rows": found.rows,
        "bytes": found.bytes,
        "problems": len(found.problems),
    }
