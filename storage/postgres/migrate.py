"""Apply pending migrations, one process at a time.

The lock is polled with `pg_try_advisory_lock`: a session that *waits* in `pg_advisory_lock` holds
a snapshot, and an index built concurrently by the holder would wait for that snapshot in turn.
"""

import asyncio
import logging
from pathlib import Path

from pogo_core.util.migrate import apply

from storage.errors import Unavailable
from storage.postgres.pool import connect, driver_errors

MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant will do as long as every version of Tailrace uses the same.
LOCK_ID = 0x7461696C72616365
POLL_SECONDS = 0.1
WAIT_SECONDS = 300.0

_logger = logging.getLogger("tailrace.migrate")
_logger.setLevel(logging.ERROR)


async def migrate(dsn: str) -> None:
    """Bring the database up to date; returns at once when it is.

    Raises:
        Unavailable: the server does not answer, or another process holds the lock for 5 minutes.
    """
    conn = await connect(dsn)
    try:
        with driver_errors():
            deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
            while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_ID):
                if asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(
                        "postgres", "another process has been migrating for 5 minutes"
                    )
                await asyncio.sleep(POLL_SECONDS)
            await apply(conn, MIGRATIONS, schema_name="public", logger=_logger)
    finally:
        await conn.close()
