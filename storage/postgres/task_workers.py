"""Deferred task runs on their way to task workers.

A run waits in `deferred_task_run` until a worker acknowledges it. It is handed to one connection at
a time, which holds it for a while and says again and again that it is alive; when the connection
ends without an acknowledgement the run waits again, at its old place. A process that dies holds
nothing for longer than `HOLD`. So each run goes to one worker, whatever number of processes serve
them, and a worker that acknowledges at the moment its server dies may see it a second time.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from app.wire.task_workers import TaskWorker
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

# PostgreSQL channel that tells of waiting runs; the payload is the task key, cut at 1,000 characters.
CHANNEL = "tailrace_deferred_task_runs"
PAYLOAD_CHARACTERS = 1000
# How long a run, or a worker, counts as held or alive without a sign from its connection.
HOLD = dt.timedelta(seconds=30)

_ENQUEUE = statement("enqueue_deferred_task_run")
_CLAIM = statement("claim_deferred_task_run")
_TAKE = statement("take_deferred_task_run")
_GIVE_BACK = statement("give_back_deferred_task_run")
_SEE = statement("see_task_worker")
_FORGET = statement("forget_task_worker")
_SELECT = statement("select_task_workers")


async def enqueue_deferred_task_run(
    conn: Conn, task_run_id: uuid.UUID, *, now: dt.datetime
) -> None:
    """Let the run wait for a task worker, and wake those that serve its key."""
    await conn.execute(_ENQUEUE, task_run_id, now)


async def claim_deferred_task_run(
    conn: Conn, task_keys: Sequence[str], connection_id: uuid.UUID, *, now: dt.datetime
) -> uuid.UUID | None:
    """The longest waiting run of the first key that has any; the connection holds it now."""
    id: uuid.UUID | None = await conn.fetchval(_CLAIM, task_keys, now, connection_id, now + HOLD)
    return id


async def take_deferred_task_run(
    conn: Conn, task_run_id: uuid.UUID, connection_id: uuid.UUID
) -> None:
    """The worker has the run, or nobody wants it any more: it waits no longer."""
    await conn.execute(_TAKE, task_run_id, connection_id)


async def give_back_deferred_task_run(
    conn: Conn, task_run_id: uuid.UUID, connection_id: uuid.UUID
) -> None:
    """The worker did not take the run: it waits again."""
    await conn.execute(_GIVE_BACK, task_run_id, connection_id)


async def see_task_worker(
    conn: Conn,
    connection_id: uuid.UUID,
    identifier: str,
    task_keys: Sequence[str],
    *,
    holds: uuid.UUID | None,
    now: dt.datetime,
) -> None:
    """The connection is alive, and holds on to the run that it was handed."""
    await conn.execute(_SEE, connection_id, identifier, task_keys, now, now + HOLD, holds)


async def forget_task_worker(conn: Conn, connection_id: uuid.UUID, *, now: dt.datetime) -> None:
    """The connection has ended."""
    await conn.execute(_FORGET, connection_id, now - HOLD)


async def select_task_workers(
    conn: Conn, task_keys: Sequence[str] | None, *, now: dt.datetime
) -> list[TaskWorker]:
    """Workers that are connected, of any key or of one of those given."""
    rows = await conn.fetch(_SELECT, now - HOLD, task_keys or None)
    return [
        TaskWorker(identifier=row["identifier"], task_keys=row["task_keys"], timestamp=row["seen"])
        for row in rows
    ]
