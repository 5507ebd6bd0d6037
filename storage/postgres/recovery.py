"""Runs that may be dead, what was found dead, and what became of it."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

from app.wire.recovery import Suspect, WaitsIn
from storage.postgres.pool import Conn
from storage.postgres.signs_of_life import LONGEST_BREAK
from storage.postgres.statements import statement

_SILENT_RUNS = statement("silent_runs")
_OVERDUE_RUNS = statement("overdue_runs")
_SUSPECTS = statement("suspects")
# In these words the planner finds the index that holds the runs of these states only.
_SUSPECTS_AFTER = (
    f"{_SUSPECTS} AND r.state_type IN ('SCHEDULED', 'PENDING', 'RUNNING') AND r.id > $3"
    " ORDER BY r.id LIMIT $4"
)
_SUSPECT = f"{_SUSPECTS} AND r.id = $3"
_READ_WATCH = statement("read_watch")
_LOOK_UP_BEATS = statement("look_up_beats")
_PRUNE_SIGNS = statement("prune_signs")
_UNSETTLED_DEATHS = statement("unsettled_deaths")
_RECORD_DEATH = statement("record_death")
_SETTLE_DEATH = statement("settle_death")
_MAKE_READY = statement("make_ready_for_new_process")
_OFFER_ANEW = statement("offer_anew")
_LEFT_BEHIND = statement("left_behind")

Outcome = Literal["rescheduled", "left", "moved on"]
MAX_LOOK_UPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """`moved_on` when the run has another state by now; `has_left_behind` when something of its
    process may still be called running."""

    state_id: uuid.UUID
    flow_run_id: uuid.UUID
    created: dt.datetime
    moved_on: bool
    has_left_behind: bool


async def listening_since(conn: Conn) -> dt.datetime | None:
    """Since when somebody has listened without a break; None when nobody listens now."""
    since: dt.datetime | None = await conn.fetchval(_READ_WATCH, LONGEST_BREAK)
    return since


async def look_up_beats(conn: Conn, *, heard_before: dt.datetime) -> None:
    """Learn from the event stream what runs promised before the signs were lost."""
    await conn.execute(_LOOK_UP_BEATS, heard_before, MAX_LOOK_UPS)


async def prune_signs(conn: Conn, *, heard_before: dt.datetime) -> int:
    """Forget the signs of runs that have ended; gives how many."""
    tag: str = await conn.execute(_PRUNE_SIGNS, heard_before)
    return int(tag.rpartition(" ")[2])


async def silent_runs(
    conn: Conn,
    state_type: Literal["PENDING", "RUNNING"],
    *,
    heard_before: dt.datetime,
    after: uuid.UUID,
    limit: int,
) -> list[uuid.UUID]:
    """Runs of their own process in this state that have been silent, in the order of their ids. Their
    subflows may have been heard since."""
    rows = await conn.fetch(_SILENT_RUNS, state_type, heard_before, after, limit)
    return [row["id"] for row in rows]


async def overdue_runs(
    conn: Conn,
    *,
    due_before: dt.datetime,
    polled_since: dt.datetime,
    after: tuple[dt.datetime, uuid.UUID],
    limit: int,
) -> list[tuple[dt.datetime, uuid.UUID]]:
    """SCHEDULED runs that nobody can take, or nobody takes who could, in the order of when they were
    due and their ids."""
    rows = await conn.fetch(_OVERDUE_RUNS, due_before, polled_since, *after, limit)
    return [(row["due"], row["id"]) for row in rows]


async def suspects(conn: Conn, ids: Sequence[uuid.UUID]) -> list[Suspect]:
    """What is known of these runs, in the order of their ids; of those that are there."""
    return [_suspect_of(row) for row in await conn.fetch(_SUSPECTS, ids)] if ids else []


def _suspect_of(row: asyncpg.Record) -> Suspect:
    retries, delay = row["retries"], row["retry_delay"]
    return Suspect(
        id=row["id"],
        name=row["name"],
        state_id=row["state_id"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        run_count=row["run_count"],
        tags=tuple(row["tags"]),
        labels=row["labels"],
        retries=int(retries) if retries is not None else None,
        retry_delay=float(delay or 0),
        retry_type=row["retry_type"],
        deployment_id=row["deployment_id"],
        deployment_tags=tuple(row["deployment_tags"] or ()),
        deployment_labels=row["deployment_labels"] or {},
        work_queue_id=row["work_queue_id"],
        deployment_queue=row["deployment_queue"],
        deployment_polled=row["deployment_polled"],
        due=row["next_scheduled_start_time"],
        entered=row["entered"],
        last_heard=row["last_heard"],
        last_beat=row["last_beat"],
        gap=row["gap"],
        earlier_gap=row["earlier_gap"],
        worker_name=row["worker_name"],
        worker_status=row["worker_status"],
        worker_heard=row["worker_heard"],
        infrastructure_pid=row["infrastructure_pid"],
        put_back=row["put_back"],
        waits_in=None
        if row["pool_name"] is None
        else WaitsIn(
            queue=row["queue_name"],
            pool=row["pool_name"],
            polled=row["queue_polled"],
            online_since=row["online_since"],
            is_paused=row["is_paused"],
            is_full=row["is_full"],
            at_work=row["at_work"],
        ),
    )


async def unsettled_deaths(
    conn: Conn, *, after: tuple[dt.datetime, uuid.UUID], limit: int
) -> list[Death]:
    """Deaths that Lazarus has not dealt with, oldest first, from the one after that on."""
    return [
        Death(
            state_id=row["state_id"],
            flow_run_id=row["flow_run_id"],
            created=row["created"],
            moved_on=row["current_state_id"] != row["state_id"],
            has_left_behind=row["has_left_behind"],
        )
        for row in await conn.fetch(_UNSETTLED_DEATHS, *after, limit)
    ]


async def record_death(
    conn: Conn,
    state_id: uuid.UUID,
    flow_run_id: uuid.UUID,
    *,
    now: dt.datetime,
    outcome: Outcome | None = None,
    reason: str | None = None,
) -> bool:
    """Write down a death; False when it is known already, which must not be dealt with twice."""
    settled = now if outcome is not None else None
    done = await conn.fetchval(_RECORD_DEATH, state_id, flow_run_id, now, settled, outcome, reason)
    return done is not None


async def settle_death(
    conn: Conn, state_id: uuid.UUID, outcome: Outcome, reason: str, *, now: dt.datetime
) -> bool:
    """Write down what became of it; False when that was done already."""
    return await conn.fetchval(_SETTLE_DEATH, state_id, now, outcome, reason) is not None


async def make_ready_for_new_process(conn: Conn, flow_run_id: uuid.UUID) -> None:
    """Clear what the dead process left on the run."""
    await conn.execute(_MAKE_READY, flow_run_id)


async def offer_anew(conn: Conn, flow_run_id: uuid.UUID) -> None:
    """Forget to whom the run was offered."""
    await conn.execute(_OFFER_ANEW, flow_run_id)


async def left_behind(
    conn: Conn, flow_run_id: uuid.UUID, *, died: dt.datetime, limit: int
) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Task runs and subflow runs that the process which died then had in hand."""
    rows = await conn.fetch(_LEFT_BEHIND, flow_run_id, died, limit)
    return (
        [row["id"] for row in rows if not row["is_flow_run"]],
        [row["id"] for row in rows if row["is_flow_run"]],
    )
