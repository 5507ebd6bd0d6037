"""Runs that may be dead, what was found dead, and what became of it."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

import asyncpg

from app.wire.base import NIL_UUID
from app.wire.recovery import Suspect
from app.wire.states import StateType
from storage.postgres.pool import Conn
from storage.postgres.signs_of_life import LONGEST_BREAK
from storage.postgres.statements import statement

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
_COUNT_RESURRECTIONS = statement("count_resurrections")
_MAKE_READY = statement("make_ready_for_new_process")
_LEFT_BEHIND = statement("left_behind")

Outcome = Literal["rescheduled", "left", "moved on"]
MAX_LOOK_UPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """`moved_on` when the run has another state by now."""

    state_id: uuid.UUID
    flow_run_id: uuid.UUID
    moved_on: bool


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


async def suspects(
    conn: Conn,
    state_type: StateType,
    *,
    heard_before: dt.datetime,
    only: uuid.UUID | None = None,
    after: uuid.UUID = NIL_UUID,
    limit: int = 1,
) -> list[Suspect]:
    """Runs of their own process in this state that have been silent, in the order of their ids: a
    page of those that are scheduled, pending or running, or the `only` one in any state."""
    if only is not None:
        rows = await conn.fetch(_SUSPECT, state_type, heard_before, only)
    else:
        rows = await conn.fetch(_SUSPECTS_AFTER, state_type, heard_before, after, limit)
    return [_suspect_of(row) for row in rows]


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
    )


async def unsettled_deaths(conn: Conn, limit: int) -> list[Death]:
    """Deaths that Lazarus has not dealt with, oldest first."""
    return [
        Death(
            state_id=row["state_id"],
            flow_run_id=row["flow_run_id"],
            moved_on=row["current_state_id"] != row["state_id"],
        )
        for row in await conn.fetch(_UNSETTLED_DEATHS, limit)
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


async def count_resurrections(conn: Conn, flow_run_id: uuid.UUID) -> int:
    """How often Lazarus has put the run back."""
    count: int = await conn.fetchval(_COUNT_RESURRECTIONS, flow_run_id)
    return count


async def make_ready_for_new_process(conn: Conn, flow_run_id: uuid.UUID) -> None:
    """Clear what the dead process left on the run."""
    await conn.execute(_MAKE_READY, flow_run_id)


async def left_behind(
    conn: Conn, flow_run_id: uuid.UUID, limit: int
) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Task runs and subflow runs that the dead process had in hand."""
    rows = await conn.fetch(_LEFT_BEHIND, flow_run_id, limit)
    return (
        [row["id"] for row in rows if not row["is_flow_run"]],
        [row["id"] for row in rows if row["is_flow_run"]],
    )
