"""What `tailrace tier` does: show, offload, merge and verify the log tiers at once."""

import asyncio
import datetime as dt
import time

from storage.embedded.errors import CannotStart
from storage.errors import Conflict
from storage.logs.compaction import NOTHING_TO_DO, compact_pass
from storage.logs.manifest import TierStatus, tier_status
from storage.logs.offload import offload_pass
from storage.logs.verify import Verification, verify
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import S3Config
from storage.postgres.pool import connection, open_pool

# A hot tier at its limit of 2 GiB drains well within this.
OFFLOAD_SECONDS = 1800.0


async def read_tiers(database_url: str) -> list[TierStatus]:
    """What each tier holds now.

    Raises:
        Unavailable: the database does not answer.
    """
    pool = await open_pool(database_url, max_size=1)
    try:
        async with connection(pool) as conn:
            return await tier_status(conn)
    finally:
        await pool.close()


async def offload_everything(database_url: str, s3: S3Config) -> tuple[int, int]:
    """Offload until nothing is hot; gives the rows and segments that this process made.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer.
        CannotStart: lines arrive faster than they can be offloaded.
    """
    rows = segments = 0
    deadline = time.monotonic() + OFFLOAD_SECONDS
    pool = await open_pool(database_url, max_size=2)
    try:
        async with S3ObjectStore.open(s3) as objects:
            while time.monotonic() < deadline:
                try:
                    report = await offload_pass(pool, objects, force=True)
                except Conflict:
                    # The jobs process had the same batches in hand and was first.
                    await asyncio.sleep(0.2)
                    continue
                rows += report.rows
                segments += report.batches > 0
                if not report.batches and not report.more:
                    return rows, segments
    finally:
        await pool.close()
    raise CannotStart(
        f"logs are still hot after {OFFLOAD_SECONDS:g} s of offload: they arrive faster than they"
        " leave; see `tailrace tier status`"
    )


async def compact_everything(database_url: str, s3: S3Config) -> tuple[int, int, int]:
    """Merge until all segments are final; gives the segments merged and made, and their rows.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer.
    """
    merged = made = rows = 0
    pool = await open_pool(database_url, max_size=2)
    try:
        async with S3ObjectStore.open(s3) as objects:
            while True:
                try:
                    report = await compact_pass(pool, objects, dt.datetime.now(dt.UTC), force=True)
                except Conflict:
                    await asyncio.sleep(0.2)
                    continue
                if report == NOTHING_TO_DO:
                    return merged, made, rows
                merged += report.merged
                made += report.made
                rows += report.rows
    finally:
        await pool.close()


async def verify_tier(
    database_url: str, s3: S3Config, *, contents: bool, repair: bool, delete_orphans: bool
) -> Verification:
    """See `storage.logs.verify.verify`."""
    pool = await open_pool(database_url, max_size=4)
    try:
        async with S3ObjectStore.open(s3) as objects:
            return await verify(
                pool, objects, contents=contents, repair=repair, delete_orphans=delete_orphans
            )
    finally:
        await pool.close()
