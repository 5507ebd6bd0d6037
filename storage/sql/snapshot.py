"""What of PostgreSQL a statement needs, sent to the process that runs it as it is read."""

import uuid

import msgspec

from storage.errors import Busy
from storage.logs import hot, manifest
from storage.logs.planner import Bounds, Source
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.sql.messages import BATCH_ID, Kind, SegmentFile, Tier, Wanted
from storage.sql.process import SqlProcess
from storage.sql.tables import TABLES

# Of one table. The statement as a whole has a limit of its own.
COPY_SECONDS = 600.0
RETRY_SECONDS = 10.0

_EXPORTS = {name: statement(f"export_{name}") for name in TABLES}
_HOT_BYTES = statement("bytes_of_batches")
_EXPIRIES = statement("expiries")


async def send_snapshot(
    process: SqlProcess, conn: Conn, wanted: Wanted, *, max_hot_bytes: int
) -> list[list[Source]]:
    """Send tables and hot batches, and say which segments there are; gives their sources, those of one
    segment together. `conn` must be in a snapshot.

    Raises:
        Busy: more lines are hot than this process could hold.
        ProcessEnded: nobody takes it.
    """
    for name, columns in wanted.tables.items():
        await _send_table(process, conn, name, set(columns))
    if not wanted.logs:
        return []
    bounds = Bounds(after=wanted.after, before=wanted.before)
    if wanted.runs is None:
        sources = await manifest.all_sources(conn, bounds)
    else:
        sources, _ = await manifest.run_sources(conn, wanted.runs, bounds)
    await _send_hot(process, conn, sources, max_hot_bytes)
    segments: dict[int, list[Source]] = {}
    for source in sources:
        if source.key is not None:
            segments.setdefault(source.id, []).append(source)
    found = list(segments.values())
    await process.send(Kind.TIER, msgspec.msgpack.encode(await _tier(conn, found)))
    return found


async def _send_table(process: SqlProcess, conn: Conn, name: str, wanted: set[str]) -> None:
    # Names of ours, whatever the process says.
    columns = ", ".join(column for column in TABLES[name] if column in wanted)
    query = f"SELECT {columns} FROM ({_EXPORTS[name]}) AS exported"

    async def send(data: bytes) -> None:
        if data:
            await process.send(Kind.TABLE, data)

    await conn.copy_from_query(query, output=send, format="csv", timeout=COPY_SECONDS)
    await process.send(Kind.TABLE)


async def _send_hot(process: SqlProcess, conn: Conn, sources: list[Source], max_bytes: int) -> None:
    ids = sorted({source.id for source in sources if source.key is None})
    size: int = await conn.fetchval(_HOT_BYTES, ids)
    if size > max_bytes:
        raise Busy(
            f"{size:,} bytes of lines are not in S3 yet, too many for one statement; name runs or a"
            " time range of logs in its WHERE (`tailrace tier status` shows what is hot)",
            retry_after=RETRY_SECONDS,
        )
    for batch_id in ids:
        # Those of other runs in the batch come along; the statement leaves them out.
        for payload in (await hot.batch_payloads(conn, [batch_id])).values():
            await process.send(Kind.BATCH, BATCH_ID.pack(batch_id), payload)


async def _tier(conn: Conn, segments: list[list[Source]]) -> Tier:
    deleted = await manifest.deleted(conn)
    expiries = await conn.fetch(_EXPIRIES)
    below: dict[uuid.UUID, int] = {
        row["flow_run_id"]: row["below_level"] for row in expiries if row["below_level"] is not None
    }
    return Tier(
        segments=[_file(parts) for parts in segments],
        deleted_runs=deleted.runs,
        deleted_tasks=deleted.tasks,
        below_level=below,
        runless_before=next((row["before"] for row in expiries if row["before"] is not None), None),
    )


def _file(parts: list[Source]) -> SegmentFile:
    first = parts[0]
    whole = first.flow_run_id is None
    return SegmentFile(
        bytes=first.object_bytes or 0,
        footer_crc32=first.footer_crc32,
        parts=None if whole else [(part.first_row, part.rows) for part in parts],
    )
