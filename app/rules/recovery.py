"""Which runs are dead, and which of them go back to Scheduled. Pure: facts and `now` in.

*Silent* since: the later of when the run was last heard and when listening last began (see
`storage.postgres.signs_of_life`). A run has *promised* heartbeats when it has sent one in this
attempt. A run that is RUNNING is dead if and only if

- it promised heartbeats and was silent for as long as several of its own intervals, or
- it promised none, and its worker is OFFLINE, and both were silent for the patience.

All others are left alone, above all runs that promised nothing and whose worker nobody knows.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from app.wire.recovery import Suspect

# On a run or its deployment, as a tag, or as a label with the value true.
NO_ZOMBIE_KILLER = "tailrace.zombie-killer.off"
NO_LAZARUS = "tailrace.lazarus.off"
# Clients send heartbeats no more often than this, so less silence than some of these means nothing.
SHORTEST_INTERVAL_SECONDS = 30.0
# A Runner polls every 10 s.
RUNNER_GONE = dt.timedelta(seconds=60)
# For so long a crashed run waits for a Runner.
RUNNER_AWAITED = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What the operator decided. `heartbeat_seconds` is the interval of runs whose own is not known
    yet, `patience_seconds` how long a worker must be gone, a run pending or due without a sign."""

    zombie_killer: bool = True
    heartbeat_seconds: float = 180.0
    heartbeats_missed: int = 3
    patience_seconds: float = 600.0
    lazarus_attempts: int = 3
    lazarus_crashed: Literal["always", "retries", "never"] = "retries"

    @property
    def patience(self) -> dt.timedelta:
        """`patience_seconds` as a time."""
        return dt.timedelta(seconds=self.patience_seconds)

    @property
    def least_silence(self) -> dt.timedelta:
        """Below this nothing is dead."""
        interval = min(SHORTEST_INTERVAL_SECONDS, self.heartbeat_seconds)
        return dt.timedelta(seconds=interval * self.heartbeats_missed)


def heartbeat_interval(suspect: Suspect, recovery: Recovery) -> dt.timedelta:
    """The larger of the last two distances between heartbeats: one is short when an attempt began
    anew, or long when one was lost. Until two are known, at least the usual interval."""
    usual = dt.timedelta(seconds=recovery.heartbeat_seconds)
    if suspect.gap is None:
        return usual
    return max(suspect.gap, suspect.earlier_gap or usual)


def why_dead(
    suspect: Suspect, recovery: Recovery, *, listening_since: dt.datetime, now: dt.datetime
) -> str | None:
    """Why a RUNNING run is dead; None when it may live."""
    if _opted_out(suspect, NO_ZOMBIE_KILLER):
        return None
    silent = now - max(suspect.last_heard, listening_since)
    if silent < recovery.least_silence:
        return None
    heard = (
        f"it was last heard at {_time(suspect.last_heard)}, {_span(now - suspect.last_heard)} ago"
    )
    interval = heartbeat_interval(suspect, recovery)
    # A heartbeat shortly before the state was written is one of this attempt all the same.
    if suspect.last_beat is not None and suspect.last_beat >= suspect.entered - interval:
        if silent < interval * recovery.heartbeats_missed:
            return None
        return (
            f"it sent heartbeats every {_span(interval)} and missed"
            f" {recovery.heartbeats_missed} of them; {heard}"
        )
    if suspect.worker_status == "OFFLINE" and suspect.worker_heard is not None:
        gone = now - max(suspect.worker_heard, listening_since)
        if min(gone, silent) >= recovery.patience:
            return (
                f"its worker {suspect.worker_name!r} has been offline since"
                f" {_time(suspect.worker_heard)} and it promised no heartbeats; {heard}"
            )
    return None


def why_stuck(
    suspect: Suspect, recovery: Recovery, *, listening_since: dt.datetime, now: dt.datetime
) -> str | None:
    """Why a PENDING or SCHEDULED run makes no progress; None when it may."""
    silent = now - max(suspect.last_heard, listening_since)
    if suspect.deployment_id is None or silent < recovery.patience:
        return None
    if suspect.state_type == "PENDING":
        if suspect.worker_status == "ONLINE":
            return None
        who = (
            f"worker {suspect.worker_name!r}, which is offline,"
            if suspect.worker_name
            else "a process"
        )
        return f"{who} took it and nothing was heard of it for {_span(silent)}"
    if suspect.state_type != "SCHEDULED" or suspect.due is None:
        return None
    late = now - suspect.due
    if late < recovery.patience:
        return None
    if suspect.retry_type == "in_process":
        return f"the process that was to retry it {_span(late)} ago is gone"
    if suspect.work_queue_id is None and suspect.deployment_queue is not None:
        return f"it has been due for {_span(late)} in a work queue that is gone"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a dead run: back to Scheduled at `start`; or left for good; or, with neither,
    looked at again later."""

    start: dt.datetime | None = None
    left: str | None = None


LATER = Verdict()


def resurrect(
    suspect: Suspect,
    recovery: Recovery,
    *,
    attempts: int,
    died: dt.datetime,
    listening_since: dt.datetime,
    now: dt.datetime,
) -> Verdict:
    """What becomes of a run that is dead or stuck since `died`, and was put back `attempts` times."""
    if suspect.deployment_id is None:
        return Verdict(left="it has no deployment, so nobody could run it again")
    if _opted_out(suspect, NO_LAZARUS):
        return Verdict(left=f"it or its deployment says {NO_LAZARUS}")
    if attempts >= recovery.lazarus_attempts:
        return Verdict(left=f"it was put back {attempts} times already")
    start = now
    if suspect.state_type == "CRASHED":
        retries_left = suspect.retries is not None and suspect.run_count <= suspect.retries
        if recovery.lazarus_crashed == "never":
            return Verdict(left="crashed runs are left alone here")
        if recovery.lazarus_crashed == "retries" and not retries_left:
            return Verdict(left="it has no retries left")
        if now - max(suspect.last_heard, listening_since) < recovery.least_silence:
            # Its process speaks after all: it only lost its connection.
            return LATER
        if retries_left:
            start = now + dt.timedelta(seconds=suspect.retry_delay)
    if suspect.deployment_queue is None and suspect.work_queue_id is None:
        polled = suspect.deployment_polled
        if polled is None or now - polled > RUNNER_GONE:
            if now - died > RUNNER_AWAITED:
                return Verdict(left="nobody serves its deployment")
            return LATER
    return Verdict(start=start)


def _opted_out(suspect: Suspect, word: str) -> bool:
    return (
        word in suspect.tags
        or word in suspect.deployment_tags
        or suspect.labels.get(word) is True
        or suspect.deployment_labels.get(word) is True
    )


def _time(time: dt.datetime) -> str:
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(span: dt.timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
