"""Who was heard lately, and who was not: workers, pools, queues and deployments."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_DEPLOYMENTS = statement("select_deployment_subjects")


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
