"""The whole list of jobs."""

import datetime as dt

from jobs.concurrency_leases import free_expired_concurrency_leases
from jobs.history import prune_job_runs
from jobs.job import Job
from jobs.log_offload import offload_logs, prune_log_receipts, sweep_segments

ALL_JOBS = (
    Job(name="log-offload", every=dt.timedelta(seconds=1), run=offload_logs),
    Job(name="log-sweep", every=dt.timedelta(minutes=10), run=sweep_segments),
    Job(name="log-receipts", every=dt.timedelta(minutes=1), run=prune_log_receipts),
    Job(
        name="concurrency-leases",
        every=dt.timedelta(seconds=15),
        run=free_expired_concurrency_leases,
    ),
    Job(name="job-history", every=dt.timedelta(minutes=10), run=prune_job_runs),
)
