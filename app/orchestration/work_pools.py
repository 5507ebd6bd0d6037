"""Work pools are made, changed and deleted, and workers heard, with the events that tell of it.

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
    status_of_pool,
    updated,
)
from app.orchestration.refusal import Refused
from app.rules.job_variables import blocks_of_defaults, why_defaults_unfit
from app.rules.json_schema import CircularSchema
from app.wire.base import Json, new_id
from app.wire.events import ReceivedEvent, Resource
from app.wire.work_pools import (
    AGENT_TYPE,
    WorkerHeartbeat,
    WorkPool,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from storage.errors import Conflict, NotFound
from storage.postgres import work_pools, work_queues, workers
from storage.postgres.blocks import read_documents
from storage.postgres.events import insert_events
from storage.postgres.pool import Conn, Pool, transaction

EventIds = list[uuid.UUID]

# The processes that hold a channel to a worker of the pool hear of its changes here.
CHANNEL = "work_pool"
_FOLLOWED_FIELDS = ("base_job_template", "concurrency_limit", "is_paused", "storage_configuration")
_TOLD_FIELDS = ("description", "base_job_template", "concurrency_limit", "storage_configuration")


async def create_work_pool(
    pool: Pool, create: WorkPoolCreate, *, now: dt.datetime
) -> tuple[WorkPool, EventIds]:
    """Make a pool.

    Raises:
        Conflict: the name is taken.
        NotFound: a block document that stands for a default is not there.
        Refused: a default of a job variable does not fit.
    """
    async with transaction(pool) as conn:
        await _check_defaults(conn, create.base_job_template)
        made = await insert_pool_with_events(conn, create, now=now)
        if made is None:
            raise Conflict("work_pool_name_is_unique", "The name is taken.")
        return made


async def _check_defaults(conn: Conn, template: Json) -> None:
    try:
        why = why_defaults_unfit(template)
    except CircularSchema as error:
        raise Refused("unprocessable", str(error)) from error
    if why is not None:
        raise Refused(
            "unprocessable", f"Validation failed for work pool's job variable defaults: {why}"
        )
    try:
        ids = {uuid.UUID(id) for id in blocks_of_defaults(template)}
    except ValueError as error:
        raise NotFound("Block not found.") from error
    if ids and len(await read_documents(conn, list(ids))) < len(ids):
        raise NotFound("Block not found.")


async def insert_pool_with_events(
    conn: Conn, create: WorkPoolCreate, *, now: dt.datetime
) -> tuple[WorkPool, EventIds] | None:
    """The new pool; None when the name is taken."""
    queue_id = new_id()
    if not await work_pools.insert_pool(
        conn, create, id=new_id(), default_queue_id=queue_id, now=now
    ):
        return None
    made = await work_pools.read_pool(conn, create.name)
    resource = pool_resource(made.id, made.name, made.type)
    queue = queue_resource(queue_id, work_pools.DEFAULT_QUEUE)
    events = [
        happened("prefect.work-queue.created", queue, related=[resource], now=now),
        happened("prefect.work-pool.created", resource, related=_related(made), now=now),
    ]
    if made.status is not None:
        events.append(status_of_pool(made.id, made.name, made.type, made.status, now=now))
    return made, await _kept(conn, events)


async def update_work_pool(
    pool: Pool, name: str, update: WorkPoolUpdate, *, now: dt.datetime
) -> EventIds:
    """Raises NotFound."""
    async with transaction(pool) as conn:
        before = await work_pools.lock_pool(conn, name)
        _, event_ids = await change_locked_pool(conn, before, update, now=now)
        return event_ids


async def change_locked_pool(
    conn: Conn, before: WorkPool, update: WorkPoolUpdate, *, now: dt.datetime
) -> tuple[WorkPool, EventIds]:
    """The pool as it is afterwards."""
    await work_pools.update_pool(conn, before.id, update, now=now)
    after = await work_pools.read_pool(conn, before.name)
    if any(getattr(update, name) is not msgspec.UNSET for name in _FOLLOWED_FIELDS):
        await tell_channels(conn, before.id)
    return after, await _kept(conn, _events_of_change(before, after, now))


async def delete_work_pool(pool: Pool, name: str, *, now: dt.datetime) -> EventIds:
    """Delete it with its queues and workers. Raises NotFound."""
    async with transaction(pool) as conn:
        gone = await work_pools.lock_pool(conn, name)
        queues = await work_queues.queues_of_pool(conn, gone.id)
        await work_pools.delete_pool(conn, gone.id)
        await tell_channels(conn, gone.id)
        resource = pool_resource(gone.id, gone.name, gone.type)
        events = [
            happened(
                "prefect.work-queue.deleted",
                queue_resource(queue.id, queue.name),
                related=[resource],
                now=now,
            )
            for queue in queues
        ]
        events.append(
            happened("prefect.work-pool.deleted", resource, related=_related(gone), now=now)
        )
        return await _kept(conn, events)


async def record_heartbeat(
    pool: Pool, pool_name: str, heartbeat: WorkerHeartbeat, *, now: dt.datetime
) -> EventIds:
    """A worker says that it is there. Raises NotFound for a pool that is not there."""
    async with transaction(pool) as conn:
        _, event_ids = await hear_worker(conn, pool_name, heartbeat, now=now)
        return event_ids


async def hear_worker(
    conn: Conn, pool_name: str, heartbeat: WorkerHeartbeat, *, now: dt.datetime
) -> tuple[workers.PoolOfWorker, EventIds]:
    """As `record_heartbeat`, in a transaction that is open already; gives the worker's pool too."""
    heard = await workers.record_heartbeat(conn, pool_name, heartbeat, id=new_id(), now=now)
    if not heard.became_ready or heard.is_paused or heard.type == AGENT_TYPE:
        return heard, []
    ready = status_of_pool(heard.id, heard.name, heard.type, "READY", now=now)
    return heard, await _kept(conn, [ready])


async def tell_channels(conn: Conn, work_pool_id: uuid.UUID) -> None:
    """Wake whoever follows the pool, once this is committed."""
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, work_pool_id.hex)


def _events_of_change(before: WorkPool, after: WorkPool, now: dt.datetime) -> list[ReceivedEvent]:
    events = []
    changes: Changes = {
        name: (getattr(before, name), getattr(after, name))
        for name in _TOLD_FIELDS
        if getattr(before, name) != getattr(after, name)
    }
    if changes:
        resource = pool_resource(after.id, after.name, after.type)
        events.append(updated("work-pool", resource, changes, related=[], now=now))
    if after.status is not None and after.status != before.status:
        events.append(status_of_pool(after.id, after.name, after.type, after.status, now=now))
    return events


def _related(pool: WorkPool) -> list[Resource]:
    related: list[Resource] = []
    if pool.default_queue_id is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.work-queue.{pool.default_queue_id}",
                "prefect.resource.role": "default-queue",
            }
        )
    block_id = pool.storage_configuration.default_result_storage_block_id
    if block_id is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.block-document.{block_id}",
                "prefect.resource.role": "result-storage",
            }
        )
    return related


async def _kept(conn: Conn, events: list[ReceivedEvent]) -> EventIds:
    if events:
        await insert_events(conn, events)
    return [event.id for event in events]
