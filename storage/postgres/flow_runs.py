"""Flow runs, but for their states (`storage.postgres.states`)."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from app.wire.base import Labels
from app.wire.filters import FlowRunPageQuery, FlowRunQuery, Selection
from app.wire.runs import FlowRun, FlowRunPage, FlowRunUpdate
from storage.errors import NotFound
from storage.postgres import filters
from storage.postgres.flows import pages_of
from storage.postgres.pool import Conn
from storage.postgres.run_rows import flow_run_of
from storage.postgres.statements import statement

_READ = statement("select_flow_runs") + " WHERE r.id = $1"
_OWNED_AMONG = statement("owned_among")
_UPDATE = statement("update_flow_run")
_MERGE_LABELS = statement("merge_flow_run_labels")
_LOCK = statement("lock_flow_runs")
_LOCK_HOLDING = statement("lock_holding_flow_runs")
_LEASES = statement("select_leases_of_flow_runs")
_DELETE = statement("delete_flow_run")


async def read_flow_run(conn: Conn, id: uuid.UUID, *, now: dt.datetime) -> FlowRun:
    """Raises NotFound."""
    row = await conn.fetchrow(_READ, id)
    if row is None:
        raise NotFound("Flow run not found")
    return flow_run_of(row, now)


@dataclass(frozen=True, slots=True)
class RunOwners:
    """Whose runs are meant: those of any of the flows and any of the deployments, None being any at all."""

    flow_ids: list[uuid.UUID] | None
    deployment_ids: list[uuid.UUID] | None


def owners_of(
    flow_ids: list[uuid.UUID] | None, deployment_ids: list[uuid.UUID] | None
) -> RunOwners | None:
    """None when neither is given."""
    if flow_ids is None and deployment_ids is None:
        return None
    return RunOwners(flow_ids, deployment_ids)


async def owned_among(conn: Conn, runs: list[uuid.UUID], owners: RunOwners) -> set[uuid.UUID]:
    """Those of the runs that are the owners'."""
    rows = await conn.fetch(_OWNED_AMONG, runs, owners.flow_ids, owners.deployment_ids)
    return {row["id"] for row in rows}


async def update_flow_run(
    conn: Conn, id: uuid.UUID, update: FlowRunUpdate, *, now: dt.datetime
) -> None:
    """Change what `update` says. Raises NotFound."""

    def said(value: object) -> object:
        return None if value is msgspec.UNSET else value

    row = await conn.fetchrow(
        _UPDATE,
        id,
        now,
        said(update.name),
        said(update.parameters),
        said(update.empirical_policy),
        said(update.tags),
        update.flow_version is not msgspec.UNSET,
        said(update.flow_version),
        update.infrastructure_pid is not msgspec.UNSET,
        said(update.infrastructure_pid),
        update.job_variables is not msgspec.UNSET,
        said(update.job_variables),
    )
    if row is None:
        raise NotFound("Flow run not found")


async def merge_flow_run_labels(
    conn: Conn, id: uuid.UUID, labels: Labels, *, now: dt.datetime
) -> None:
    """Add the labels; those of the same name are replaced. Raises NotFound."""
    if await conn.fetchrow(_MERGE_LABELS, id, now, labels) is None:
        raise NotFound("Flow run not found")


async def lock_flow_runs(conn: Conn, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Those of these runs that are there, locked until the transaction ends."""
    return [row["id"] for row in await conn.fetch(_LOCK, ids)]


async def lock_holding_runs(conn: Conn, flow_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """The runs of these flows that may hold a slot of their deployment's limit, locked until the
    transaction ends."""
    return [row["id"] for row in await conn.fetch(_LOCK_HOLDING, flow_ids)]


async def leases_of_flow_runs(conn: Conn, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """The leases on slots of their deployments' limits that these runs name."""
    return [row["id"] for row in await conn.fetch(_LEASES, ids)]


async def delete_flow_run(conn: Conn, id: uuid.UUID) -> None:
    """Delete it with its task runs, and its logs from every reader. Raises NotFound."""
    if await conn.fetchrow(_DELETE, id) is None:
        raise NotFound("Flow run not found")


async def select_flow_runs(conn: Conn, query: FlowRunQuery, *, now: dt.datetime) -> list[FlowRun]:
    """One stretch of the flow runs that match."""
    sql, values = filters.select_flow_runs(query, query.sort, query.limit, query.offset)
    return [flow_run_of(row, now) for row in await conn.fetch(sql, *values)]


async def count_flow_runs(conn: Conn, selection: Selection) -> int:
    """How many match."""
    sql, values = filters.count_flow_runs(selection)
    count: int = await conn.fetchval(sql, *values)
    return count


async def page_of_flow_runs(
    conn: Conn, query: FlowRunPageQuery, *, now: dt.datetime
) -> FlowRunPage:
    """One page, and how many there are."""
    count = await count_flow_runs(conn, query)
    offset = (query.page - 1) * query.limit
    sql, values = filters.select_flow_runs(query, query.sort, query.limit, offset)
    return FlowRunPage(
        results=[flow_run_of(row, now) for row in await conn.fetch(sql, *values)],
        count=count,
        limit=query.limit,
        pages=pages_of(count, query.limit),
        page=query.page,
    )
