"""Does the bucket hold what the manifest says, and nothing else?

Objects are listed before the manifest is read, and an object is uploaded after its row was written:
so one without a row is an orphan, unless its row went meanwhile. What looks wrong is looked at once
more, for an object may be published, or swept, in between, and a store may list late.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from storage.errors import ObjectDamaged, ObjectMissing
from storage.logs import manifest, segment
from storage.logs.footer import read_footer
from storage.logs.manifest import ListedSegment
from storage.objects.store import ObjectStore
from storage.postgres.pool import Pool, connection, transaction

PREFIX = "logs/"
PAGE = 1000
CONCURRENT_OBJECTS = 8

Fault: TypeAlias = Literal[
    "orphaned", "missing", "wrong size", "unreadable", "wrong rows", "wrong runs", "wrong bytes"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one object. `segment` is None for an orphan. `repaired` says how, when that
    was asked for and possible."""

    key: str
    fault: Fault
    detail: str
    segment: ListedSegment | None = None
    repaired: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How much was looked at."""

    segments: int
    rows: int
    bytes: int
    problems: list[Problem]


async def verify(
    pool: Pool,
    objects: ObjectStore,
    *,
    contents: bool = False,
    repair: bool = False,
    delete_orphans: bool = False,
) -> Verification:
    """Compare manifest and bucket: objects missing and orphaned, sizes, rows in the footers and rows of
    the runs; with `contents` the bytes of every object too.

    With `repair` the runs of a segment whose object is whole are counted anew from it, and segments are
    remembered as damaged or as whole, so that compaction leaves them alone or takes them up again.
    Lines of a missing object cannot be brought back; its row stays, so that readers say what is missing.
    Orphans are what is left when a database was restored from a backup: their lines may be nowhere
    else, so only `delete_orphans` deletes them.

    Raises:
        Unavailable: PostgreSQL or S3 does not answer.
    """
    listed = await objects.list_objects(PREFIX)
    seen: set[str] = set()
    problems: list[Problem] = []
    segments = rows = size = 0
    async for page in _pages(pool):
        seen.update(each.key for each in page)
        published = [each for each in page if each.state == "published"]
        segments += len(published)
        rows += sum(each.rows for each in published)
        size += sum(each.bytes for each in published)
        problems += await _check(pool, objects, published, listed, contents=contents, repair=repair)
    problems += await _orphans(pool, objects, sorted(listed.keys() - seen), delete=delete_orphans)
    return Verification(segments=segments, rows=rows, bytes=size, problems=problems)


async def _pages(pool: Pool) -> AsyncIterator[list[ListedSegment]]:
    after = 0
    while True:
        async with connection(pool) as conn:
            page = await manifest.all_segments(conn, after, PAGE)
        if not page:
            return
        yield page
        after = page[-1].id


async def _check(
    pool: Pool,
    objects: ObjectStore,
    page: list[ListedSegment],
    listed: dict[str, int],
    *,
    contents: bool,
    repair: bool,
) -> list[Problem]:
    slots = asyncio.Semaphore(CONCURRENT_OBJECTS)

    async def check(each: ListedSegment) -> Problem | None:
        async with slots:
            problem = await _problem(objects, each, listed.get(each.key), contents=contents)
            if problem is None:
                if repair and each.known_damaged:
                    async with connection(pool) as conn:
                        await manifest.mark_whole(conn, each.key)
                return None
            return await _repaired(pool, objects, problem, each) if repair else problem

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check(each)) for each in page]
    found = [problem for task in tasks if (problem := task.result()) is not None]
    async with connection(pool) as conn:
        published = await manifest.published_among(conn, [problem.key for problem in found])
    return [problem for problem in found if problem.key in published]


async def _problem(
    objects: ObjectStore, each: ListedSegment, size: int | None, *, contents: bool
) -> Problem | None:
    def problem(fault: Fault, detail: str) -> Problem:
        return Problem(key=each.key, fault=fault, detail=detail, segment=each)

    if size is not None and size != each.bytes:
        return problem("wrong size", f"{size} bytes, {each.bytes} in the manifest")
    try:
        metadata, _ = await read_footer(objects, each.key, each.bytes, each.footer_crc32)
        if contents:
            with tempfile.TemporaryDirectory(prefix="tailrace-verify-") as directory:
                digest = await objects.download(each.key, Path(directory) / "object")
            if each.sha256 is not None and digest != each.sha256:
                return problem("wrong bytes", "the SHA-256 is not that of the uploaded object")
    except ObjectMissing:
        return problem("missing", "the object is not in the bucket")
    except ObjectDamaged as error:
        return problem("unreadable", str(error))
    if metadata.num_rows != each.rows:
        return problem("wrong rows", f"{metadata.num_rows} rows, {each.rows} in the manifest")
    if each.run_rows != each.rows:
        return problem("wrong runs", f"{each.rows} rows, {each.run_rows} of them under their runs")
    return None


async def _repaired(
    pool: Pool, objects: ObjectStore, problem: Problem, each: ListedSegment
) -> Problem:
    repaired = None
    if problem.fault == "wrong runs":
        with tempfile.TemporaryDirectory(prefix="tailrace-verify-") as directory:
            path = Path(directory) / "object"
            await objects.download(each.key, path)
            runs = await asyncio.to_thread(segment.runs_of_file, path)
        async with transaction(pool) as conn:
            await manifest.replace_runs(conn, each.id, runs)
        repaired = "its runs were counted anew from the object"
    else:
        async with connection(pool) as conn:
            await manifest.mark_damaged(conn, each.key)
    return Problem(
        key=problem.key,
        fault=problem.fault,
        detail=problem.detail,
        segment=each,
        repaired=repaired,
    )


async def _orphans(
    pool: Pool, objects: ObjectStore, keys: list[str], *, delete: bool
) -> list[Problem]:
    async with connection(pool) as conn:
        known = await manifest.known_among(conn, keys)
    orphans = [key for key in keys if key not in known]
    if delete and orphans:
        await objects.delete_many(orphans)
    return [
        Problem(
            key=key,
            fault="orphaned",
            detail="the manifest does not know the object",
            repaired="deleted" if delete else None,
        )
        for key in orphans
    ]
