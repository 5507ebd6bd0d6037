"""Artifacts, and the newest of each key."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from app.api.bodies import check_limit, decode_body
from app.api.documentation import takes
from app.api.telling import telling
from app.orchestration.object_events import Action, artifact_collection_event
from app.services import Services
from app.wire.artifacts import (
    Artifact,
    ArtifactCollection,
    ArtifactCollectionQuery,
    ArtifactCollectionSelection,
    ArtifactCreate,
    ArtifactQuery,
    ArtifactSelection,
    ArtifactUpdate,
)
from app.wire.base import new_id, utc_now
from storage.postgres import artifacts
from storage.postgres.pool import connection

_create_decoder = msgspec.json.Decoder(ArtifactCreate)
_update_decoder = msgspec.json.Decoder(ArtifactUpdate)
_query_decoder = msgspec.json.Decoder(ArtifactQuery)
_selection_decoder = msgspec.json.Decoder(ArtifactSelection)
_latest_query_decoder = msgspec.json.Decoder(ArtifactCollectionQuery)
_latest_selection_decoder = msgspec.json.Decoder(ArtifactCollectionSelection)


@post("/artifacts/", status_code=201, operation_class=takes(_create_decoder))
async def create_artifact(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> Artifact:
    """A new artifact; from now on the newest of its key."""
    create = await decode_body(request, _create_decoder)
    now = utc_now()
    async with telling(services) as (conn, events):
        made = await artifacts.insert_artifact(conn, create, id=new_id(), now=now)
        if made.key is not None:
            latest = await artifacts.read_collection(conn, made.key)
            if latest is not None:
                action: Action = "created" if latest.created == made.created else "updated"
                events.append(artifact_collection_event(action, latest, now=now))
    return made


@get("/artifacts/{id:uuid}")
async def read_artifact(id: FromPath[UUID], services: NamedDependency[Services]) -> Artifact:
    """One artifact."""
    async with connection(services.pool) as conn:
        return await artifacts.read_artifact(conn, id)


@get("/artifacts/{key:str}/latest")
async def read_latest_artifact(key: FromPath[str], services: NamedDependency[Services]) -> Artifact:
    """The newest artifact of a key."""
    async with connection(services.pool) as conn:
        return await artifacts.read_latest_artifact(conn, key)


@patch("/artifacts/{id:uuid}", status_code=204, operation_class=takes(_update_decoder))
async def update_artifact(
    id: FromPath[UUID], request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> None:
    """Change what the body names."""
    update = await decode_body(request, _update_decoder)
    async with connection(services.pool) as conn:
        await artifacts.update_artifact(conn, id, update, now=utc_now())


@delete("/artifacts/{id:uuid}")
async def delete_artifact(id: FromPath[UUID], services: NamedDependency[Services]) -> None:
    """Delete it; the one before it is then the newest of its key."""
    async with telling(services) as (conn, events):
        gone = await artifacts.read_artifact(conn, id)
        before = await artifacts.read_collection(conn, gone.key) if gone.key is not None else None
        await artifacts.delete_artifact(conn, id)
        if before is not None and before.latest_id == id:
            latest = await artifacts.read_collection(conn, before.key)
            action: Action = "updated" if latest is not None else "deleted"
            events.append(artifact_collection_event(action, latest or before, now=utc_now()))


@post("/artifacts/filter", status_code=200, operation_class=takes(_query_decoder))
async def read_artifacts(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[Artifact]:
    """A page of the artifacts that match."""
    query = await decode_body(request, _query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await artifacts.select_artifacts(conn, query)


@post("/artifacts/count", status_code=200, operation_class=takes(_selection_decoder))
async def count_artifacts(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> int:
    """How many match."""
    selection = await decode_body(request, _selection_decoder)
    async with connection(services.pool) as conn:
        return await artifacts.count_artifacts(conn, selection)


@post("/artifacts/latest/filter", status_code=200, operation_class=takes(_latest_query_decoder))
async def read_latest_artifacts(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> list[ArtifactCollection]:
    """A page of the keys that match, each as its newest artifact."""
    query = await decode_body(request, _latest_query_decoder)
    check_limit(query.limit)
    async with connection(services.pool) as conn:
        return await artifacts.select_latest_artifacts(conn, query)


@post("/artifacts/latest/count", status_code=200, operation_class=takes(_latest_selection_decoder))
async def count_latest_artifacts(
    request: Request[Any, Any, Any], services: NamedDependency[Services]
) -> int:
    """How many keys match."""
    selection = await decode_body(request, _latest_selection_decoder)
    async with connection(services.pool) as conn:
        return await artifacts.count_latest_artifacts(conn, selection)


ROUTES: list[ControllerRouterHandler] = [
    create_artifact,
    read_artifact,
    read_latest_artifact,
    update_artifact,
    delete_artifact,
    read_artifacts,
    count_artifacts,
    read_latest_artifacts,
    count_latest_artifacts,
]
