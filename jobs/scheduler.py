"""Make the runs of schedules ahead of their time.

One job looks at all schedules every minute, another at those that were changed lately, as soon as
somebody says so: a changed deployment has its runs within seconds however many others there are.
"""

import datetime as dt

from app.orchestration.scheduling import Refilled, refill_schedules
from app.services import Services
from app.wire.base import utc_now
from jobs.job import Report

# What was changed while a pass of the first job went by is seen by the second, which hears of changes.
RECENT = dt.timedelta(seconds=90)


async def schedule_runs(services: Services) -> Report:
    """Refill all schedules."""
    return _report(await refill_schedules(services.pool, services.scheduling, now=utc_now()))


async def schedule_recent_changes(services: Services) -> Report:
    """Refill the schedules that were changed lately."""
    now = utc_now()
    return _report(
        await refill_schedules(
            services.pool, services.scheduling, now=now, changed_since=now - RECENT
        )
    )


def _report(done: Refilled) -> Report:
    if not done.runs and not done.failed:
        return {}
    return {"flow_runs": done.runs, "schedules": done.schedules, "failed": done.failed}
