"""The events that tell of work pools, work queues and deployments as things that may be ready."""

import datetime as dt
import uuid
from collections.abc import Mapping

from app.wire.base import Json, new_id
from app.wire.events import EMPTY_PAYLOAD, ReceivedEvent, Resource, raw_json

Changes = Mapping[str, tuple[object, object]]

# What a status is called in the name of an event.
STATUS_WORDS = {"READY": "ready", "NOT_READY": "not-ready", "PAUSED": "paused"}


def pool_resource(id: uuid.UUID, name: str, type: str) -> Resource:
    """A pool as the subject of an event, or as related to it."""
    return {
        "prefect.resource.id": f"prefect.work-pool.{id}",
        "prefect.resource.name": name,
        "prefect.work-pool.type": type,
        "prefect.resource.role": "work-pool",
    }


def queue_resource(id: uuid.UUID, name: str) -> Resource:
    """A queue as the subject of an event, or as related to it."""
    return {
        "prefect.resource.id": f"prefect.work-queue.{id}",
        "prefect.resource.name": name,
        "prefect.resource.role": "work-queue",
    }


def status_of_pool(
    id: uuid.UUID, name: str, type: str, status: str, *, now: dt.datetime
) -> ReceivedEvent:
    """`prefect.work-pool.ready`, `.not-ready`, `.paused`."""
    resource = pool_resource(id, name, type)
    del resource["prefect.resource.role"]
    return happened(f"prefect.work-pool.{STATUS_WORDS[status]}", resource, now=now)


def status_of_queue(
    id: uuid.UUID, name: str, pool: Resource, status: str, *, now: dt.datetime
) -> ReceivedEvent:
    """`prefect.work-queue.ready`, `.not-ready`, `.paused`."""
    word = STATUS_WORDS[status]
    return happened(f"prefect.work-queue.{word}", queue_resource(id, name), related=[pool], now=now)


def updated(
    kind: str, resource: Resource, changes: Changes, *, related: list[Resource], now: dt.datetime
) -> ReceivedEvent:
    """`prefect.{kind}.updated`: each changed field with what it was and what it is."""
    payload: Json = {
        "updated_fields": list(changes),
        "updates": {name: {"from": old, "to": new} for name, (old, new) in changes.items()},
    }
    return happened(f"prefect.{kind}.updated", resource, related=related, payload=payload, now=now)


def happened(
    name: str,
    resource: Resource,
    *,
    related: list[Resource] | None = None,
    payload: Json | None = None,
    now: dt.datetime,
) -> ReceivedEvent:
    """An event of the server's own making."""
    return ReceivedEvent(
        id=new_id(),
        occurred=now,
        received=now,
        event=name,
        resource=resource,
        related=related or [],
        payload=raw_json(payload) if payload is not None else EMPTY_PAYLOAD,
    )
