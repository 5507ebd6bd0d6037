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
from app.wire.recovery import Suspect
from app.wire.states import StateCreate, StateDetails, StateType
from storage.errors import NotFound
from storage.postgres import recovery as store
from storage.postgres import states
from storage.postgres.pool import Pool, transaction

# Task runs and subflows that one dead run leaves behind, per look.
LEFT_BEHIND = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The state that was written, for the event stream, and its message."""

    state_id: uuid.UUID
    message: str


async def crash(
    pool: Pool,
    flow_run_id: uuid.UUID,
    judge: Callable[[Suspect], str | None],
    *,
    silent_since: dt.datetime,
    now: dt.datetime,
) -> Changed | None:
    """Make a RUNNING run CRASHED if `judge`, asked again under its lock, still says why; None when
    it lives after all, changed meanwhile, or is gone."""
    async with transaction(pool) as conn:
        try:
            await states.lock_flow_run(conn, flow_run_id)
        except NotFound:
            return None
        found = await store.suspects(conn, "RUNNING", heard_before=silent_since, only=flow_run_id)
        why = judge(found[0]) if found else None
        if why is None:
            return None
        message = f"Tailrace's zombie killer found this run dead: {why}."
        proposed = StateCreate(type="CRASHED", message=message)
        result = await propose_flow_run_state(conn, flow_run_id, proposed, now=now)
        if result.status != "ACCEPT" or result.state is None:
            return None
        await store.record_death(conn, result.state.id, flow_run_id, now=now)
        return Changed(state_id=result.state.id, message=message)


async def crash_left_behind(
    pool: Pool, flow_run_id: uuid.UUID, *, now: dt.datetime
) -> list[uuid.UUID]:
    """Make CRASHED what the dead run's process had in hand: running task runs and, with theirs, the
    subflows inside it. Gives the state ids of those subflows. May be run again."""
    written: list[uuid.UUID] = []
    proposed = StateCreate(
        type="CRASHED", message=f"The process of flow run {flow_run_id} is dead: it ran this too."
    )
    async with transaction(pool) as conn:
        task_runs, flow_runs = await store.left_behind(conn, flow_run_id, LEFT_BEHIND)
    for subflow_id in flow_runs:
        result = await set_flow_run_state(pool, subflow_id, proposed, now=now)
        if result.status == "ACCEPT" and result.state is not None:
            written.append(result.state.id)
        written += await crash_left_behind(pool, subflow_id, now=now)
    for task_run_id in task_runs:
        await set_task_run_state(pool, task_run_id, proposed, now=now)
    return written


async def put_back(
    pool: Pool,
    flow_run_id: uuid.UUID,
    state_type: StateType,
    judge: Callable[[Suspect, int], tuple[str, Verdict] | None],
    *,
    death_id: uuid.UUID,
    silent_since: dt.datetime,
    now: dt.datetime,
) -> Changed | None:
    """Put a run back to SCHEDULED that died in state `death_id`, if `judge`, asked under its lock
    with the number of earlier times, says so; it also says why the run is dead. What is left for
    good is written down as such. None when nothing was changed."""
    async with transaction(pool) as conn:
        try:
            await states.lock_flow_run(conn, flow_run_id)
        except NotFound:
            return None
        found = await store.suspects(conn, state_type, heard_before=silent_since, only=flow_run_id)
        if not found or found[0].state_id != death_id:
            return None
        attempts = await store.count_resurrections(conn, flow_run_id)
        judged = judge(found[0], attempts)
        if judged is None:
            return None
        why, verdict = judged
        if verdict.left is not None:
            if state_type == "CRASHED":
                await store.settle_death(conn, death_id, "left", verdict.left, now=now)
            return None
        if verdict.start is None:
            return None
        if not await _claim(conn, death_id, flow_run_id, state_type, why, now=now):
            return None
        message = f"Put back by Lazarus (attempt {attempts + 1}): {why}."
        retry = state_type == "CRASHED" or found[0].run_count > 0
        proposed = StateCreate(
            type="SCHEDULED",
            name="AwaitingRetry" if retry else "Scheduled",
            message=message,
            state_details=StateDetails(scheduled_time=verdict.start),
        )
        result = await propose_flow_run_state(conn, flow_run_id, proposed, now=now)
        if result.status != "ACCEPT" or result.state is None:
            # Leaves the transaction: nothing of this holds.
            raise NotPutBack(f"{flow_run_id}: {result.details}")
        await store.make_ready_for_new_process(conn, flow_run_id)
        return Changed(state_id=result.state.id, message=message)


class NotPutBack(Exception):
    """The rules refused to put a run back."""


async def _claim(
    conn: store.Conn,
    death_id: uuid.UUID,
    flow_run_id: uuid.UUID,
    state_type: StateType,
    why: str,
    *,
    now: dt.datetime,
) -> bool:
    """Whether this death is ours to deal with: each is dealt with once."""
    if state_type == "CRASHED":
        return await store.settle_death(conn, death_id, "rescheduled", why, now=now)
    return await store.record_death(
        conn, death_id, flow_run_id, now=now, outcome="rescheduled", reason=why
    )
