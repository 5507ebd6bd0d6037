"""Workers are asked to clean up, and say what became of it."""

import datetime as dt
import secrets
import uuid

from app.rules.worker_cleanup import LEASE, judge
from app.wire.base import new_id
from app.wire.facts import FlowRunFacts
from app.wire.worker_cleanup import Operation, OperationResult, Reservation
from storage.postgres import worker_cleanup
from storage.postgres.pool import Conn, Pool, connection, transaction
from storage.postgres.worker_cleanup import Server

# Pools of these types have no workers.
WORKERLESS = (":push", ":managed")


async def ask_for_teardown(conn: Conn, run: FlowRunFacts, *, now: dt.datetime) -> None:
    """Ask the workers of the run's pool to end what is left of it, if it has a pool with workers."""
    queue = run.work_queue
    if queue is None or queue.work_pool_type.endswith(WORKERLESS):
        return
    await worker_cleanup.insert_cleanup(
        conn,
        id=new_id(),
        work_pool_id=queue.work_pool_id,
        work_queue_id=queue.id,
        kind="cancelling_timeout_teardown.v1",
        target={"flow_run_id": run.id, "infrastructure_pid": run.infrastructure_pid},
        now=now,
    )


async def reserve_next(pool: Pool, server: Server, *, now: dt.datetime) -> Reservation | None:
    """The next message for this worker, which has it from now on; None when there is none."""
    async with connection(pool) as conn:
        return await worker_cleanup.reserve_cleanup(
            conn, server, token=secrets.token_urlsafe(32), until=now + LEASE, now=now
        )


async def operate(
    pool: Pool,
    operation: Operation,
    *,
    request_frame_id: uuid.UUID,
    work_pool_id: uuid.UUID,
    message_id: uuid.UUID,
    token: str,
    reason: str | None,
    now: dt.datetime,
) -> OperationResult:
    """Do what a worker says of a message, if it may; `reason` is why it gives the message up."""
    async with transaction(pool) as conn:
        held = await worker_cleanup.lock_cleanup(conn, message_id)
        verdict = judge(operation, held, work_pool_id=work_pool_id, token=token, now=now)
        lease_expires_at = None
        match verdict.effect:
            case "delete":
                await worker_cleanup.delete_cleanup(conn, message_id)
            case "free":
                await worker_cleanup.free_cleanup(conn, message_id)
            case "bury":
                await worker_cleanup.bury_cleanup(conn, message_id, reason=reason, now=now)
            case "renew":
                lease_expires_at = now + LEASE
                await worker_cleanup.renew_cleanup(conn, message_id, until=lease_expires_at)
            case "none":
                pass
    return OperationResult(
        request_frame_id=request_frame_id,
        message_id=message_id,
        operation=operation,
        status=verdict.status,
        reason=verdict.reason,
        lease_expires_at=lease_expires_at,
    )
