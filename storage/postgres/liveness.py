"""Who was heard lately, and who was not: workers, pools, queues and deployments."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_DEPLOYMENTS = statement("select_deployment_subjects")
_WORKERS_OFFLINE = statement("mark_silent_workers_offline")
_POOLS = statement("mark_pools_without_workers")
_QUEUES = statement("mark_queues_nobody_polls")
_DEPLOYMENTS_NOT_READY = statement("mark_deployments_nobody_polls")


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentPool:
    """A pool that is no longer ready."""

    id: uuid.UUID
    name: str
    type: str
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentQueue:
    """A queue that is no longer ready, and its pool."""

    id: uuid.UUID
    name: str
    is_paused: bool
    work_pool_id: uuid.UUID
    work_pool_name: str
    work_pool_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSubject:
    """A deployment and what it belongs to."""

    id: uuid.UUID
    name: str
    flow_id: uuid.UUID
    flow_name: str
    work_queue_id: uuid.UUID | None
    work_queue_name: str | None
    work_pool_id: uuid.UUID | None
    work_pool_name: str | None
    work_pool_type: str | None


async def read_deployment_subjects(conn: Conn, ids: Sequence[uuid.UUID]) -> list[DeploymentSubject]:
    """Those of these deployments that are there."""
    return [
        DeploymentSubject(
            id=row["id"],
            name=row["name"],
            flow_id=row["flow_id"],
            flow_name=row["flow_name"],
            work_queue_id=row["work_queue_id"],
            work_queue_name=row["work_queue_name"],
            work_pool_id=row["work_pool_id"],
            work_pool_name=row["work_pool_name"],
            work_pool_type=row["work_pool_type"],
        )
        for row in await conn.fetch(_DEPLOYMENTS, ids)
    ]


async def mark_silent_workers(conn: Conn, *, now: dt.datetime) -> int:
    """Workers whose heartbeats are missing are OFFLINE; how many became so."""
    return len(await conn.fetch(_WORKERS_OFFLINE, now))


async def mark_pools_without_workers(conn: Conn) -> list[SilentPool]:
    """Pools without a worker online are NOT_READY; those that became so."""
    return [
        SilentPool(id=row["id"], name=row["name"], type=row["type"], is_paused=row["is_paused"])
        for row in await conn.fetch(_POOLS)
    ]


async def mark_queues_not_polled(conn: Conn, *, since: dt.datetime) -> list[SilentQueue]:
    """Queues that nobody has polled since then are NOT_READY; those that became so."""
    return [
        SilentQueue(
            id=row["id"],
            name=row["name"],
            is_paused=row["is_paused"],
            work_pool_id=row["work_pool_id"],
            work_pool_name=row["work_pool_name"],
            work_pool_type=row["work_pool_type"],
        )
        for row in await conn.fetch(_QUEUES, since)
    ]


async def mark_deployments_not_polled(conn: Conn, *, since: dt.datetime) -> list[DeploymentSubject]:
    """Deployments that nobody serves are NOT_READY; those that became so."""
    rows = await conn.fetch(_DEPLOYMENTS_NOT_READY, since)
    return await read_deployment_subjects(conn, [row["id"] for row in rows])
