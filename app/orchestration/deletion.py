"""Runs and flows are deleted; slots of their deployments' limits that the runs hold come back.

The runs are locked first, so that no transition takes or gives back a slot meanwhile.
"""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence

from app.orchestration.concurrency import free_leased
from app.orchestration.object_events import flow_event
from app.orchestration.refusal import Refused
from app.wire.flows import Flow
from storage.errors import Conflict, NotFound
from storage.postgres import concurrency, flow_runs, flows, log_retention
from storage.postgres.events import insert_events
from storage.postgres.pool import Conn, Pool, connection, transaction

# Held runs that a refusal names.
NAMED = 5


async def delete_flow_runs(
    pool: Pool, ids: Sequence[uuid.UUID], *, now: dt.datetime
) -> list[uuid.UUID]:
    """Delete those of these runs that are there, with their task runs, and their logs from every
    reader; gives their ids.

    Raises:
        Refused: one of them is held; none was deleted.
    """
    async with _none_held(pool, run_ids=ids), transaction(pool) as conn:
        found = await flow_runs.lock_flow_runs(conn, ids)
        await _give_slots_back(conn, found, now=now)
        for id in found:
            await flow_runs.delete_flow_run(conn, id)
        return found


async def delete_flows(
    pool: Pool, ids: Sequence[uuid.UUID], *, now: dt.datetime
) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Delete those of these flows that are there, with their deployments and their runs; gives
    their ids, and those of the events that tell of it.

    Raises:
        Refused: a run of one of them is held; nothing was deleted.
    """
    deleted: list[Flow] = []
    async with _none_held(pool, flow_ids=ids), transaction(pool) as conn:
        await _give_slots_back(conn, await flow_runs.lock_holding_runs(conn, ids), now=now)
        for id in ids:
            with contextlib.suppress(NotFound):
                deleted.append(await flows.delete_flow(conn, id))
        events = [flow_event("deleted", flow, now=now) for flow in deleted]
        told = list(await insert_events(conn, events)) if events else []
    return [flow.id for flow in deleted], told


@contextlib.asynccontextmanager
async def _none_held(
    pool: Pool, *, run_ids: Sequence[uuid.UUID] = (), flow_ids: Sequence[uuid.UUID] = ()
) -> AsyncIterator[None]:
    """Turn the database's refusal to delete a held run into one that names those that are held."""
    try:
        yield
    except Conflict as error:
        if error.constraint != "flow_run_is_held":
            raise
        async with connection(pool) as conn:
            held = await log_retention.held_among(conn, run_ids, flow_ids, limit=NAMED + 1)
        named = ", ".join(f"{name!r} ({id})" for id, name in held[:NAMED]) + (
            ", and more" if len(held) > NAMED else ""
        )
        raise Refused(
            "conflict",
            f"Nothing was deleted, because logs are held of: {named}. `tailrace holds list` shows"
            " why, and `tailrace holds release` ends a hold.",
        ) from error


async def _give_slots_back(conn: Conn, run_ids: Sequence[uuid.UUID], *, now: dt.datetime) -> None:
    lease_ids = await flow_runs.leases_of_flow_runs(conn, run_ids) if run_ids else []
    if lease_ids:
        await free_leased(conn, await concurrency.end_leases(conn, lease_ids), now=now)
