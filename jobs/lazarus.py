"""Runs that should make progress and do not go back to Scheduled, a few times at most.

Three kinds: those that the zombie killer found dead; PENDING ones of which nothing is heard; and
SCHEDULED ones that nobody can pick up any more, or nobody does who could. Each death is dealt with
once (`flow_run_death`). `tailrace.lazarus` tells it in the run's own logs.
"""

import datetime as dt
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial

import structlog

from app.orchestration.recovery import NotPutBack, crash_left_behind, put_back
from app.rules.recovery import POLLS_MISSED, judge
from app.services import Services
from app.wire.base import NIL_UUID, utc_now
from app.wire.recovery import Suspect
from jobs.job import Report
from jobs.run_logs import tell_run
from storage.errors import Busy
from storage.postgres import recovery as store
from storage.postgres.pool import connection
from storage.postgres.recovery import Death

# Runs or deaths that are read at once.
PAGE = 200
LOGGER = "tailrace.lazarus"
EVER = dt.datetime(1, 1, 1, tzinfo=dt.UTC)

_log = structlog.get_logger(LOGGER)


async def raise_the_dead(services: Services, now: dt.datetime | None = None) -> Report:
    """One pass."""
    now = now or utc_now()
    async with connection(services.pool) as conn:
        since = await store.listening_since(conn)
    if since is None:
        return {}
    settle = partial(judge, recovery=services.recovery, listening_since=since, now=now)
    rescheduled = refused = 0
    async for suspects in _suspects(services, now, settling=True):
        for suspect in suspects:
            judged = settle(suspect)
            if judged is None or not _is_to_be_written(suspect, judged[1].start, judged[1].left):
                continue
            try:
                done = await put_back(services.pool, suspect.id, suspect.state_id, settle, now=now)
            except NotPutBack as error:
                _log.warning("a run was not put back", reason=str(error))
                refused += 1
                continue
            except Busy:
                # Somebody is changing the run: the next pass looks at it again.
                continue
            if done is None:
                continue
            rescheduled += 1
            services.events.announce([done.state_id])
            await tell_run(
                services, suspect.id, done.message, logger=LOGGER, level=logging.WARNING, now=now
            )
    report = {"rescheduled": rescheduled, "refused": refused}
    return {key: count for key, count in report.items() if count}


async def preview_the_dead(services: Services, now: dt.datetime | None = None) -> Sequence[str]:
    """What a pass would do now."""
    now = now or utc_now()
    if services.recovery.lazarus_attempts == 0:
        return ["Lazarus is off (TAILRACE_LAZARUS_ATTEMPTS is 0)"]
    async with connection(services.pool) as conn:
        since = await store.listening_since(conn)
    if since is None:
        return ["no API process listens, so no run can be called silent"]
    lines: list[str] = []
    async for suspects in _suspects(services, now, settling=False):
        for suspect in suspects:
            judged = judge(suspect, services.recovery, listening_since=since, now=now)
            if judged is None:
                continue
            why, verdict = judged
            told = f"{suspect.id} {suspect.name}: {suspect.state_type}, {why};"
            if verdict.left is not None:
                lines.append(f"{told} would be left, because {verdict.left}")
            elif verdict.start is None:
                lines.append(f"{told} would be looked at again later")
            else:
                lines.append(f"{told} would go back to Scheduled (attempt {suspect.put_back + 1})")
    return lines


def _is_to_be_written(suspect: Suspect, start: dt.datetime | None, left: str | None) -> bool:
    """Whether a verdict changes anything: that a run which is only stuck is left, is not noted."""
    return start is not None or (left is not None and suspect.state_type == "CRASHED")


async def _suspects(
    services: Services, now: dt.datetime, *, settling: bool
) -> AsyncIterator[list[Suspect]]:
    """Page by page, all who may be put back. While `settling`, what deaths have left behind is
    crashed, and those of runs that moved on are settled."""
    async for deaths in _deaths(services):
        if settling:
            await _settle(services, deaths, now)
        dead = {death.state_id: death.flow_run_id for death in deaths if not death.moved_on}
        async with connection(services.pool) as conn:
            found = await store.suspects(conn, list(dead.values()))
        yield [suspect for suspect in found if suspect.state_id in dead]
    if services.recovery.lazarus_attempts == 0:
        return
    silent_since = now - services.recovery.patience
    after = NIL_UUID
    full = True
    while full:
        async with connection(services.pool) as conn:
            ids = await store.silent_runs(
                conn, "PENDING", heard_before=silent_since, after=after, limit=PAGE
            )
            found = await store.suspects(conn, ids)
        yield found
        full = len(ids) == PAGE
        after = ids[-1] if ids else after
    place = (EVER, NIL_UUID)
    full = True
    while full:
        async with connection(services.pool) as conn:
            overdue = await store.overdue_runs(
                conn,
                due_before=silent_since,
                polled_since=now - POLLS_MISSED,
                after=place,
                limit=PAGE,
            )
            found = await store.suspects(conn, [id for _, id in overdue])
        yield found
        full = len(overdue) == PAGE
        place = overdue[-1] if overdue else place


async def _deaths(services: Services) -> AsyncIterator[list[Death]]:
    place = (EVER, NIL_UUID)
    full = True
    while full:
        async with connection(services.pool) as conn:
            deaths = await store.unsettled_deaths(conn, after=place, limit=PAGE)
        yield deaths
        full = len(deaths) == PAGE
        place = (deaths[-1].created, deaths[-1].state_id) if deaths else place


async def _settle(services: Services, deaths: Sequence[Death], now: dt.datetime) -> None:
    for death in deaths:
        if death.has_left_behind:
            # The zombie killer did not come to it, because its pass was cut short.
            written = await crash_left_behind(
                services.pool, death.flow_run_id, died=death.created, now=now
            )
            services.events.announce(written)
        if death.moved_on:
            reason = "its state was changed by somebody else"
            async with connection(services.pool) as conn:
                await store.settle_death(conn, death.state_id, "moved on", reason, now=now)
