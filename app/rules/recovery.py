"""Which runs are dead, and which of them go back to Scheduled. Pure: facts and `now` in.

*Silent* since: the later of when the run was last heard and when listening last began (see
`storage.postgres.signs_of_life`). A run has *promised* heartbeats when it has sent one in this
attempt. A run that is RUNNING is dead if and only if

- it promised heartbeats and was silent for as long as several of its own intervals, or
- it promised none, and its worker is OFFLINE, and both were silent for the patience.

All others are left alone, above all runs that promised nothing and whose worker nobody knows.

A run that is PENDING is stuck when it was silent for the patience and whoever took it is gone; where
somebody who lives may still be starting it, for several times as long; and never once it has
infrastructure that such a one looks after. A run that is SCHEDULED is stuck when it has been due for
the patience and nobody can take it, or workers that have nothing else to do ask for it and do not.
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
# Runners and workers poll every 10 or 15 s; who has not for so long is gone.
POLLS_MISSED = dt.timedelta(seconds=60)
# For so long a crashed run waits for a Runner.
RUNNER_AWAITED = dt.timedelta(days=1)
# To provision infrastructure takes minutes; after so many times the patience nobody is at it.
TIMES_HELD = 6


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
    if suspect.state_type != "RUNNING" or _opted_out(suspect, NO_ZOMBIE_KILLER):
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
    if silent >= recovery.patience and _worker_is_gone(suspect, recovery, now):
        return f"{_gone_worker(suspect)} and it promised no heartbeats; {heard}"
    return None


def why_stuck(
    suspect: Suspect, recovery: Recovery, *, listening_since: dt.datetime, now: dt.datetime
) -> str | None:
    """Why a PENDING or SCHEDULED run makes no progress; None when it may."""
    silent = now - max(suspect.last_heard, listening_since)
    if suspect.deployment_id is None or silent < recovery.patience:
        return None
    if suspect.state_type == "PENDING":
        return _why_not_begun(suspect, recovery, silent, now)
    if suspect.state_type == "SCHEDULED" and suspect.due is not None:
        return _why_not_taken(suspect, recovery, now)
    return None


def _why_not_begun(
    suspect: Suspect, recovery: Recovery, silent: dt.timedelta, now: dt.datetime
) -> str | None:
    nothing = f"nothing was heard of it for {_span(silent)}"
    if _worker_is_gone(suspect, recovery, now):
        return f"{_gone_worker(suspect)}, and {nothing}"
    if not _may_be_in_hand(suspect, now):
        return f"whoever took it is gone, and {nothing}"
    # Of infrastructure that there is, whoever made it will tell.
    if suspect.infrastructure_pid is not None or silent < recovery.patience * TIMES_HELD:
        return None
    return f"it was taken, but {nothing}, and it got no process"


def _may_be_in_hand(suspect: Suspect, now: dt.datetime) -> bool:
    """Whether somebody who lives may have taken the run."""
    if suspect.worker_status is not None:
        return True
    if suspect.waits_in is None:
        return _polled(suspect.deployment_polled, now)
    online_since = suspect.waits_in.online_since
    return online_since is not None and online_since <= suspect.entered


def _why_not_taken(suspect: Suspect, recovery: Recovery, now: dt.datetime) -> str | None:
    assert suspect.due is not None
    late = now - suspect.due
    if late < recovery.patience:
        return None
    if suspect.retry_type == "in_process":
        return f"the process that was to retry it {_span(late)} ago is gone"
    if suspect.work_queue_id is None and suspect.deployment_queue is not None:
        return f"it has been due for {_span(late)} in a work queue that is gone"
    if is_passed_over(suspect, now):
        assert suspect.waits_in is not None
        return (
            f"it has been due for {_span(late)}, and workers of {suspect.waits_in.pool!r} that have"
            f" nothing else to do ask for runs of {suspect.waits_in.queue!r} and do not take it"
        )
    return None


def is_passed_over(suspect: Suspect, now: dt.datetime) -> bool:
    """Whether workers could take the run and do not. A worker that is as busy as its own limit, of
    which the server knows nothing, allows, is not passing anything over: only where no run of the
    pool is at work all of them are free."""
    waits = suspect.waits_in
    return (
        waits is not None
        and waits.online_since is not None
        and _polled(waits.polled, now)
        and not (waits.is_paused or waits.is_full or waits.at_work)
        and suspect.retry_type != "in_process"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a dead run: back to Scheduled at `start`; or left for good; or, with neither,
    looked at again later. `same_place`: no process has ever had it, it only is offered anew."""

    start: dt.datetime | None = None
    left: str | None = None
    same_place: bool = False


LATER = Verdict()


def judge(
    suspect: Suspect, recovery: Recovery, *, listening_since: dt.datetime, now: dt.datetime
) -> tuple[str, Verdict] | None:
    """Why a run makes no progress and what becomes of it; None when it may. A CRASHED run is asked
    for only when the zombie killer found it dead."""
    if suspect.state_type == "CRASHED":
        why: str | None = "its process was found dead"
    else:
        why = why_stuck(suspect, recovery, listening_since=listening_since, now=now)
    if why is None:
        return None
    return why, resurrect(suspect, recovery, listening_since=listening_since, now=now)


def resurrect(
    suspect: Suspect, recovery: Recovery, *, listening_since: dt.datetime, now: dt.datetime
) -> Verdict:
    """What becomes of a run that is dead or stuck since it entered its state."""
    if suspect.deployment_id is None:
        return Verdict(left="it has no deployment, so nobody could run it again")
    if _opted_out(suspect, NO_LAZARUS):
        return Verdict(left=f"it or its deployment says {NO_LAZARUS}")
    if recovery.lazarus_attempts == 0:
        return Verdict(left="Lazarus is off")
    if suspect.put_back >= recovery.lazarus_attempts:
        return Verdict(left=f"it was put back {suspect.put_back} times already")
    if suspect.state_type == "SCHEDULED" and is_passed_over(suspect, now):
        return Verdict(start=suspect.due, same_place=True)
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
    needs_runner = suspect.deployment_queue is None and suspect.work_queue_id is None
    if needs_runner and not _polled(suspect.deployment_polled, now):
        if now - suspect.entered > RUNNER_AWAITED:
            return Verdict(left="nobody serves its deployment")
        return LATER
    return Verdict(start=start)


def _worker_is_gone(suspect: Suspect, recovery: Recovery, now: dt.datetime) -> bool:
    """Asked only of runs that were silent for the patience, so somebody listened for as long."""
    if suspect.worker_status != "OFFLINE" or suspect.worker_heard is None:
        return False
    return now - suspect.worker_heard >= recovery.patience


def _gone_worker(suspect: Suspect) -> str:
    assert suspect.worker_heard is not None
    return (
        f"its worker {suspect.worker_name!r} has been offline since {_time(suspect.worker_heard)}"
    )


def _polled(at: dt.datetime | None, now: dt.datetime) -> bool:
    return at is not None and now - at <= POLLS_MISSED


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
