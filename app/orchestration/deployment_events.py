"""The events that tell of deployments being made, changed and deleted."""

import datetime as dt
import uuid

from app.wire.base import Json, new_id
from app.wire.deployments import Deployment
from app.wire.events import EMPTY_PAYLOAD, ReceivedEvent, Resource, raw_json
from storage.postgres.deployments import Surroundings

# The fields whose change is told, and the names they are told by.
_TOLD = {
    "description": "description",
    "tags": "tags",
    "parameters": "parameters",
    "parameter_openapi_schema": "parameter_openapi_schema",
    "enforce_parameter_schema": "enforce_parameter_schema",
    "entrypoint": "entrypoint",
    "path": "path",
    "pull_steps": "pull_steps",
    "work_queue_id": "work_queue_id",
    "infra_overrides": "job_variables",
    "paused": "paused",
    "labels": "labels",
    "version": "version",
    "concurrency_options": "concurrency_options",
}


def created_event(
    deployment: Deployment, around: Surroundings, *, now: dt.datetime
) -> ReceivedEvent:
    """`prefect.deployment.created`."""
    return _event("created", deployment, around, now)


def deleted_event(
    deployment: Deployment, around: Surroundings, *, now: dt.datetime
) -> ReceivedEvent:
    """`prefect.deployment.deleted`."""
    return _event("deleted", deployment, around, now)


def updated_event(
    before: Deployment, after: Deployment, around: Surroundings, *, now: dt.datetime
) -> ReceivedEvent | None:
    """`prefect.deployment.updated`; none if nothing that is told has changed."""
    changes: Json = {
        told: {"from": getattr(before, field), "to": getattr(after, field)}
        for told, field in _TOLD.items()
        if getattr(before, field) != getattr(after, field)
    }
    limits = (_limit_id(before), _limit_id(after))
    if limits[0] != limits[1]:
        changes["concurrency_limit_id"] = {"from": limits[0], "to": limits[1]}
    if not changes:
        return None
    return _event(
        "updated", after, around, now, {"updated_fields": list(changes), "updates": changes}
    )


def _limit_id(deployment: Deployment) -> uuid.UUID | None:
    limit = deployment.global_concurrency_limit
    return limit.id if limit is not None else None


def _event(
    what: str,
    deployment: Deployment,
    around: Surroundings,
    now: dt.datetime,
    payload: Json | None = None,
) -> ReceivedEvent:
    return ReceivedEvent(
        id=new_id(),
        occurred=now,
        received=now,
        event=f"prefect.deployment.{what}",
        resource={
            "prefect.resource.id": f"prefect.deployment.{deployment.id}",
            "prefect.resource.name": deployment.name,
        },
        related=_related(deployment, around),
        payload=raw_json(payload) if payload is not None else EMPTY_PAYLOAD,
    )


def _resource(kind: str, id: uuid.UUID, role: str, name: str | None = None) -> Resource:
    resource: Resource = {
        "prefect.resource.id": f"prefect.{kind}.{id}",
        "prefect.resource.role": role,
    }
    if name is not None:
        resource["prefect.resource.name"] = name
    return resource


def _related(deployment: Deployment, around: Surroundings) -> list[Resource]:
    related = [_resource("flow", deployment.flow_id, "flow", around.flow_name)]
    if deployment.work_queue_id is not None:
        related.append(
            _resource("work-queue", deployment.work_queue_id, "work-queue", around.work_queue_name)
        )
    if around.work_pool_id is not None:
        pool = _resource("work-pool", around.work_pool_id, "work-pool", around.work_pool_name)
        if around.work_pool_type is not None:
            pool["prefect.work-pool.type"] = around.work_pool_type
        related.append(pool)
    if deployment.storage_document_id is not None:
        related.append(_resource("block-document", deployment.storage_document_id, "storage"))
    if deployment.infrastructure_document_id is not None:
        related.append(
            _resource("block-document", deployment.infrastructure_document_id, "infrastructure")
        )
    limit_id = _limit_id(deployment)
    if limit_id is not None:
        related.append(_resource("concurrency-limit", limit_id, "concurrency-limit"))
    return related
