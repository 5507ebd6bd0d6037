"""The table `logs`: the final segments as they are, without a copy.

No object is read: the manifest in PostgreSQL knows what Iceberg wants to know of a file.
"""

import asyncio
import datetime as dt

from pyiceberg.conversions import to_bytes
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType, UUIDType

from storage.archive import claims
from storage.archive.claims import FinalSegment
from storage.archive.place import Archive
from storage.archive.snapshots import Change, NewFile, commit, current_files, still_named
from storage.archive.tables import FLOW_RUN_ID, TIMESTAMP_ID
from storage.logs.lines import microseconds_of
from storage.postgres.pool import Pool, connection

HELD_PAGE = 10_000


async def publish_logs(pool: Pool, archive: Archive, table: Table) -> Change:
    """Make the table name the final segments, and nothing else.

    Raises:
        CommitFailedException: another process changed the table meanwhile.
    """
    async with connection(pool) as conn:
        segments = await claims.claim(conn)
    return await asyncio.to_thread(_publish, archive, table, segments)


async def release_replaced(pool: Pool, archive: Archive, table: Table) -> int:
    """Let go of replaced segments that no snapshot of `table` names; gives how many. The table must have
    been read after the last commit that anybody else may have made."""
    released = after = 0
    while True:
        async with connection(pool) as conn:
            held = await claims.held(conn, after, HELD_PAGE)
        if not held:
            return released
        after = max(held)
        paths = {archive.path(key) for key in held.values()}
        named = await asyncio.to_thread(still_named, table, paths)
        free = [id for id, key in held.items() if archive.path(key) not in named]
        async with connection(pool) as conn:
            await claims.release(conn, free)
        released += len(free)


def _publish(archive: Archive, table: Table, segments: list[FinalSegment]) -> Change:
    wanted = {archive.path(segment.key): segment for segment in segments}
    gone = [file for file in current_files(table) if wanted.pop(file.file_path, None) is None]
    return commit(table, [_new_file(path, segment) for path, segment in wanted.items()], gone)


def _new_file(path: str, segment: FinalSegment) -> NewFile:
    lower = {TIMESTAMP_ID: _encoded(segment.min_timestamp)}
    upper = {TIMESTAMP_ID: _encoded(segment.max_timestamp)}
    if segment.max_run_id.int >> 127 == 0:
        # Java compares UUIDs as signed numbers: with other ids a reader of Java's would skip files.
        lower[FLOW_RUN_ID] = to_bytes(UUIDType(), segment.min_run_id)
        upper[FLOW_RUN_ID] = to_bytes(UUIDType(), segment.max_run_id)
    return NewFile(
        path=path,
        day=segment.min_timestamp.astimezone(dt.UTC).date(),
        rows=segment.rows,
        bytes=segment.bytes,
        lower=lower,
        upper=upper,
    )


def _encoded(value: dt.datetime) -> bytes:
    return to_bytes(TimestamptzType(), microseconds_of(value))
