"""End what cancelled runs leave behind.

- Task runs that go on in a flow run cancelled within a day are cancelled.
- Subflow runs that go on in a cancelled run are cancelled too: through whoever runs them, if they
  have a deployment, else at once. What runs inside them follows in the same pass, or in the next
  once they have ended.
- A run that has been Cancelling for `cancelling_timeout_seconds` is Cancelled: whoever should have
  ended it is gone. A worker of its pool is asked to end what may be left of it.
"""

import datetime as dt

from app.orchestration.transition import end_task_run
from app.orchestration.worker_cleanup import ask_for_teardown
from app.services import Services
from app.wire.base import utc_now
from app.wire.facts import FlowRunFacts
from app.wire.states import TERMINAL, StateCreate
from jobs.job import Report
from jobs.state_changes import BATCH, change_flow_run, in_batches
from storage.postgres.pool import Conn
from storage.postgres.unfinished_runs import (
    runs_cancelling_since,
    unfinished_subflow_runs_of_cancelled_runs,
    unfinished_task_runs_of_cancelled_runs,
)

LOOK_BACK = dt.timedelta(days=1)

JOB = "cancellation-cleanup"
_WITH_PARENT = "The parent flow run was cancelled."
_TIMED_OUT = "Flow run cancellation timed out; marked this flow run as Cancelled."


async def clean_up_after_cancellation(services: Services) -> Report:
    """End task runs and subflow runs of cancelled runs, and cancellations that nobody carried out."""
    timed_out = await _end_cancellations(services)
    subflow_runs = await _cancel_subflow_runs(services)
    task_runs = await _cancel_task_runs(services)
    report = {"timed_out": timed_out, "subflow_runs": subflow_runs, "task_runs": task_runs}
    return report if any(report.values()) else {}


async def _end_cancellations(services: Services) -> int:
    before = utc_now() - services.cancelling_timeout

    def cancelled(run: FlowRunFacts) -> StateCreate | None:
        state = run.state
        if state is None or state.type != "CANCELLING" or state.timestamp > before:
            return None
        return StateCreate(type="CANCELLED", message=_TIMED_OUT)

    async def ask(conn: Conn, run: FlowRunFacts) -> None:
        await ask_for_teardown(conn, run, now=utc_now())

    return await in_batches(
        services,
        lambda conn: runs_cancelling_since(conn, before=before, at_most=BATCH),
        lambda id: change_flow_run(services, id, cancelled, job=JOB, once_accepted=ask),
    )


async def _cancel_subflow_runs(services: Services) -> int:
    def cancelled(run: FlowRunFacts) -> StateCreate | None:
        if run.state is None or run.state.type in TERMINAL:
            return None
        if run.deployment_id is None:
            return StateCreate(type="CANCELLED", message=_WITH_PARENT)
        if run.state.type == "CANCELLING":
            return None
        return StateCreate(type="CANCELLING", message=_WITH_PARENT)

    return await in_batches(
        services,
        lambda conn: unfinished_subflow_runs_of_cancelled_runs(conn, at_most=BATCH),
        lambda id: change_flow_run(services, id, cancelled, job=JOB),
    )


async def _cancel_task_runs(services: Services) -> int:
    now = utc_now()
    state = StateCreate(type="CANCELLED", message=_WITH_PARENT)
    return await in_batches(
        services,
        lambda conn: unfinished_task_runs_of_cancelled_runs(
            conn, ended_since=now - LOOK_BACK, at_most=BATCH
        ),
        lambda id: end_task_run(services.pool, id, state, now=utc_now()),
    )
