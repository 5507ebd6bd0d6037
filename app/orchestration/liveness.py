"""Who was not heard of for too long is no longer online, or no longer ready."""

import datetime as dt
import uuid
from dataclasses import dataclass

from app.orchestration.pool_events import (
    pool_resource,
    status_of_deployment,
    status_of_pool,
    status_of_queue,
)
from app.wire.events import ReceivedEvent
from app.wire.work_pools import AGENT_TYPE
from storage.postgres import liveness
from storage.postgres.events import insert_events
from storage.postgres.pool import Pool, transaction
from storage.postgres.work_queues import POLLED_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How many of each went silent, and the ids of the events that tell of it."""

    workers: int
    pools: int
    queues: int
    deployments: int
    event_ids: list[uuid.UUID]


async def note_silence(pool: Pool, *, now: dt.datetime) -> Silence:
    """Mark the silent, in one transaction with the events that tell of it."""
    since = now - POLLED_WITHIN
    async with transaction(pool) as conn:
        workers = await liveness.mark_silent_workers(conn, now=now)
        pools = await liveness.mark_pools_without_workers(conn)
        queues = await liveness.mark_queues_not_polled(conn, since=since)
        deployments = await liveness.mark_deployments_not_polled(conn, since=since)
        events: list[ReceivedEvent] = [
            status_of_pool(each.id, each.name, each.type, "NOT_READY", now=now)
            for each in pools
            if not each.is_paused and each.type != AGENT_TYPE
        ]
        events.extend(
            status_of_queue(
                each.id,
                each.name,
                pool_resource(each.work_pool_id, each.work_pool_name, each.work_pool_type),
                "NOT_READY",
                now=now,
            )
            for each in queues
            if not each.is_paused
        )
        events.extend(status_of_deployment(each, "NOT_READY", now=now) for each in deployments)
        if events:
            await insert_events(conn, events)
    return Silence(
        workers=workers,
        pools=len(pools),
        queues=len(queues),
        deployments=len(deployments),
        event_ids=[event.id for event in events],
    )
