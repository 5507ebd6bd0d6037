"""Offload: hot batches become one segment, exactly once.

A pass reads a bounded set of the oldest batches, writes one object and publishes it:

    stage the segment's row -> PUT the object -> one transaction: publish it, delete the batches

A crash before the transaction leaves the batches as they were and at most an object whose row is
staged; `sweep` removes both after a grace period. A crash after it leaves nothing to do. Two
processes that offload the same batches cannot both commit.
"""

import asyncio
import datetime as dt
from dataclasses import dataclass

import pyarrow as pa
import uuid_utils

from storage.logs import hot, manifest
from storage.logs.encode import decode_batch
from storage.logs.hot import HotBatch
from storage.logs.lines import first_seq
from storage.logs.segment import EncodedSegment, encode_segment
from storage.objects.store import ObjectStore
from storage.postgres.pool import Pool, connection, transaction

# A segment is due when the oldest batch is this old, or when batches add up to this size.
DUE_AGE_SECONDS = 10.0
DUE_BYTES = 32 * 1024**2
# The most of one segment. Sorting and writing 400,000 lines peaks at about 300 MB, beside a merge that
# takes 150; compaction makes few of many.
MAX_SEGMENT_BYTES = 32 * 1024**2
MAX_SEGMENT_ROWS = 262_144
# Decoded. Lines that repeat themselves compress a thousandfold, and a column holds 2 GiB at most.
MAX_SEGMENT_DECODED_BYTES = 192 * 1024**2
MAX_BATCHES = 4096
# An upload takes seconds; an object staged for an hour belongs to a process that is gone.
STAGED_GRACE_SECONDS = 3600.0
# A page is read within a minute of its plan, which may name segments that were replaced meanwhile.
READER_GRACE_SECONDS = 900.0
# A snapshot of the archive may name the object of a replaced segment. When the archive cannot be published
# for longer than this, what was deleted goes nevertheless.
ARCHIVE_HOLD_SECONDS = 86_400.0
SWEEP_LIMIT = 1000
# The largest upload, of 256 MiB, is given up long before.
STALE_UPLOAD_SECONDS = 86_400.0
PREFIX = "logs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class OffloadReport:
    """What a pass moved: `bytes` are the object's. `more` says that another pass is due at once."""

    batches: int = 0
    rows: int = 0
    bytes: int = 0
    more: bool = False


async def offload_pass(pool: Pool, objects: ObjectStore, *, force: bool = False) -> OffloadReport:
    """Make at most one segment. With `force` everything hot is due.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer; nothing was lost, the next pass tries again.
        Conflict: another process offloaded the same batches.
    """
    async with connection(pool) as conn:
        waiting = await hot.batches_due(conn, MAX_BATCHES)
        chosen = _choose(waiting, force=force)
        if not chosen:
            return OffloadReport()
        payloads = await hot.batch_payloads(conn, [batch.id for batch in chosen])
    if len(payloads) < len(chosen):
        return OffloadReport(more=True)
    segment, batch_ids = await asyncio.to_thread(_encode, payloads)
    key = segment_key(dt.datetime.now(dt.UTC))
    async with connection(pool) as conn:
        segment_id = await manifest.stage_segment(conn, key, segment.summary)
    await objects.put_new(key, segment.body)
    async with transaction(pool) as conn:
        await manifest.publish_offloaded(conn, segment_id, segment.summary, batch_ids)
    # The C library keeps small blocks until it is asked; between passes the process should be small.
    pa.default_memory_pool().release_unused()
    rest = waiting[len(batch_ids) :]
    return OffloadReport(
        batches=len(batch_ids),
        rows=segment.summary.rows,
        bytes=segment.summary.bytes,
        more=bool(_choose(rest, force=force)),
    )


async def sweep(pool: Pool, objects: ObjectStore, *, grace_seconds: float | None = None) -> int:
    """Delete objects that were uploaded but never published, and those that were replaced; gives how
    many segments went. `grace_seconds` instead of both times of grace is for tests."""
    async with connection(pool) as conn:
        await manifest.mark_stale_staged(
            conn,
            older_than_seconds=STAGED_GRACE_SECONDS if grace_seconds is None else grace_seconds,
        )
        marked = await manifest.marked_segments(
            conn,
            SWEEP_LIMIT,
            marked_before_seconds=READER_GRACE_SECONDS if grace_seconds is None else grace_seconds,
            held_seconds=ARCHIVE_HOLD_SECONDS,
        )
    if not marked:
        return 0
    await objects.delete_many(list(marked.values()))
    async with connection(pool) as conn:
        await manifest.forget_segments(conn, list(marked))
    return len(marked)


async def end_stale_uploads(objects: ObjectStore) -> int:
    """Delete the parts of uploads of segments whose process, or S3, went away before their end; gives how
    many uploads that were."""
    return await objects.end_stale_uploads(PREFIX, older_than_seconds=STALE_UPLOAD_SECONDS)


async def prune_receipts(pool: Pool) -> int:
    """Forget bodies acknowledged more than 10 minutes ago; gives how many."""
    async with connection(pool) as conn:
        return await hot.prune_receipts(conn)


def segment_key(now: dt.datetime) -> str:
    """A new key, hive-style by the date and hour (UTC) of the offload."""
    return f"logs/date={now:%Y-%m-%d}/hour={now:%H}/{uuid_utils.uuid7()}.parquet"


def _choose(waiting: list[HotBatch], *, force: bool) -> list[HotBatch]:
    """The oldest batches that make one segment, or none when nothing is due."""
    if not waiting:
        return []
    if not (
        force
        or max(batch.age_seconds for batch in waiting) >= DUE_AGE_SECONDS
        or sum(batch.bytes for batch in waiting) >= DUE_BYTES
    ):
        return []
    chosen: list[HotBatch] = []
    size = rows = 0
    for batch in waiting:
        size += batch.bytes
        rows += batch.rows
        if chosen and (size > MAX_SEGMENT_BYTES or rows > MAX_SEGMENT_ROWS):
            break
        chosen.append(batch)
    return chosen


def _encode(payloads: dict[int, bytes]) -> tuple[EncodedSegment, list[int]]:
    """A segment of the first batches, as many as fit, and their ids."""
    tables: list[pa.Table] = []
    size = 0
    for batch_id in sorted(payloads):
        table = decode_batch(payloads[batch_id], first_seq(batch_id))
        size += table.nbytes
        if tables and size > MAX_SEGMENT_DECODED_BYTES:
            break
        tables.append(table)
    return encode_segment(pa.concat_tables(tables)), sorted(payloads)[: len(tables)]
