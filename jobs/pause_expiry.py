"""Fail paused runs that nobody resumed before their pause timed out."""

from app.rules import flow_policy
from app.services import Services
from app.wire.base import utc_now
from app.wire.facts import FlowRunFacts
from app.wire.states import StateCreate
from jobs.job import Report
from jobs.state_changes import BATCH, change_flow_run, in_batches
from storage.postgres.unfinished_runs import expired_pauses


async def fail_expired_pauses(services: Services) -> Report:
    """Fail the runs whose pause has timed out."""
    now = utc_now()

    def failed(run: FlowRunFacts) -> StateCreate | None:
        if run.state is None or run.state.type != "PAUSED":
            return None
        timeout = run.state.state_details.pause_timeout
        if timeout is None or timeout >= now:
            return None
        return StateCreate(type="FAILED", message="The flow was paused and never resumed.")

    ended = await in_batches(
        services,
        lambda conn: expired_pauses(conn, now=now, at_most=BATCH),
        lambda id: change_flow_run(
            services, id, failed, job="pause-expiry", policy=flow_policy.MINIMAL
        ),
    )
    return {"flow_runs": ended} if ended else {}
