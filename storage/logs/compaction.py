"""Compaction: many segments become few, exactly once, without the lines of deleted runs.

    download the inputs -> merge -> stage the outputs -> upload them
        -> one transaction: publish the outputs, mark the inputs

A crash before the transaction leaves the inputs as they were, and at most staged objects for
`offload.sweep`. A crash after it leaves nothing to do: the sweep deletes the marked inputs when no
reader can have them in its plan any more. Two processes that merge the same input cannot both commit.

Inputs and outputs lie in a temporary directory of the local disk meanwhile (at most about 1 GiB).
"""

import asyncio
import datetime as dt
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from storage.errors import ObjectDamaged, ObjectMissing, Unavailable
from storage.logs import manifest
from storage.logs.compaction_plan import FINAL_TIER, Merge, everything, next_merge
from storage.logs.manifest import Lineage, Segment, Unwanted
from storage.logs.merge import DamagedInput, Merged, merge_segments
from storage.logs.offload import segment_key
from storage.objects.store import ObjectStore
from storage.postgres.pool import Pool, connection, transaction

# The oldest segments below the final tier: a backlog of a day of offloads every 10 s.
MAX_CANDIDATES = 10_000
CONCURRENT_DOWNLOADS = 4
# Of the thread that merges: a final merge of 4 million lines takes 12 s of CPU.
NICENESS = 15
# Objects of which less than a tenth was deleted are rewritten a day later.
CLEAN_AFTER_SECONDS = 86_400.0
# A deleted run may still post lines; they stay hidden as long as the deletion is remembered.
TOMBSTONE_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionReport:
    """What a pass did: `bytes` were written, `dropped_rows` are of deleted runs."""

    merged: int = 0
    made: int = 0
    rows: int = 0
    bytes: int = 0
    dropped_rows: int = 0


NOTHING_TO_DO = CompactionReport()


async def compact_pass(
    pool: Pool, objects: ObjectStore, now: dt.datetime, *, force: bool = False
) -> CompactionReport:
    """Make at most one merge. With `force` hours and days count as passed, and nothing is left below
    the final tier in the end.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer, or the local disk is full; nothing changed.
        ObjectDamaged, ObjectMissing: an input cannot be read. It is remembered as damaged and left
            out from now on; nothing else changed.
        Conflict: another process merged the same segments.
    """
    async with connection(pool) as conn:
        segments = await manifest.segments_to_merge(conn, MAX_CANDIDATES)
    merge = next(everything(segments), None) if force else next_merge(segments, now)
    if merge is None:
        merge = await _split(pool)
    if merge is None:
        return NOTHING_TO_DO
    if not merge.rewrites:
        async with connection(pool) as conn:
            await manifest.keep_as_they_are(
                conn, [segment.id for segment in merge.inputs], merge.tier
            )
        (kept,) = merge.inputs
        return CompactionReport(merged=1, made=1, rows=kept.rows)
    return await _merge(pool, objects, merge)


async def _split(pool: Pool) -> Merge | None:
    """A final segment of more days than one merge takes apart: each further one takes some of them out,
    until the archive can have all of its lines by their days."""
    async with connection(pool) as conn:
        segment = await manifest.segment_to_split(conn)
    return None if segment is None else Merge(inputs=(segment,), tier=FINAL_TIER)


async def clean_pass(
    pool: Pool, objects: ObjectStore, *, deleted_before_seconds: float = CLEAN_AFTER_SECONDS
) -> CompactionReport:
    """Rewrite at most one segment without deleted and expired lines. Raises as `compact_pass`."""
    async with connection(pool) as conn:
        found = await manifest.segment_to_clean(conn, deleted_before_seconds=deleted_before_seconds)
    if found is None:
        return NOTHING_TO_DO
    segment, all_deleted = found
    if not all_deleted:
        return await _merge(pool, objects, Merge(inputs=(segment,), tier=segment.tier))
    # There is nothing to keep, so nothing to read.
    async with transaction(pool) as conn:
        await manifest.publish_merged(conn, {}, [segment.id])
    return CompactionReport(merged=1, dropped_rows=segment.rows)


async def prune_tombstones(pool: Pool) -> int:
    """Forget deletions whose lines are gone everywhere; gives how many."""
    async with connection(pool) as conn:
        return await manifest.prune_tombstones(conn, older_than_seconds=TOMBSTONE_SECONDS)


async def _merge(pool: Pool, objects: ObjectStore, merge: Merge) -> CompactionReport:
    ids = [segment.id for segment in merge.inputs]
    with tempfile.TemporaryDirectory(prefix="tailrace-compaction-") as temporary:
        directory = Path(temporary)
        inputs = await _download(pool, objects, merge.inputs, directory)
        async with connection(pool) as conn:
            unwanted, read_at = await manifest.unwanted_in_segments(conn, ids)
        merged = await _merge_in_thread(pool, merge, inputs, directory, unwanted)
        for path in inputs:
            path.unlink()
        lineage = Lineage(tier=merge.tier, hour=merge.inputs[0].hour, cleaned=read_at)
        outputs = {}
        for file in merged.files:
            key = segment_key(merge.inputs[0].hour)
            async with connection(pool) as conn:
                outputs[await manifest.stage_segment(conn, key, file.summary, lineage)] = (
                    file.summary
                )
            await objects.upload_new(key, file.path)
    async with transaction(pool) as conn:
        await manifest.publish_merged(conn, outputs, ids)
    return CompactionReport(
        merged=len(ids),
        made=len(outputs),
        rows=sum(summary.rows for summary in outputs.values()),
        bytes=sum(summary.bytes for summary in outputs.values()),
        dropped_rows=merged.dropped_rows,
    )


async def _download(
    pool: Pool, objects: ObjectStore, segments: tuple[Segment, ...], directory: Path
) -> list[Path]:
    slots = asyncio.Semaphore(CONCURRENT_DOWNLOADS)
    paths = [directory / f"input-{index}.parquet" for index in range(len(segments))]

    async def download(segment: Segment, path: Path) -> None:
        async with slots:
            digest = await objects.download(segment.key, path)
            # Those of before 0017 have no hash.
            if segment.sha256 is not None and digest != segment.sha256:
                raise ObjectDamaged(segment.key, "its bytes are not those that were uploaded")

    tasks = [
        asyncio.create_task(download(segment, path))
        for segment, path in zip(segments, paths, strict=True)
    ]
    try:
        await asyncio.gather(*tasks)
    except (ObjectMissing, ObjectDamaged) as error:
        await _remember_damage(pool, error.key)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return paths


async def _merge_in_thread(
    pool: Pool, merge: Merge, inputs: list[Path], directory: Path, unwanted: Unwanted
) -> Merged:
    cancel = threading.Event()
    thread = ThreadPoolExecutor(1, thread_name_prefix="compaction", initializer=_give_way)
    work = asyncio.wrap_future(
        thread.submit(
            merge_segments,
            inputs,
            directory,
            unwanted=unwanted,
            final=merge.tier == FINAL_TIER,
            cancel=cancel,
        )
    )
    try:
        return await asyncio.shield(work)
    except DamagedInput as error:
        key = merge.inputs[error.index].key
        await _remember_damage(pool, key)
        raise ObjectDamaged(key, str(error)) from error
    except OSError as error:
        raise Unavailable("local disk", f"{directory}: {error.strerror}") from error
    finally:
        # The directory must not go before the thread has let go of it.
        cancel.set()
        await asyncio.wait([work])
        if not work.cancelled():
            # Looked at, so that asyncio does not complain that nobody did.
            work.exception()
        thread.shutdown(wait=False)
        pa.default_memory_pool().release_unused()


def _give_way() -> None:
    """Linux counts priorities by thread: what others wait for, ingest above all, goes first."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


async def _remember_damage(pool: Pool, key: str) -> None:
    async with connection(pool) as conn:
        await manifest.mark_damaged(conn, key)
