"""What pollers ask for: runs that are due, each handed out to one of them first.

A run that is handed out for the first time is kept from other pollers for `KEPT_FOR`; if nobody has
claimed it by then, everybody sees it. So pollers are not all given the same first runs, and none can
keep from the others what it has no room for. Who takes a run is decided by the state it proposes,
never here (docs/decisions/007-offers-to-pollers.md).
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.wire.runs import FlowRun
from app.wire.work_pools import QueueFilter
from storage.postgres.pool import Conn
from storage.postgres.run_rows import flow_run_of
from storage.postgres.statements import statement

_READ_QUEUES = statement("read_polled_queues")
_LOCK = statement("lock_offers")
_OFFER_OF_QUEUES = statement("offer_runs_of_queues")
_DUE_OF_FILTER = statement("due_runs_of_queue_filter")
_OFFER_OF_DEPLOYMENTS = statement("offer_runs_of_deployments")
_ANY_DUE = statement("any_due_of_deployments")
_MARK = statement("mark_work_queues_polled")
_FORGET = statement("forget_old_offers")
_RUNS = statement("select_flow_runs") + " WHERE r.id = ANY ($1) AND r.state_type = 'SCHEDULED'"

# Longer, and what a worker has no room for waits longer for another; shorter, and what a worker is
# about to claim is shown to others, who are refused then.
KEPT_FOR = dt.timedelta(seconds=5)
# How long it is remembered that a run was handed out; longer only makes the table larger.
REMEMBERED_FOR = dt.timedelta(seconds=30)
# What a poll writes on its queues may be so much behind; with a hundred pollers only one in many
# has something to write.
MARKED_EVERY = dt.timedelta(seconds=2)

_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
# The queues of all pools take turns by the pool; runs of deployments by this.
_DEPLOYMENTS = "deployments"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledQueue:
    """A queue as a poller finds it. `has_due` also for a queue without room."""

    id: uuid.UUID
    name: str
    is_paused: bool
    last_polled: dt.datetime | None
    has_due: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledPool:
    """A pool as a poller finds it."""

    id: uuid.UUID
    is_paused: bool
    queues: tuple[PolledQueue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a poller asks for: runs due from `after` to `before`, at most `limit`. A poll that is no
    `offer` only looks: it sees all and keeps nothing from others."""

    before: dt.datetime | None
    after: dt.datetime | None = None
    limit: int
    offer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMadeReady:
    """A queue that was not ready before it was polled, and its pool."""

    id: uuid.UUID
    name: str
    is_paused: bool
    work_pool_id: uuid.UUID
    work_pool_name: str
    work_pool_type: str


async def read_polled_queues(
    conn: Conn, pool_name: str, queue_names: Sequence[str], *, before: dt.datetime | None
) -> PolledPool | None:
    """The pool with its queues (those named, or all), by priority; None if there is no such pool."""
    rows = await conn.fetch(_READ_QUEUES, pool_name, queue_names, before or _EVER)
    if not rows:
        return None
    return PolledPool(
        id=rows[0]["work_pool_id"],
        is_paused=rows[0]["pool_is_paused"],
        queues=tuple(
            PolledQueue(
                id=row["id"],
                name=row["name"],
                is_paused=row["is_paused"],
                last_polled=row["last_polled"],
                has_due=row["has_due"],
            )
            for row in rows
            if row["id"] is not None
        ),
    )


async def choose_of_queues(
    conn: Conn,
    work_pool_id: uuid.UUID,
    queue_ids: Sequence[uuid.UUID],
    wanted: Wanted,
    *,
    now: dt.datetime,
) -> list[uuid.UUID]:
    """Runs for one poller, in the order to hand them out. An offer needs a transaction, and pollers
    of the same pool take turns until it ends."""
    if wanted.offer:
        await conn.execute(_LOCK, str(work_pool_id))
    rows = await conn.fetch(
        _OFFER_OF_QUEUES,
        work_pool_id,
        queue_ids,
        wanted.before or _EVER,
        wanted.after or _NEVER,
        _kept_since(wanted, now),
        now,
        wanted.limit,
        wanted.offer,
    )
    return [row["id"] for row in rows]


async def choose_of_filter(
    conn: Conn, queue_id: uuid.UUID, queue_filter: QueueFilter, wanted: Wanted
) -> list[uuid.UUID]:
    """Runs that the filter of an old queue picks, in whatever queue they are, first due first. They
    are kept from nobody: two such queues may pick the same runs."""
    rows = await conn.fetch(
        _DUE_OF_FILTER,
        queue_id,
        queue_filter.tags,
        queue_filter.deployment_ids,
        wanted.before or _EVER,
        wanted.limit,
    )
    return [row["id"] for row in rows]


async def choose_of_deployments(
    conn: Conn, deployment_ids: Sequence[uuid.UUID], wanted: Wanted, *, now: dt.datetime
) -> list[uuid.UUID]:
    """As `choose_of_queues`, for the process that serves these deployments."""
    if wanted.offer:
        await conn.execute(_LOCK, _DEPLOYMENTS)
    rows = await conn.fetch(
        _OFFER_OF_DEPLOYMENTS,
        list(set(deployment_ids)),
        wanted.before or _EVER,
        _kept_since(wanted, now),
        now,
        wanted.limit,
        wanted.offer,
    )
    return [row["id"] for row in rows]


def _kept_since(wanted: Wanted, now: dt.datetime) -> dt.datetime:
    return now - KEPT_FOR if wanted.offer else _EVER


async def any_due(
    conn: Conn, deployment_ids: Sequence[uuid.UUID], *, before: dt.datetime | None
) -> bool:
    """Whether a run of these deployments is due."""
    due: bool = await conn.fetchval(_ANY_DUE, deployment_ids, before or _EVER)
    return due


async def read_chosen(conn: Conn, ids: Sequence[uuid.UUID], *, now: dt.datetime) -> list[FlowRun]:
    """The runs in this order, without those that somebody has taken meanwhile."""
    if not ids:
        return []
    runs = {row["id"]: flow_run_of(row, now) for row in await conn.fetch(_RUNS, ids)}
    return [runs[id] for id in ids if id in runs]


async def mark_queues_polled(
    conn: Conn, queue_ids: Sequence[uuid.UUID], *, now: dt.datetime
) -> list[QueueMadeReady]:
    """Somebody polls these queues: they are READY. Gives those that were not before."""
    return [
        QueueMadeReady(
            id=row["id"],
            name=row["name"],
            is_paused=row["is_paused"],
            work_pool_id=row["work_pool_id"],
            work_pool_name=row["work_pool_name"],
            work_pool_type=row["work_pool_type"],
        )
        for row in await conn.fetch(_MARK, queue_ids, now, now - MARKED_EVERY)
    ]


async def forget_old_offers(conn: Conn, *, now: dt.datetime) -> None:
    """Delete what is too old to matter."""
    await conn.execute(_FORGET, now - REMEMBERED_FOR)
