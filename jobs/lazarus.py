"""Runs that should make progress and do not go back to Scheduled, a few times at most.

Three kinds: those that the zombie killer found dead; PENDING ones of which nothing is heard; and
SCHEDULED ones that nobody can pick up any more. Each death is dealt with once
(`flow_run_death`). `tailrace.lazarus` tells it in the run's own logs.
"""

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Sequence

from app.orchestration.recovery import NotPutBack, put_back
from app.rules.recovery import Verdict, resurrect, why_stuck
from app.services import Services
from app.wire.base import utc_now
from app.wire.recovery import Suspect
from app.wire.states import StateType
from jobs.job import Report
from jobs.run_logs import tell_run
from storage.postgres import recovery as store
from storage.postgres.pool import connection

# Runs per pass and kind: the next pass takes the next ones.
BATCH = 200
LOGGER = "tailrace.lazarus"

_Judge = Callable[[Suspect, int], tuple[str, Verdict] | None]
_Candidate = tuple[uuid.UUID, uuid.UUID, StateType, _Judge, dt.datetime]


async def raise_the_dead(services: Services, now: dt.datetime | None = None) -> Report:
    """One pass."""
    now = now or utc_now()
    if services.recovery.lazarus_attempts == 0:
        return {}
    rescheduled = refused = 0
    for run_id, death_id, state_type, judge, silent_since in await _candidates(services, now):
        try:
            done = await put_back(
                services.pool,
                run_id,
                state_type,
                judge,
                death_id=death_id,
                silent_since=silent_since,
                now=now,
            )
        except NotPutBack:
            refused += 1
            continue
        if done is None:
            continue
        rescheduled += 1
        services.events.announce([done.state_id])
        await tell_run(
            services, run_id, done.message, logger=LOGGER, level=logging.WARNING, now=now
        )
    report = {"rescheduled": rescheduled, "refused": refused}
    return {key: count for key, count in report.items() if count}


async def preview_the_dead(services: Services) -> Sequence[str]:
    """What a pass would do now."""
    now = utc_now()
    if services.recovery.lazarus_attempts == 0:
        return ["Lazarus is off (TAILRACE_LAZARUS_ATTEMPTS is 0)"]
    lines: list[str] = []
    for run_id, _, state_type, judge, silent_since in await _candidates(services, now):
        async with connection(services.pool) as conn:
            found = await store.suspects(conn, state_type, heard_before=silent_since, only=run_id)
            attempts = await store.count_resurrections(conn, run_id)
        judged = judge(found[0], attempts) if found else None
        if judged is None:
            continue
        why, verdict = judged
        told = f"{run_id} {found[0].name}: {state_type}, {why};"
        if verdict.left is not None:
            lines.append(f"{told} would be left, because {verdict.left}")
        elif verdict.start is None:
            lines.append(f"{told} would be looked at again later")
        else:
            lines.append(f"{told} would go back to Scheduled (attempt {attempts + 1})")
    return lines


async def _candidates(services: Services, now: dt.datetime) -> list[_Candidate]:
    """Who may be put back: run, the state of its death, what judges it, silent since when."""
    recovery = services.recovery
    found: list[_Candidate] = []
    impatient = now - recovery.patience
    async with connection(services.pool) as conn:
        since = await store.listening_since(conn)
        if since is None:
            return []
        deaths = await store.unsettled_deaths(conn, BATCH)
        for death in deaths:
            if death.moved_on:
                reason = "its state was changed by somebody else"
                await store.settle_death(conn, death.state_id, "moved on", reason, now=now)
        stuck = [
            suspect
            for state_type in _STUCK
            for suspect in await store.suspects(
                conn, state_type, heard_before=impatient, limit=BATCH
            )
        ]

    def judge_crashed(suspect: Suspect, attempts: int) -> tuple[str, Verdict] | None:
        verdict = resurrect(
            suspect,
            recovery,
            attempts=attempts,
            died=suspect.entered,
            listening_since=since,
            now=now,
        )
        return "its process was found dead", verdict

    def judge_stuck(suspect: Suspect, attempts: int) -> tuple[str, Verdict] | None:
        why = why_stuck(suspect, recovery, listening_since=since, now=now)
        if why is None:
            return None
        verdict = resurrect(
            suspect,
            recovery,
            attempts=attempts,
            died=suspect.entered,
            listening_since=since,
            now=now,
        )
        return why, verdict

    for death in deaths:
        if not death.moved_on:
            # The CRASHED state itself was written just now; the rule asks when it was heard.
            item = (death.flow_run_id, death.state_id, "CRASHED", judge_crashed, FAR)
            found.append(item)
    found += [
        (suspect.id, suspect.state_id, suspect.state_type, judge_stuck, impatient)
        for suspect in stuck
    ]
    return found


_STUCK: tuple[StateType, ...] = ("PENDING", "SCHEDULED")
FAR = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
