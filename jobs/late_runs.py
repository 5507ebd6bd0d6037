"""Say of runs that nobody started in time that they are late.

Only the name of their state changes. A run whose deployment cancels what finds no slot, and has
none free, is cancelled instead.
"""

from app.rules import flow_policy
from app.services import Services
from app.wire.base import utc_now
from app.wire.facts import FlowRunFacts
from app.wire.states import StateCreate, StateDetails
from jobs.job import Report
from jobs.state_changes import BATCH, change_flow_run, in_batches
from storage.postgres.unfinished_runs import runs_becoming_late


async def mark_late_runs(services: Services) -> Report:
    """Mark the runs that have become late."""
    due_before = utc_now() - services.late_after

    def late(run: FlowRunFacts) -> StateCreate | None:
        due = run.next_scheduled_start_time
        if run.state is None or (run.state.type, run.state.name) != ("SCHEDULED", "Scheduled"):
            return None
        if due is None or due > due_before:
            return None
        details = StateDetails(scheduled_time=due)
        return StateCreate(type="SCHEDULED", name="Late", state_details=details)

    marked = await in_batches(
        services,
        lambda conn: runs_becoming_late(conn, due_before=due_before, at_most=BATCH),
        lambda id: change_flow_run(
            services, id, late, job="late-runs", policy=flow_policy.MARK_LATE
        ),
    )
    return {"flow_runs": marked} if marked else {}
