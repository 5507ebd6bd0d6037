"""Runs found dead become CRASHED, and dead or stuck ones go back to Scheduled.

Everything is judged once more under the lock of the run's row: what was heard or changed meanwhile
counts. The state is proposed like anybody's, so the rules release slots and tell the event stream.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from app.orchestration.transition import (
    propose_flow_run_state,
    set_flow_run_state,
    set_task_run_state,
)
from app.rules.recovery import Verdict
from app.wire.facts import Client
from app.wire.recovery import Suspect
from app.wire.state_changes import StateAuthor
from app.wire.states import StateCreate, StateDetails
from storage.errors import NotFound
from storage.postgres import recovery as store
from storage.postgres import states
from storage.postgres.pool import Conn, Pool, connection, transaction

# Task runs and subflows that one dead run leaves behind, per look.
LEFT_BEHIND = 500
ZOMBIE_KILLER = Client(changed_by=StateAuthor(kind="job", name="zombie-killer").text())
LAZARUS = Client(changed_by=StateAuthor(kind="job", name="lazarus").text())


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The state that was written, for the event stream, and its message."""

    state_id: uuid.UUID
    message: str


async def crash(
    pool: Pool,
    flow_run_id: uuid.UUID,
    why_dead: Callable[[Suspect], str | None],
    *,
    now: dt.datetime,
) -> Changed | None:
    """Make a RUNNING run CRASHED if `why_dead`, asked again under its lock, still says why; None when
    it lives after all, changed meanwhile, or is gone."""
    async with transaction(pool) as conn:
        try:
            await states.lock_flow_run(conn, flow_run_id)
        except NotFound:
            return None
        [suspect] = await store.suspects(conn, [flow_run_id])
        why = why_dead(suspect)
        if why is None:
            return None
        message = f"Tailrace's zombie killer found this run dead: {why}."
        proposed = StateCreate(type="CRASHED", message=message)
        result = await propose_flow_run_state(
            conn, flow_run_id, proposed, now=now, client=ZOMBIE_KILLER
        )
        if result.status != "ACCEPT" or result.state is None:
            return None
        await store.record_death(conn, result.state.id, flow_run_id, now=now)
        return Changed(state_id=result.state.id, message=message)


async def crash_left_behind(
    pool: Pool, flow_run_id: uuid.UUID, *, died: dt.datetime, now: dt.datetime
) -> list[uuid.UUID]:
    """Make CRASHED what the process that died then had in hand: running task runs and, with theirs,
    the subflows inside it. Gives the state ids of those subflows. May be run again."""
    written: list[uuid.UUID] = []
    proposed = StateCreate(
        type="CRASHED", message=f"The process of flow run {flow_run_id} is dead: it ran this too."
    )
    while True:
        async with connection(pool) as conn:
            task_runs, flow_runs = await store.left_behind(
                conn, flow_run_id, died=died, limit=LEFT_BEHIND
            )
        changed = 0
        for subflow_id in flow_runs:
            result = await set_flow_run_state(
                pool, subflow_id, proposed, now=now, client=ZOMBIE_KILLER
            )
            if result.status == "ACCEPT" and result.state is not None:
                written.append(result.state.id)
                changed += 1
            written += await crash_left_behind(pool, subflow_id, died=died, now=now)
        for task_run_id in task_runs:
            result = await set_task_run_state(pool, task_run_id, proposed, now=now)
            changed += result.status == "ACCEPT"
        if not changed or len(task_runs) + len(flow_runs) < LEFT_BEHIND:
            return written


async def put_back(
    pool: Pool,
    flow_run_id: uuid.UUID,
    died_in: uuid.UUID,
    judge: Callable[[Suspect], tuple[str, Verdict] | None],
    *,
    now: dt.datetime,
) -> Changed | None:
    """Put a run back to SCHEDULED that died or got stuck in that state, if `judge`, asked under its
    lock, says so; it also says why. What is left for good is written down as such. None when nothing
    was changed.

    Raises:
        NotPutBack: the rules refused; nothing was written.
    """
    async with transaction(pool) as conn:
        try:
            await states.lock_flow_run(conn, flow_run_id)
        except NotFound:
            return None
        [suspect] = await store.suspects(conn, [flow_run_id])
        judged = judge(suspect) if suspect.state_id == died_in else None
        if judged is None:
            return None
        why, verdict = judged
        if verdict.left is not None:
            if suspect.state_type == "CRASHED":
                await store.settle_death(conn, died_in, "left", verdict.left, now=now)
            return None
        if verdict.start is None or not await _claim(conn, suspect, why, now=now):
            return None
        message = f"Put back by Lazarus (attempt {suspect.put_back + 1}): {why}."
        proposed = StateCreate(
            type="SCHEDULED",
            name=_name_of(suspect),
            message=message,
            state_details=StateDetails(scheduled_time=verdict.start),
        )
        result = await propose_flow_run_state(conn, flow_run_id, proposed, now=now, client=LAZARUS)
        if result.status != "ACCEPT" or result.state is None:
            # Leaves the transaction: nothing of this holds.
            raise NotPutBack(f"{flow_run_id}: {result.details}")
        if verdict.same_place:
            await store.offer_anew(conn, flow_run_id)
        else:
            await store.make_ready_for_new_process(conn, flow_run_id)
        return Changed(state_id=result.state.id, message=message)


class NotPutBack(Exception):
    """The rules refused to put a run back."""


def _name_of(suspect: Suspect) -> str:
    if suspect.state_type == "SCHEDULED" and suspect.state_name == "Resuming":
        return "Resuming"
    begun = suspect.state_type == "CRASHED" or suspect.run_count > 0
    return "AwaitingRetry" if begun else "Scheduled"


async def _claim(conn: Conn, suspect: Suspect, why: str, *, now: dt.datetime) -> bool:
    """Whether this death is ours to deal with: each is dealt with once."""
    if suspect.state_type == "CRASHED":
        return await store.settle_death(conn, suspect.state_id, "rescheduled", why, now=now)
    return await store.record_death(
        conn, suspect.state_id, suspect.id, now=now, outcome="rescheduled", reason=why
    )
