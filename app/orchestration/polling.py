"""Polling: runs that are due are handed out, and who asks for them is noted.

Nothing is claimed here: the claim is the PENDING state that a worker proposes, and the rules let one
of them have it. What a poll changes besides is that its queues and deployments are READY and were
polled now; the ids of the events that tell of it are given back, for the caller to announce.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import replace

from app.orchestration.pool_events import pool_resource, status_of_deployment, status_of_queue
from app.wire.events import ReceivedEvent
from app.wire.runs import FlowRun
from app.wire.work_pools import DeploymentPoll, PoolPoll, QueuePoll, WorkerFlowRun, WorkQueue
from storage.postgres import polling
from storage.postgres.deployments import mark_polled
from storage.postgres.events import insert_events
from storage.postgres.liveness import read_deployment_subjects
from storage.postgres.polling import MARKED_EVERY, PolledQueue, Wanted
from storage.postgres.pool import Pool, connection, transaction
from storage.postgres.work_pools import unknown_pool
from storage.postgres.work_queues import unknown_queue

# Workers ask for what is due within the next 10 s; clocks differ. Who asks for more looks ahead, and
# must not keep runs from those who work on them.
OFFERED_AHEAD = dt.timedelta(seconds=15)


async def poll_pool(
    pool: Pool, pool_name: str, poll: PoolPoll, *, only_look: bool, now: dt.datetime
) -> tuple[list[WorkerFlowRun], list[uuid.UUID]]:
    """Due runs of the queues that are named, or of all queues of the pool. `only_look` leaves no
    traces: nobody works on what is answered.

    Raises:
        NotFound: there is no such pool, or no such queue in it.
    """
    wanted = _wanted(poll.scheduled_before, poll.limit, only_look=only_look, now=now)
    wanted = replace(wanted, after=poll.scheduled_after)
    async with connection(pool) as conn:
        polled = await polling.read_polled_queues(
            conn, pool_name, poll.work_queue_names, before=wanted.before
        )
    if polled is None:
        raise unknown_pool(pool_name)
    known = {queue.name for queue in polled.queues}
    for name in poll.work_queue_names:
        if name not in known:
            raise unknown_queue(pool_name, name)
    runs: list[FlowRun] = []
    if not polled.is_paused:
        runs = await _choose_of_queues(pool, polled.id, polled.queues, wanted, now)
    told = [] if only_look else await _mark_queues(pool, polled.queues, now)
    handed_out = [
        WorkerFlowRun(work_pool_id=polled.id, work_queue_id=run.work_queue_id, flow_run=run)
        for run in runs
        if run.work_queue_id is not None
    ]
    return handed_out, told


async def poll_queue(
    pool: Pool, queue: WorkQueue, poll: QueuePoll, *, only_look: bool, now: dt.datetime
) -> tuple[list[FlowRun], list[uuid.UUID]]:
    """Due runs of one queue, as old agents ask for them. A queue with a filter has those that the
    filter picks, whatever queue they are in."""
    if queue.work_pool_id is None:
        return [], []
    wanted = _wanted(poll.scheduled_before, poll.limit, only_look=only_look, now=now)
    polled = PolledQueue(
        id=queue.id,
        name=queue.name,
        is_paused=queue.is_paused,
        last_polled=queue.last_polled,
        has_due=True,
    )
    runs: list[FlowRun] = []
    if queue.filter is None:
        runs = await _choose_of_queues(pool, queue.work_pool_id, [polled], wanted, now)
    elif not queue.is_paused:
        async with connection(pool) as conn:
            chosen = await polling.choose_of_filter(conn, queue.id, queue.filter, wanted)
            runs = await polling.read_chosen(conn, chosen, now=now)
    told = [] if only_look else await _mark_queues(pool, [polled], now)
    return runs, told


async def poll_deployments(
    pool: Pool, poll: DeploymentPoll, *, now: dt.datetime
) -> tuple[list[FlowRun], list[uuid.UUID]]:
    """Due runs of these deployments, for the process that serves them."""
    wanted = _wanted(poll.scheduled_before, poll.limit, only_look=False, now=now)
    ids = poll.deployment_ids
    runs: list[FlowRun] = []
    async with connection(pool) as conn:
        due = wanted.limit > 0 and await polling.any_due(conn, ids, before=wanted.before)
    if due:
        async with transaction(pool) as conn:
            chosen = await polling.choose_of_deployments(conn, ids, wanted, now=now)
        async with connection(pool) as conn:
            runs = await polling.read_chosen(conn, chosen, now=now)
    async with transaction(pool) as conn:
        made_ready = await mark_polled(conn, deployment_ids=ids, now=now)
        events = [
            status_of_deployment(each, "READY", now=now)
            for each in await read_deployment_subjects(conn, made_ready)
        ]
        if events:
            await insert_events(conn, events)
    return runs, [event.id for event in events]


def _wanted(before: dt.datetime | None, limit: int, *, only_look: bool, now: dt.datetime) -> Wanted:
    offer = not only_look and before is not None and before <= now + OFFERED_AHEAD
    return Wanted(before=before, limit=limit, offer=offer)


async def _choose_of_queues(
    pool: Pool,
    work_pool_id: uuid.UUID,
    queues: Sequence[PolledQueue],
    wanted: Wanted,
    now: dt.datetime,
) -> list[FlowRun]:
    with_due = [queue.id for queue in queues if queue.has_due and not queue.is_paused]
    if not with_due or wanted.limit == 0:
        return []
    # Only to choose takes turns; reading what was chosen need not keep the next poller waiting.
    async with transaction(pool) if wanted.offer else connection(pool) as conn:
        chosen = await polling.choose_of_queues(conn, work_pool_id, with_due, wanted, now=now)
    async with connection(pool) as conn:
        return await polling.read_chosen(conn, chosen, now=now)


async def _mark_queues(
    pool: Pool, queues: Sequence[PolledQueue], now: dt.datetime
) -> list[uuid.UUID]:
    stale = [
        queue.id
        for queue in queues
        if queue.last_polled is None or queue.last_polled < now - MARKED_EVERY
    ]
    if not stale:
        return []
    async with transaction(pool) as conn:
        events: list[ReceivedEvent] = [
            status_of_queue(
                made.id,
                made.name,
                pool_resource(made.work_pool_id, made.work_pool_name, made.work_pool_type),
                "READY",
                now=now,
            )
            for made in await polling.mark_queues_polled(conn, stale, now=now)
            if not made.is_paused
        ]
        made_ready = await mark_polled(conn, work_queue_ids=stale, now=now)
        events.extend(
            status_of_deployment(each, "READY", now=now)
            for each in await read_deployment_subjects(conn, made_ready)
        )
        if events:
            await insert_events(conn, events)
    return [event.id for event in events]
