"""Deployments, but for their schedules (`storage.postgres.deployment_schedules`)."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from app.wire.base import Json, Labels
from app.wire.concurrency import FIRST_OCCUPANCY_SECONDS, GlobalConcurrencyLimit
from app.wire.deployments import (
    ConcurrencyOptions,
    Deployment,
    DeploymentPage,
    DeploymentSchedule,
)
from app.wire.facts import ResolvedQueue
from app.wire.filters import DeploymentPageQuery, DeploymentQuery, Selection
from app.wire.runs import CreatedBy
from app.wire.work_pools import WorkQueue
from storage.errors import NotFound
from storage.postgres import filters
from storage.postgres.flows import pages_of
from storage.postgres.pool import Conn
from storage.postgres.statements import statement
from storage.postgres.work_queues import queue_of

_READ = statement("select_deployments") + " WHERE d.id = $1"
_READ_BY_NAME = (
    statement("select_deployments")
    + " WHERE d.name = $2 AND d.flow_id = (SELECT id FROM flow WHERE name = $1)"
)
_READ_MANY = (
    statement("select_deployments") + " WHERE d.id = ANY ($1::uuid[]) ORDER BY d.name, d.id"
)
_LOCK = statement("lock_deployment")
_INSERT = statement("insert_deployment")
_UPDATE = statement("update_deployment")
_DELETE = statement("delete_deployments")
_DELETE_OWN_LIMITS = statement("delete_own_deployment_limits")
_SET_OWN_LIMIT = statement("set_own_deployment_limit")
_MARK_POLLED = statement("mark_deployments_polled")
_SURROUNDINGS = statement("read_deployment_surroundings")
_TEMPLATE = statement("read_deployment_template")
_LABELS = statement("read_deployment_labels")
_PICKING = f"{statement('select_work_queues')} {statement('picking_a_deployment')}"

# The limit that belongs to one deployment is found by this name and its id.
OWN_LIMIT_PREFIX = "deployment:"
# Pollers come every few seconds; no row is written more often than this.
_POLLED_PRECISION = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedDeployment:
    """A deployment that nobody else changes until the transaction ends. `work_queue_name` is the
    name it was given, which is no queue's when it was given none."""

    id: uuid.UUID
    concurrency_limit_id: uuid.UUID | None
    work_queue_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTemplate:
    """What a run made from a deployment takes from it. `work_queue_name` is what the deployment
    says, `work_queue` where it goes; `variables` is the schema of its pool's job variables."""

    id: uuid.UUID
    name: str
    flow_id: uuid.UUID
    flow_name: str
    flow_tags: list[str]
    version: str | None
    parameters: Json
    parameter_openapi_schema: object
    enforce_parameter_schema: bool
    tags: list[str]
    labels: Labels
    job_variables: Json
    infrastructure_document_id: uuid.UUID | None
    work_queue_name: str | None
    work_queue: ResolvedQueue | None
    variables: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a deployment belongs to, as events tell of it."""

    flow_name: str
    work_queue_name: str | None
    work_pool_id: uuid.UUID | None
    work_pool_name: str | None
    work_pool_type: str | None


def _limit_of(row: asyncpg.Record) -> GlobalConcurrencyLimit | None:
    if row["limit_id"] is None:
        return None
    return GlobalConcurrencyLimit(
        id=row["limit_id"],
        created=row["limit_created"],
        updated=row["limit_updated"],
        active=row["limit_active"],
        name=row["limit_name"],
        limit=row["limit"],
        active_slots=row["active_slots"],
        slot_decay_per_second=row["slot_decay_per_second"],
    )


def _author_of(value: object) -> CreatedBy | None:
    return msgspec.convert(value, CreatedBy) if value is not None else None


def _deployment_of(row: asyncpg.Record) -> Deployment:
    """A row of `select_deployments`."""
    schema, options = row["parameter_openapi_schema"], row["concurrency_options"]
    return Deployment(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        version=row["version"],
        description=row["description"],
        flow_id=row["flow_id"],
        paused=row["paused"],
        schedules=msgspec.convert(row["schedules"] or [], list[DeploymentSchedule]),
        # Kept for old readers, and always null: `global_concurrency_limit` tells.
        concurrency_limit=None,
        global_concurrency_limit=_limit_of(row),
        concurrency_options=(
            msgspec.convert(options, ConcurrencyOptions) if options is not None else None
        ),
        job_variables=row["job_variables"],
        parameters=row["parameters"],
        tags=row["tags"],
        labels=row["labels"],
        work_queue_name=row["work_queue_name"],
        work_queue_id=row["work_queue_id"],
        last_polled=row["last_polled"],
        parameter_openapi_schema=msgspec.json.decode(schema) if schema is not None else None,
        path=row["path"],
        pull_steps=row["pull_steps"],
        entrypoint=row["entrypoint"],
        storage_document_id=row["storage_document_id"],
        infrastructure_document_id=row["infrastructure_document_id"],
        created_by=_author_of(row["created_by"]),
        updated_by=_author_of(row["updated_by"]),
        work_pool_name=row["work_pool_name"],
        status=row["status"],
        enforce_parameter_schema=row["enforce_parameter_schema"],
    )


async def read_deployment(conn: Conn, id: uuid.UUID) -> Deployment:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ, id)
    if row is None:
        raise NotFound("Deployment not found")
    return _deployment_of(row)


async def read_deployment_by_name(conn: Conn, flow_name: str, name: str) -> Deployment:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ_BY_NAME, flow_name, name)
    if row is None:
        raise NotFound("Deployment not found")
    return _deployment_of(row)


async def read_deployments(conn: Conn, ids: Sequence[uuid.UUID]) -> list[Deployment]:
    """Those of these that are there, by name."""
    return [_deployment_of(row) for row in await conn.fetch(_READ_MANY, ids)]


async def read_template(conn: Conn, id: uuid.UUID) -> RunTemplate:
    """Raises NotFound."""
    row = await conn.fetchrow(_TEMPLATE, id)
    if row is None:
        raise NotFound("Deployment not found")
    schema = row["parameter_openapi_schema"]
    queue = None
    if row["work_queue_id"] is not None:
        queue = ResolvedQueue(
            id=row["work_queue_id"],
            name=row["queue_name"],
            work_pool_id=row["pool_id"],
            work_pool_name=row["pool_name"],
            work_pool_type=row["pool_type"],
        )
    return RunTemplate(
        id=row["id"],
        name=row["name"],
        flow_id=row["flow_id"],
        flow_name=row["flow_name"],
        flow_tags=row["flow_tags"],
        version=row["version"],
        parameters=row["parameters"],
        parameter_openapi_schema=msgspec.json.decode(schema) if schema is not None else None,
        enforce_parameter_schema=row["enforce_parameter_schema"],
        tags=row["tags"],
        labels=row["labels"],
        job_variables=row["job_variables"],
        infrastructure_document_id=row["infrastructure_document_id"],
        work_queue_name=row["work_queue_name"],
        work_queue=queue,
        variables=row["variables"],
    )


async def name_labels_and_tags_of_deployment(
    conn: Conn, id: uuid.UUID
) -> tuple[str, Labels, list[str]] | None:
    """None if there is no such deployment."""
    row = await conn.fetchrow(_LABELS, id)
    return (row["name"], row["labels"], row["tags"]) if row is not None else None


async def select_deployments(conn: Conn, query: DeploymentQuery) -> list[Deployment]:
    """One stretch of the deployments that match."""
    sql, values = filters.select_deployments(query, query.sort, query.limit, query.offset)
    return [_deployment_of(row) for row in await conn.fetch(sql, *values)]


async def count_deployments(conn: Conn, selection: Selection) -> int:
    """How many match."""
    sql, values = filters.count_deployments(selection)
    count: int = await conn.fetchval(sql, *values)
    return count


async def page_of_deployments(conn: Conn, query: DeploymentPageQuery) -> DeploymentPage:
    """One page, and how many there are."""
    count = await count_deployments(conn, query)
    offset = (query.page - 1) * query.limit
    sql, values = filters.select_deployments(query, query.sort, query.limit, offset)
    return DeploymentPage(
        results=[_deployment_of(row) for row in await conn.fetch(sql, *values)],
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )


async def lock_deployment(
    conn: Conn,
    *,
    id: uuid.UUID | None = None,
    flow_id: uuid.UUID | None = None,
    name: str | None = None,
) -> LockedDeployment | None:
    """The deployment of that id, or of that flow and name, locked until the transaction ends."""
    row = await conn.fetchrow(_LOCK, id, flow_id, name)
    if row is None:
        return None
    return LockedDeployment(
        id=row["id"],
        concurrency_limit_id=row["concurrency_limit_id"],
        work_queue_name=row["work_queue_name"],
    )


async def insert_deployment(conn: Conn, columns: Json) -> bool:
    """Keep a new deployment, all its columns given; false when the flow has one of that name.
    Raises Conflict for a flow that is not there."""
    return await conn.fetchval(_INSERT, _text(columns)) is not None


async def update_deployment(conn: Conn, id: uuid.UUID, columns: Json, *, now: dt.datetime) -> None:
    """Change the columns that are given, of a deployment that is locked."""
    await conn.execute(_UPDATE, id, now, _text(columns))


def _text(columns: Json) -> str:
    return msgspec.json.encode(columns).decode()


async def delete_deployments(conn: Conn, ids: Sequence[uuid.UUID]) -> None:
    """Delete them with their schedules and the limits that were made for them. Runs stay."""
    await conn.execute(_DELETE, ids)
    await delete_own_limits(conn, ids)


async def set_own_limit(
    conn: Conn, deployment_id: uuid.UUID, limit: int, *, id: uuid.UUID, now: dt.datetime
) -> uuid.UUID:
    """The id of the deployment's own limit, which is `limit` from now on; `id` if it is new."""
    name = f"{OWN_LIMIT_PREFIX}{deployment_id}"
    known: uuid.UUID = await conn.fetchval(
        _SET_OWN_LIMIT, id, now, name, limit, FIRST_OCCUPANCY_SECONDS
    )
    return known


async def delete_own_limits(conn: Conn, deployment_ids: Sequence[uuid.UUID]) -> None:
    """Delete the limits that were made for these deployments."""
    await conn.execute(_DELETE_OWN_LIMITS, deployment_ids)


async def mark_polled(
    conn: Conn,
    *,
    deployment_ids: Sequence[uuid.UUID] = (),
    work_queue_ids: Sequence[uuid.UUID] = (),
    now: dt.datetime,
) -> list[uuid.UUID]:
    """Somebody asked for runs of these deployments, or of those of these queues: they are READY.
    Gives the ids of those that were not before."""
    rows = await conn.fetch(_MARK_POLLED, deployment_ids, work_queue_ids, now, _POLLED_PRECISION)
    return [row["id"] for row in rows]


async def read_surroundings(conn: Conn, id: uuid.UUID) -> Surroundings:
    """Raises NotFound."""
    row = await conn.fetchrow(_SURROUNDINGS, id)
    if row is None:
        raise NotFound("Deployment not found")
    return Surroundings(
        flow_name=row["flow_name"],
        work_queue_name=row["queue_name"],
        work_pool_id=row["pool_id"],
        work_pool_name=row["pool_name"],
        work_pool_type=row["pool_type"],
    )


async def queues_picking(conn: Conn, deployment_id: uuid.UUID) -> list[WorkQueue]:
    """The queues with filters that let runs of the deployment through."""
    return [queue_of(row) for row in await conn.fetch(_PICKING, deployment_id)]
