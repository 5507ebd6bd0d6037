"""RUNNING runs whose process is dead become CRASHED, and what they ran with them.

Who counts as dead is decided in `app.rules.recovery`. While nobody listens nobody is silent, and
this does nothing. `tailrace.zombie_killer` tells it in the run's own logs.
"""

import datetime as dt
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial

from app.orchestration.recovery import crash, crash_left_behind
from app.rules.recovery import why_dead
from app.services import Services
from app.wire.base import NIL_UUID, utc_now
from app.wire.recovery import Suspect
from jobs.job import Report
from jobs.run_logs import tell_run
from storage.errors import Busy
from storage.postgres import recovery as store
from storage.postgres.pool import connection

PAGE = 200
LOGGER = "tailrace.zombie_killer"
# Signs of runs that have ended are kept a while: lines come late.
SIGNS_KEPT = dt.timedelta(hours=1)


async def kill_zombies(services: Services, now: dt.datetime | None = None) -> Report:
    """One pass."""
    now = now or utc_now()
    if not services.recovery.zombie_killer:
        return {}
    silent_since = now - services.recovery.least_silence
    async with connection(services.pool) as conn:
        since = await store.listening_since(conn)
        await store.prune_signs(conn, heard_before=now - SIGNS_KEPT)
        if since is not None:
            await store.look_up_beats(conn, heard_before=silent_since)
    if since is None:
        return {}
    crashed = 0
    dead = partial(why_dead, recovery=services.recovery, listening_since=since, now=now)
    async for suspect, _ in _zombies(services, since, now):
        try:
            done = await crash(services.pool, suspect.id, dead, now=now)
        except Busy:
            # Somebody is changing the run, so somebody lives.
            continue
        if done is None:
            continue
        crashed += 1
        services.events.announce([done.state_id])
        await tell_run(
            services, suspect.id, done.message, logger=LOGGER, level=logging.ERROR, now=now
        )
        # If this pass ends before that, Lazarus sees to it.
        written = await crash_left_behind(services.pool, suspect.id, died=now, now=now)
        services.events.announce(written)
    return {"crashed": crashed} if crashed else {}


async def preview_zombies(services: Services, now: dt.datetime | None = None) -> Sequence[str]:
    """What a pass would do now."""
    now = now or utc_now()
    if not services.recovery.zombie_killer:
        return ["the zombie killer is off (TAILRACE_ZOMBIE_KILLER)"]
    async with connection(services.pool) as conn:
        since = await store.listening_since(conn)
    if since is None:
        return ["no API process listens, so no run can be called silent"]
    return [
        f"{suspect.id} {suspect.name}: would become CRASHED, because {why}"
        async for suspect, why in _zombies(services, since, now)
    ]


async def _zombies(
    services: Services, since: dt.datetime, now: dt.datetime
) -> AsyncIterator[tuple[Suspect, str]]:
    after: uuid.UUID = NIL_UUID
    silent_since = now - services.recovery.least_silence
    full = True
    while full:
        async with connection(services.pool) as conn:
            ids = await store.silent_runs(
                conn, "RUNNING", heard_before=silent_since, after=after, limit=PAGE
            )
            found = await store.suspects(conn, ids)
        for suspect in found:
            why = why_dead(suspect, services.recovery, listening_since=since, now=now)
            if why is not None:
                yield suspect, why
        full = len(ids) == PAGE
        after = ids[-1] if ids else after
