"""What the tiers hold, as the manifest says: all together, by state and level, by hour or day."""

import datetime as dt
from typing import Literal

import msgspec

from app.wire.archive import (
    DATABASE_BYTES_PER_ROW,
    ArchivePartition,
    ArchivePartitions,
    LogTier,
    LogTiers,
    SegmentGroup,
)
from storage.logs.compaction_plan import FINAL_TIER
from storage.logs.manifest import with_zones
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_TIER_STATUS = statement("tier_status")
_SEGMENT_GROUPS = statement("segment_groups")
_ARCHIVE_PARTITIONS = statement("archive_partitions")

MAX_PARTITIONS = 2000


async def tiers(conn: Conn) -> LogTiers:
    """What is held now, from one snapshot: lines that move meanwhile are counted once."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        held = [msgspec.convert(with_zones(row), LogTier) for row in await conn.fetch(_TIER_STATUS)]
        groups = [
            msgspec.convert({**with_zones(row), "final": row["level"] >= FINAL_TIER}, SegmentGroup)
            for row in await conn.fetch(_SEGMENT_GROUPS)
        ]
    rows = sum(tier.rows for tier in held)
    return LogTiers(
        rows=rows,
        bytes=sum(tier.bytes for tier in held),
        database_bytes=rows * DATABASE_BYTES_PER_ROW,
        oldest=min((tier.oldest for tier in held if tier.oldest is not None), default=None),
        newest=max((tier.newest for tier in held if tier.newest is not None), default=None),
        tiers=held,
        segments=groups,
    )


async def partitions(
    conn: Conn, start: dt.datetime | None, end: dt.datetime | None, *, by: Literal["hour", "day"]
) -> ArchivePartitions:
    """Published segments by the hour or day (UTC) in which they were offloaded, from `start` until before
    `end`: the newest MAX_PARTITIONS."""
    rows = await conn.fetch(_ARCHIVE_PARTITIONS, by, start, end, FINAL_TIER, MAX_PARTITIONS + 1)
    found = [msgspec.convert(dict(row), ArchivePartition) for row in rows[:MAX_PARTITIONS]]
    return ArchivePartitions(by=by, partitions=found[::-1], truncated=len(rows) > MAX_PARTITIONS)
