"""Artifacts. The newest of a key is found by its time, so nothing has to be kept in step."""

import datetime as dt
import uuid

import asyncpg
import msgspec

from app.wire.artifacts import (
    Artifact,
    ArtifactCollection,
    ArtifactCollectionFilter,
    ArtifactCollectionQuery,
    ArtifactCollectionSelection,
    ArtifactCreate,
    ArtifactFilter,
    ArtifactQuery,
    ArtifactSelection,
    ArtifactUpdate,
    KeyFilter,
)
from app.wire.filters import AnyId
from storage.errors import NotFound
from storage.postgres import object_filters
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

# The namespace of collection ids; any constant will do as long as it stays.
KEY_NAMESPACE = uuid.UUID("8a7a1d0e-4f0c-4a52-9d2e-6b1c3f5a9e01")

_INSERT = statement("insert_artifact")
_UPDATE = statement("update_artifact")
_DELETE = statement("delete_artifact")


def _data_of(row: asyncpg.Record) -> msgspec.Raw:
    return msgspec.Raw((row["data"] or "null").encode())


def _artifact_of(row: asyncpg.Record) -> Artifact:
    return Artifact(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        key=row["key"],
        type=row["type"],
        description=row["description"],
        data=_data_of(row),
        metadata_=row["metadata_"],
        flow_run_id=row["flow_run_id"],
        task_run_id=row["task_run_id"],
    )


def _collection_of(row: asyncpg.Record) -> ArtifactCollection:
    return ArtifactCollection(
        id=uuid.uuid5(KEY_NAMESPACE, row["key"]),
        created=row["created"],
        updated=row["updated"],
        key=row["key"],
        latest_id=row["latest_id"],
        type=row["type"],
        description=row["description"],
        data=_data_of(row),
        metadata_=row["metadata_"],
        flow_run_id=row["flow_run_id"],
        task_run_id=row["task_run_id"],
    )


async def insert_artifact(
    conn: Conn, create: ArtifactCreate, *, id: uuid.UUID, now: dt.datetime
) -> Artifact:
    """Keep a new artifact."""
    row = await conn.fetchrow(
        _INSERT,
        id,
        now,
        create.key,
        create.type,
        create.description,
        create.data if create.data is not msgspec.UNSET else None,
        create.metadata_,
        create.flow_run_id,
        create.task_run_id,
    )
    assert row is not None
    return _artifact_of(row)


async def read_artifact(conn: Conn, id: uuid.UUID) -> Artifact:
    """Raises NotFound."""
    wanted = ArtifactFilter(id=AnyId(any_=[id]))
    found = await select_artifacts(conn, ArtifactQuery(artifacts=wanted, limit=1))
    if not found:
        raise NotFound("Artifact not found.")
    return found[0]


async def read_latest_artifact(conn: Conn, key: str) -> Artifact:
    """The newest artifact of a key. Raises NotFound."""
    found = await read_collection(conn, key)
    if found is None:
        raise NotFound("Artifact not found.")
    return await read_artifact(conn, found.latest_id)


async def read_collection(conn: Conn, key: str) -> ArtifactCollection | None:
    """A key as its newest artifact; None when there is none of it."""
    wanted = ArtifactCollectionFilter(key=KeyFilter(any_=[key]))
    found = await select_latest_artifacts(conn, ArtifactCollectionQuery(artifacts=wanted, limit=1))
    return found[0] if found else None


async def update_artifact(
    conn: Conn, id: uuid.UUID, update: ArtifactUpdate, *, now: dt.datetime
) -> None:
    """Raises NotFound."""
    description, data, metadata = update.description, update.data, update.metadata_
    changed = await conn.fetchval(
        _UPDATE,
        id,
        now,
        description is not msgspec.UNSET,
        description if description is not msgspec.UNSET else None,
        data is not msgspec.UNSET,
        data if data is not msgspec.UNSET else None,
        metadata is not msgspec.UNSET,
        metadata if metadata is not msgspec.UNSET else None,
    )
    if changed is None:
        raise NotFound("Artifact not found.")


async def delete_artifact(conn: Conn, id: uuid.UUID) -> None:
    """Raises NotFound."""
    if await conn.fetchval(_DELETE, id) is None:
        raise NotFound("Artifact not found.")


async def select_artifacts(conn: Conn, query: ArtifactQuery) -> list[Artifact]:
    """One stretch of the artifacts that match."""
    sql, values = object_filters.select_artifacts(query)
    return [_artifact_of(row) for row in await conn.fetch(sql, *values)]


async def count_artifacts(conn: Conn, selection: ArtifactSelection) -> int:
    """How many match."""
    sql, values = object_filters.count_artifacts(selection)
    count: int = await conn.fetchval(sql, *values)
    return count


async def select_latest_artifacts(
    conn: Conn, query: ArtifactCollectionQuery
) -> list[ArtifactCollection]:
    """One stretch of the keys that match."""
    sql, values = object_filters.select_latest_artifacts(query)
    return [_collection_of(row) for row in await conn.fetch(sql, *values)]


async def count_latest_artifacts(conn: Conn, selection: ArtifactCollectionSelection) -> int:
    """How many keys match."""
    sql, values = object_filters.count_latest_artifacts(selection)
    count: int = await conn.fetchval(sql, *values)
    return count
