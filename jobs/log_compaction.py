"""Merge segments, remove the lines of deleted runs from them, and forget deletions that are done."""

import datetime as dt
from collections.abc import Awaitable, Callable

from app.services import Services
from jobs.job import Report
from storage.errors import Conflict
from storage.logs.compaction import (
    NOTHING_TO_DO,
    CompactionReport,
    clean_pass,
    compact_pass,
    prune_tombstones,
)
from storage.logs.deleted_tasks import locate_deleted_tasks

# Of a pass: it stays within the time limit of a job, and the next one follows within seconds.
MAX_MERGES = 4
MAX_CLEANED = 16


async def compact_logs(services: Services) -> Report:
    """Make the merges that are due."""
    pool, objects = services.pool, services.objects
    return _report(
        await _repeat(lambda: compact_pass(pool, objects, dt.datetime.now(dt.UTC)), MAX_MERGES)
    )


async def clean_logs(services: Services) -> Report:
    """Rewrite segments without the lines that were deleted or whose time is over."""
    return _report(await _repeat(lambda: clean_pass(services.pool, services.objects), MAX_CLEANED))


def _report(merges: list[CompactionReport]) -> Report:
    if not merges:
        return {}
    return {
        "merged": sum(merge.merged for merge in merges),
        "made": sum(merge.made for merge in merges),
        "rows": sum(merge.rows for merge in merges),
        "bytes": sum(merge.bytes for merge in merges),
        "dropped_rows": sum(merge.dropped_rows for merge in merges),
    }


async def prune_log_tombstones(services: Services) -> Report:
    """Forget deletions of a week ago whose lines are gone everywhere."""
    pruned = await prune_tombstones(services.pool)
    return {"tombstones": pruned} if pruned else {}


async def locate_task_lines(services: Services) -> Report:
    """Find out under which flow runs deleted task runs have lines."""
    located = await locate_deleted_tasks(services.pool, services.objects)
    return {"task_runs": located} if located else {}


async def _repeat(
    one_pass: Callable[[], Awaitable[CompactionReport]], limit: int
) -> list[CompactionReport]:
    done: list[CompactionReport] = []
    while len(done) < limit:
        try:
            report = await one_pass()
        except Conflict:
            # Another process, or `tailrace tier compact`, was first.
            break
        if report == NOTHING_TO_DO:
            break
        done.append(report)
    return done
