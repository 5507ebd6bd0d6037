"""Retention rules are applied: runs and lines whose time is over go, and what went is counted."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from app.rules.log_retention import AgedRun, Verdict, first_removal, judge, runless_before
from app.wire.base import NIL_UUID
from app.wire.log_retention import Expiring, RetentionRule, RetentionRules
from storage.postgres import log_retention as store
from storage.postgres.log_retention import LoggedRun
from storage.postgres.pool import Pool, connection, transaction

# Runs judged, and deleted, in one transaction.
PAGE = 1000


@dataclass(slots=True)
class _Count:
    runs: int = 0
    rows: int = 0
    bytes: int = 0
    runs_below_level: int = 0


async def apply_retention(
    pool: Pool, default_days: int | None, *, now: dt.datetime
) -> list[Expiring]:
    """Delete the logs of runs whose time is over from every reader, and have compaction leave out
    single lines; gives what went, by rule. Bytes are freed when objects are rewritten.

    `default_days` is for runs that no rule fits, None for keeping them.
    """
    counts: dict[str, _Count] = {}
    rules = await rules_in_force(pool, default_days)
    async for page in _verdicts(pool, rules, now):
        whole = {run.id: (run, verdict) for run, verdict in page if verdict.everything}
        levels = {
            run.id: (verdict.below_level, verdict.rule)
            for run, verdict in page
            if verdict.below_level is not None
        }
        async with transaction(pool) as conn:
            gone = await store.expire_runs(conn, list(whole)) if whole else []
            if levels:
                await store.expire_levels(
                    conn, {run_id: level for run_id, (level, _) in levels.items()}
                )
        for run_id in gone:
            run, verdict = whole[run_id]
            _add(counts, run, verdict)
        for _, rule in levels.values():
            counts.setdefault(rule, _Count()).runs_below_level += 1
    async with connection(pool) as conn:
        if (before := runless_before(rules, now)) is not None:
            await store.expire_runless(conn, before)
        await store.prune_expiries(conn)
    return _told(counts)


async def preview_retention(
    pool: Pool, rules: Sequence[RetentionRule], *, now: dt.datetime
) -> list[Expiring]:
    """What these rules would take now; changes nothing."""
    counts: dict[str, _Count] = {}
    async for page in _verdicts(pool, rules, now):
        for run, verdict in page:
            if verdict.everything:
                _add(counts, run, verdict)
            else:
                counts.setdefault(verdict.rule, _Count()).runs_below_level += 1
    return _told(counts)


async def rules_in_force(pool: Pool, default_days: int | None) -> list[RetentionRule]:
    """Those that were set, and the one of the settings as the last."""
    async with connection(pool) as conn:
        return with_default(await store.read_rules(conn), default_days)


def with_default(rules: RetentionRules, default_days: int | None) -> list[RetentionRule]:
    """The rules, and after them what the settings say for runs that none fits."""
    if default_days is None:
        return list(rules.rules)
    return [*rules.rules, RetentionRule(name="TAILRACE_LOG_RETENTION_DAYS", days=default_days)]


async def _verdicts(
    pool: Pool, rules: Sequence[RetentionRule], now: dt.datetime
) -> AsyncIterator[list[tuple[AgedRun, Verdict]]]:
    """Runs of which something goes, page by page."""
    before = first_removal(rules, now)
    if before is None:
        return
    after = NIL_UUID
    while True:
        async with connection(pool) as conn:
            page = await store.aged_runs(conn, before=before, after_id=after, limit=PAGE)
        if not page:
            return
        after = page[-1].id
        judged = [(run, judge(rules, run, now)) for run in map(_aged, page) if run is not None]
        yield [(run, verdict) for run, verdict in judged if verdict is not None]


def _aged(run: LoggedRun) -> AgedRun | None:
    if not run.settled:
        return None
    return AgedRun(
        id=run.id,
        last=run.last,
        rows=run.rows,
        bytes=run.bytes,
        least_level=run.least_level,
        active=run.active,
        flow=run.flow,
        deployment=run.deployment,
        tags=frozenset(run.tags),
    )


def _add(counts: dict[str, _Count], run: AgedRun, verdict: Verdict) -> None:
    count = counts.setdefault(verdict.rule, _Count())
    count.runs += 1
    count.rows += run.rows
    count.bytes += run.bytes


def _told(counts: dict[str, _Count]) -> list[Expiring]:
    return [
        Expiring(
            rule=rule,
            runs=count.runs,
            rows=count.rows,
            bytes=count.bytes,
            runs_below_level=count.runs_below_level,
        )
        for rule, count in counts.items()
    ]
