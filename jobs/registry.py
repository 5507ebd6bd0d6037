"""The whole list of jobs."""

import datetime as dt
from dataclasses import replace

from app.rules.schedules import Scheduling
from jobs.cancellation_cleanup import clean_up_after_cancellation
from jobs.concurrency_leases import free_expired_concurrency_leases
from jobs.event_retention import remove_old_events
from jobs.history import prune_job_runs
from jobs.iceberg_publish import publish_archive
from jobs.job import Job
from jobs.late_runs import mark_late_runs
from jobs.lazarus import preview_the_dead, raise_the_dead
from jobs.log_compaction import (
    clean_logs,
    compact_logs,
    locate_task_lines,
    prune_log_tombstones,
)
from jobs.log_offload import offload_logs, prune_log_receipts, sweep_segments
from jobs.log_retention import expire_logs, preview_expiring_logs
from jobs.log_verify import EVERY as EVERY_VERIFICATION
from jobs.log_verify import verify_now, verify_when_due
from jobs.pause_expiry import fail_expired_pauses
from jobs.scheduler import schedule_recent_changes, schedule_runs
from jobs.worker_cleanup import redeliver_cleanups
from jobs.worker_liveness import mark_silent_workers
from jobs.zombie_killer import kill_zombies, preview_zombies
from storage.postgres.scheduled_runs import CHANNEL as SCHEDULES_CHANGED

ALL_JOBS = (
    Job(
        name="log-offload",
        description="Moves hot log batches to S3 as segments.",
        every=dt.timedelta(seconds=1),
        run=offload_logs,
    ),
    Job(
        name="log-sweep",
        description="Deletes objects that were replaced by a merge or never published.",
        every=dt.timedelta(minutes=10),
        run=sweep_segments,
    ),
    Job(
        name="log-compaction",
        description="Merges segments into fewer and larger ones.",
        every=dt.timedelta(seconds=10),
        run=compact_logs,
    ),
    # It looks at every deletion of a week, which is too much for every few seconds.
    Job(
        name="log-cleaning",
        description="Rewrites segments that hold many lines of deleted runs.",
        every=dt.timedelta(minutes=5),
        run=clean_logs,
    ),
    Job(
        name="log-retention",
        description="Removes logs whose time is over by the retention rules.",
        every=dt.timedelta(minutes=10),
        run=expire_logs,
        preview=preview_expiring_logs,
    ),
    Job(
        name="log-tombstones",
        description="Forgets deletions whose lines are held nowhere any more.",
        every=dt.timedelta(minutes=10),
        run=prune_log_tombstones,
    ),
    Job(
        name="log-task-lines",
        description="Finds the flow runs under which deleted task runs have lines.",
        every=dt.timedelta(minutes=1),
        run=locate_task_lines,
    ),
    Job(
        name="iceberg-publish",
        description="Brings the Iceberg tables of logs and runs up to date.",
        every=dt.timedelta(minutes=10),
        run=publish_archive,
    ),
    Job(
        name="log-receipts",
        description="Forgets receipts of log posts that nobody retries any more.",
        every=dt.timedelta(minutes=1),
        run=prune_log_receipts,
    ),
    Job(
        name="concurrency-leases",
        description="Gives back concurrency slots whose holders stopped renewing them.",
        every=dt.timedelta(seconds=15),
        run=free_expired_concurrency_leases,
    ),
    Job(
        name="scheduler",
        description="Makes the runs of all schedules ahead of their time.",
        every=dt.timedelta(seconds=60),
        run=schedule_runs,
    ),
    Job(
        name="recent-scheduler",
        description="Makes the runs of schedules that changed lately.",
        every=dt.timedelta(seconds=5),
        run=schedule_recent_changes,
        nudged_by=SCHEDULES_CHANGED,
    ),
    Job(
        name="late-runs",
        description="Marks runs that nobody started in time as late.",
        every=dt.timedelta(seconds=5),
        run=mark_late_runs,
    ),
    Job(
        name="pause-expiry",
        description="Fails paused runs that nobody resumed in time.",
        every=dt.timedelta(seconds=5),
        run=fail_expired_pauses,
    ),
    Job(
        name="cancellation-cleanup",
        description="Ends what cancelled runs leave behind.",
        every=dt.timedelta(seconds=20),
        run=clean_up_after_cancellation,
    ),
    Job(
        name="worker-liveness",
        description="Marks workers, pools, queues and deployments that nobody has heard of as gone.",
        every=dt.timedelta(seconds=15),
        run=mark_silent_workers,
    ),
    Job(
        name="worker-cleanup",
        description="Hands what a worker did not end in time to another one.",
        every=dt.timedelta(seconds=5),
        run=redeliver_cleanups,
    ),
    Job(
        name="zombie-killer",
        description="Crashes running flow runs whose process is dead.",
        every=dt.timedelta(seconds=30),
        run=kill_zombies,
        preview=preview_zombies,
    ),
    Job(
        name="lazarus",
        description="Brings runs that died or are stuck back to Scheduled, a few times at most.",
        every=dt.timedelta(seconds=60),
        run=raise_the_dead,
        preview=preview_the_dead,
    ),
    Job(
        name="event-retention",
        description="Removes events whose time is over.",
        every=dt.timedelta(minutes=1),
        run=remove_old_events,
    ),
    Job(
        name="log-verify",
        description="Compares the segments in the manifest with the objects in the bucket.",
        every=EVERY_VERIFICATION,
        run=verify_when_due,
        run_by_hand=verify_now,
        time_limit=dt.timedelta(hours=2),
    ),
    Job(
        name="job-history",
        description="Keeps the record of passes bounded.",
        every=dt.timedelta(minutes=10),
        run=prune_job_runs,
    ),
)


def jobs_as_set(
    scheduling: Scheduling, archive_every_minutes: int | None = None
) -> tuple[Job, ...]:
    """All jobs, scheduler and archive as often as the operator wants them."""
    wanted = {"scheduler": dt.timedelta(seconds=scheduling.every_seconds)}
    if archive_every_minutes is not None:
        wanted["iceberg-publish"] = dt.timedelta(minutes=archive_every_minutes)
    return tuple(replace(job, every=wanted.get(job.name, job.every)) for job in ALL_JOBS)
