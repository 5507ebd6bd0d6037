"""The events that tell of work pools, work queues and deployments as things that may be ready."""

import datetime as dt
import uuid
from collections.abc import Mapping

from app.wire.base import Json, new_id
from app.wire.events import EMPTY_PAYLOAD, ReceivedEvent, Resource, raw_json
from storage.postgres.liveness import DeploymentSubject

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


def status_of_deployment(
    deployment: DeploymentSubject, status: str, *, now: dt.datetime
) -> ReceivedEvent:
    """`prefect.deployment.ready`, `.not-ready`."""
    related: list[Resource] = [
        {
            "prefect.resource.id": f"prefect.flow.{deployment.flow_id}",
            "prefect.resource.name": deployment.flow_name,
            "prefect.resource.role": "flow",
        }
    ]
    if deployment.work_queue_id is not None:
        related.append(queue_resource(deployment.work_queue_id, deployment.work_queue_name or ""))
    if deployment.work_pool_id is not None:
        related.append(
            pool_resource(
                deployment.work_pool_id,
                deployment.work_pool_name or "",
                deployment.work_pool_type or "",
            )
        )
    return happened(
        f"prefect.deployment.{STATUS_WORDS[status]}",
        {
            "prefect.resource.id": f"prefect.deployment.{deployment.id}",
            "prefect.resource.name": deployment.name,
        },
        related=related,
        now=now,
    )
