"""The events that tell of flows, variables, blocks, artifacts and concurrency limits being made,
changed and deleted: `prefect.{kind}.created`, `.updated`, `.deleted`, each with what it is now."""

import datetime as dt
import uuid
from typing import Literal, TypeAlias

from app.orchestration.pool_events import happened
from app.wire.artifacts import ArtifactCollection
from app.wire.base import Json
from app.wire.blocks import BlockSchema, BlockType
from app.wire.concurrency import ConcurrencyLimit
from app.wire.events import ReceivedEvent, Resource
from app.wire.flows import Flow
from app.wire.variables import Variable

Action: TypeAlias = Literal["created", "updated", "deleted"]


def flow_event(action: Action, flow: Flow, *, now: dt.datetime) -> ReceivedEvent:
    """Tells its name, tags and labels."""
    payload: Json = {"name": flow.name, "tags": flow.tags, "labels": flow.labels}
    return _event("flow", action, flow.id, flow.name, payload, now)


def variable_event(action: Action, variable: Variable, *, now: dt.datetime) -> ReceivedEvent:
    """Tells its name, value and tags."""
    payload: Json = {"name": variable.name, "value": variable.value, "tags": variable.tags}
    return _event("variable", action, variable.id, variable.name, payload, now)


def limit_event(action: Action, limit: ConcurrencyLimit, *, now: dt.datetime) -> ReceivedEvent:
    """Tells its limit, and not its slots."""
    payload: Json = {
        "name": limit.name,
        "limit": limit.limit,
        "active": limit.active,
        "slot_decay_per_second": limit.slot_decay_per_second,
    }
    return _event("concurrency-limit", action, limit.id, limit.name, payload, now)


def block_type_event(action: Action, block_type: BlockType, *, now: dt.datetime) -> ReceivedEvent:
    """Tells all of it but its times."""
    payload: Json = {
        "name": block_type.name,
        "slug": block_type.slug,
        "logo_url": block_type.logo_url,
        "documentation_url": block_type.documentation_url,
        "description": block_type.description,
        "code_example": block_type.code_example,
        "is_protected": block_type.is_protected,
    }
    return _event("block-type", action, block_type.id, block_type.name, payload, now)


def block_document_event(
    action: Action, id: uuid.UUID, name: str, schema: BlockSchema, *, now: dt.datetime
) -> ReceivedEvent:
    """Tells its name and its schema. What it holds is encrypted where it is kept, and events are
    not: none of it is told."""
    block_type = schema.block_type
    payload: Json = {
        "name": name,
        "data": {},
        "block_schema": {
            "capabilities": schema.capabilities,
            "block_type": {"id": block_type.id, "name": block_type.name},
        },
    }
    of_type = _related("block-type", block_type.id, "block-type")
    of_type["prefect.resource.name"] = block_type.name
    related = [of_type, _related("block-schema", schema.id, "block-schema")]
    return _event("block-document", action, id, name, payload, now, related)


def artifact_collection_event(
    action: Action, collection: ArtifactCollection, *, now: dt.datetime
) -> ReceivedEvent:
    """Tells the newest artifact of a key, and the runs that made it."""
    payload: Json = {
        "key": collection.key,
        "type": collection.type,
        "data": collection.data,
        "description": collection.description,
    }
    related = [_related("artifact", collection.latest_id, "latest")]
    if collection.flow_run_id is not None:
        related.append(_related("flow-run", collection.flow_run_id, "flow-run"))
    if collection.task_run_id is not None:
        related.append(_related("task-run", collection.task_run_id, "task-run"))
    return _event(
        "artifact-collection", action, collection.id, collection.key, payload, now, related
    )


def _related(kind: str, id: uuid.UUID, role: str) -> Resource:
    return {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.role": role}


def _event(
    kind: str,
    action: Action,
    id: uuid.UUID,
    name: str,
    payload: Json,
    now: dt.datetime,
    related: list[Resource] | None = None,
) -> ReceivedEvent:
    resource = {"prefect.resource.id": f"prefect.{kind}.{id}", "prefect.resource.name": name}
    return happened(f"prefect.{kind}.{action}", resource, related=related, payload=payload, now=now)
