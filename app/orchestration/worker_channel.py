"""A worker is let onto the channel of its pool, and heard there.

What is not there yet is made on the way, as the worker asks: the pool, or its template. All of it
is one transaction, so that a worker that is refused has changed nothing.
"""

import datetime as dt
from dataclasses import dataclass

from app.orchestration.work_pools import (
    EventIds,
    change_locked_pool,
    hear_worker,
    insert_pool_with_events,
)
from app.rules.job_templates import why_unusable
from app.rules.pool_names import is_name, is_reserved
from app.wire.base import Json
from app.wire.work_pools import WorkerHeartbeat, WorkPool, WorkPoolCreate, WorkPoolUpdate, WorkQueue
from app.wire.worker_channel import VERSION, CloseReason, Heartbeat, Hello
from storage.errors import NotFound
from storage.postgres import work_pools
from storage.postgres.pool import Conn, Pool, transaction
from storage.postgres.work_queues import queues_of_pool


class ChannelRefused(Exception):
    """The worker may not have a channel; `reason` is what it is told."""

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(reason)
        self.reason: CloseReason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The pool and the queues that the worker serves, and the events that were committed."""

    pool: WorkPool
    queues: list[WorkQueue]
    event_ids: EventIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The pool of a worker that was heard: when it was last changed, and whether the heartbeat made
    it ready."""

    pool_updated: dt.datetime
    became_ready: bool
    event_ids: EventIds


async def admit_worker(pool: Pool, pool_name: str, hello: Hello, *, now: dt.datetime) -> Admitted:
    """The worker counts as heard from now on.

    Raises:
        ChannelRefused: it speaks another version, or asks for what is not there or cannot be.
    """
    if VERSION not in hello.supported_channel_versions:
        raise ChannelRefused("unsupported_version")
    async with transaction(pool) as conn:
        found, made = await _pool(conn, pool_name, hello, now=now)
        queues = _named(await queues_of_pool(conn, found.id), hello.work_queue_names)
        beat = WorkerHeartbeat(
            name=hello.worker_name, heartbeat_interval_seconds=hello.heartbeat_interval_seconds
        )
        # Workers before their pool, as whoever marks silent ones locks them.
        _, heard = await hear_worker(conn, pool_name, beat, now=now)
        filled = await _fill_template(conn, found, hello, now=now)
        return Admitted(
            pool=await work_pools.read_pool(conn, pool_name),
            queues=queues,
            event_ids=[*made, *heard, *filled],
        )


async def hear_on_channel(
    pool: Pool, pool_name: str, heartbeat: Heartbeat, *, now: dt.datetime
) -> Heard:
    """Raises NotFound for a pool that is no longer there."""
    beat = WorkerHeartbeat(
        name=heartbeat.worker_name,
        heartbeat_interval_seconds=heartbeat.heartbeat_interval_seconds,
    )
    async with transaction(pool) as conn:
        heard, event_ids = await hear_worker(conn, pool_name, beat, now=now)
    return Heard(pool_updated=heard.updated, became_ready=heard.became_ready, event_ids=event_ids)


async def _pool(
    conn: Conn, name: str, hello: Hello, *, now: dt.datetime
) -> tuple[WorkPool, EventIds]:
    """The pool, made if it is not there and the worker asks for it."""
    try:
        return await work_pools.read_pool(conn, name), []
    except NotFound:
        if not hello.create_pool_if_not_found or is_reserved(name):
            raise ChannelRefused("authorization_failed") from None
    if not is_name(name):
        raise ChannelRefused("protocol_error")
    create = WorkPoolCreate(
        name=name, type=hello.worker_type, base_job_template=_usable_template(hello)
    )
    made = await insert_pool_with_events(conn, create, now=now)
    if made is None:
        # Another worker was faster.
        return await work_pools.read_pool(conn, name), []
    return made


def _named(queues: list[WorkQueue], names: list[str]) -> list[WorkQueue]:
    if not names:
        return queues
    by_name = {queue.name: queue for queue in queues}
    try:
        return [by_name[name] for name in dict.fromkeys(names)]
    except KeyError:
        raise ChannelRefused("authorization_failed") from None


async def _fill_template(
    conn: Conn, found: WorkPool, hello: Hello, *, now: dt.datetime
) -> EventIds:
    if found.base_job_template or not hello.default_base_job_template:
        return []
    update = WorkPoolUpdate(base_job_template=_usable_template(hello))
    before = await work_pools.lock_pool(conn, found.name)
    if before.base_job_template:
        return []
    _, event_ids = await change_locked_pool(conn, before, update, now=now)
    return event_ids


def _usable_template(hello: Hello) -> Json:
    if why_unusable(hello.default_base_job_template) is not None:
        raise ChannelRefused("protocol_error")
    return hello.default_base_job_template
