"""Lines of another server's database become segments, exactly once.

    stage the segment's row -> PUT the object -> one transaction: publish it, move the import on

A crash before the transaction leaves the import where it was and at most an object that `offload.sweep`
removes; two processes that import the same lines cannot both commit. Segments are of tier 0, so that
compaction merges them as it does any others.
"""

import asyncio
import datetime as dt
import uuid
from collections import Counter

import pyarrow as pa

from storage.logs import manifest
from storage.logs.lines import first_seq
from storage.logs.offload import segment_key
from storage.logs.segment import EncodedSegment, encode_segment
from storage.objects.store import ObjectStore
from storage.postgres.imports import Position, move_import, next_batch_id
from storage.postgres.pool import Pool, connection, transaction

# The most of one segment, in lines and decoded bytes; sorting and writing them takes thrice that.
MAX_ROWS = 262_144
MAX_BYTES = 64 * 1024**2


async def publish_imported(
    pool: Pool,
    objects: ObjectStore,
    source: uuid.UUID,
    pages: list[pa.Table],
    before: Position,
    after: Position,
) -> None:
    """Keep these lines of a source, which stand after `before` up to `after`, in order.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer; the import stays where it was.
        Conflict: another process took the same lines.
    """
    async with connection(pool) as conn:
        batch_id = await next_batch_id(conn)
    segment = await asyncio.to_thread(_encode, pages, batch_id)
    key = segment_key(dt.datetime.now(dt.UTC))
    async with connection(pool) as conn:
        segment_id = await manifest.stage_segment(conn, key, segment.summary)
    await objects.put_new(key, segment.body)
    counts: Counter[uuid.UUID] = Counter()
    for run in segment.summary.runs:
        counts[run.part.flow_run_id] += run.part.rows
    async with transaction(pool) as conn:
        await manifest.publish_merged(conn, {segment_id: segment.summary}, [])
        await move_import(conn, source, before, after, dict(counts))
    pa.default_memory_pool().release_unused()


def _encode(pages: list[pa.Table], batch_id: int) -> EncodedSegment:
    lines = pa.concat_tables(pages)
    seq = pa.array(range(first_seq(batch_id), first_seq(batch_id) + lines.num_rows), pa.int64())
    return encode_segment(lines.add_column(0, "seq", seq))
