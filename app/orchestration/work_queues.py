"""Work queues are made, changed and deleted, with the events that tell of it.

Each function is one transaction; what it gives besides its result are the ids of the events that
it committed, for the caller to announce.
"""

import datetime as dt
import uuid

import msgspec

from app.orchestration.pool_events import (
    Changes,
    happened,
    pool_resource,
    queue_resource,
    status_of_queue,
    updated,
)
from app.rules.queue_priorities import first_free, make_room
from app.wire.base import new_id
from app.wire.events import ReceivedEvent
from app.wire.work_pools import (
    DEFAULT_AGENT_POOL,
    WorkPool,
    WorkQueue,
    WorkQueueCreate,
    WorkQueueUpdate,
)
from storage.errors import Conflict, NotFound
from storage.postgres import work_pools, work_queues
from storage.postgres.events import insert_events
from storage.postgres.pool import Conn, Pool, transaction

_TOLD_FIELDS = ("name", "description", "concurrency_limit", "priority")


class DefaultQueue(Exception):
    """The default queue of a pool cannot be deleted."""


async def create_work_queue(
    pool: Pool, pool_name: str | None, create: WorkQueueCreate, *, now: dt.datetime
) -> tuple[WorkQueue, list[uuid.UUID]]:
    """A new queue; who has its priority moves back. Without a pool it belongs to that of the old
    agents, which is made if need be.

    Raises:
        NotFound: there is no such pool.
        Conflict: the name is taken in the pool.
    """
    async with transaction(pool) as conn:
        if pool_name is None:
            await work_queues.ensure_agent_pool(conn, now=now)
        of_pool = await work_pools.read_pool(conn, pool_name or DEFAULT_AGENT_POOL)
        priorities = await work_queues.lock_priorities(conn, of_pool.name, of_pool.id)
        id = new_id()
        priority = create.priority if create.priority is not None else first_free(priorities)
        if not await work_queues.insert_queue(
            conn, of_pool.id, create, id=id, priority=priority, now=now
        ):
            raise Conflict("work_queue_name_is_unique", "The name is taken.")
        await _move(conn, priorities, id, priority, now)
        made = await work_queues.read_queue(conn, id)
        if made is None:
            raise NotFound("The work pool was just deleted.")
        return made, await _tell(conn, [_happened("created", made, of_pool, now)])


async def update_work_queue(
    pool: Pool, queue: WorkQueue, update: WorkQueueUpdate, *, now: dt.datetime
) -> list[uuid.UUID]:
    """Change what the update names; who has its new priority moves back.

    Raises:
        NotFound: the queue has just been deleted.
        Conflict: the name is taken in the pool.
    """
    async with transaction(pool) as conn:
        of_pool, before = await _locked(conn, queue)
        await work_queues.update_queue(conn, queue.id, update, now=now)
        if update.priority is not msgspec.UNSET:
            priorities = await work_queues.lock_priorities(conn, of_pool.name, of_pool.id)
            await _move(conn, priorities, queue.id, update.priority, now)
        after = await work_queues.read_queue(conn, queue.id)
        if after is None:
            raise NotFound("The work queue was just deleted.")
        return await _tell(conn, _events_of_change(before, after, of_pool, now))


async def delete_work_queue(pool: Pool, queue: WorkQueue, *, now: dt.datetime) -> list[uuid.UUID]:
    """Raises NotFound for one that has just been deleted, DefaultQueue for that of its pool."""
    async with transaction(pool) as conn:
        of_pool, gone = await _locked(conn, queue)
        if of_pool.default_queue_id == gone.id:
            raise DefaultQueue("Can't delete a pool's default queue.")
        await work_queues.delete_queue(conn, gone.id)
        return await _tell(conn, [_happened("deleted", gone, of_pool, now)])


async def _locked(conn: Conn, queue: WorkQueue) -> tuple[WorkPool, WorkQueue]:
    of_pool = await work_pools.lock_pool(conn, queue.work_pool_name or DEFAULT_AGENT_POOL)
    now_there = await work_queues.read_queue(conn, queue.id)
    if now_there is None:
        raise NotFound("The work queue was just deleted.")
    return of_pool, now_there


async def _move(
    conn: Conn, priorities: dict[uuid.UUID, int], id: uuid.UUID, priority: int, now: dt.datetime
) -> None:
    await work_queues.write_priorities(conn, make_room(priorities, id, priority), now=now)


def _happened(word: str, queue: WorkQueue, of_pool: WorkPool, now: dt.datetime) -> ReceivedEvent:
    return happened(
        f"prefect.work-queue.{word}",
        queue_resource(queue.id, queue.name),
        related=[pool_resource(of_pool.id, of_pool.name, of_pool.type)],
        now=now,
    )


def _events_of_change(
    before: WorkQueue, after: WorkQueue, of_pool: WorkPool, now: dt.datetime
) -> list[ReceivedEvent]:
    events = []
    related = pool_resource(of_pool.id, of_pool.name, of_pool.type)
    changes: Changes = {
        name: (getattr(before, name), getattr(after, name))
        for name in _TOLD_FIELDS
        if getattr(before, name) != getattr(after, name)
    }
    if changes:
        resource = queue_resource(after.id, after.name)
        events.append(updated("work-queue", resource, changes, related=[related], now=now))
    if after.status is not None and after.status != before.status:
        events.append(status_of_queue(after.id, after.name, related, after.status, now=now))
    return events


async def _tell(conn: Conn, events: list[ReceivedEvent]) -> list[uuid.UUID]:
    if events:
        await insert_events(conn, events)
    return [event.id for event in events]
