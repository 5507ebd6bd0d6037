"""Who is dead, who is stuck, and what becomes of them: one fact changed at a time."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.recovery import (
    LATER,
    NO_LAZARUS,
    NO_ZOMBIE_KILLER,
    Recovery,
    Verdict,
    heartbeat_interval,
    judge,
    why_dead,
    why_stuck,
)
from app.wire.recovery import Suspect, WaitsIn
from tests.rules.runs import NOW, SECOND

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
LONG_AGO = NOW - 48 * HOUR
QUEUE = uuid.UUID(int=5)
USUAL = Recovery()
POOL = WaitsIn(
    queue="q",
    pool="p",
    polled=NOW - 10 * SECOND,
    online_since=LONG_AGO,
    is_paused=False,
    is_full=False,
    at_work=False,
)


def a_suspect(**facts: Any) -> Suspect:
    """A run of a deployment with a pool that has been RUNNING, and silent, for an hour."""
    suspect = Suspect(
        id=uuid.UUID(int=1),
        name="a-run",
        state_id=uuid.UUID(int=2),
        state_type="RUNNING",
        state_name="Running",
        run_count=1,
        tags=(),
        labels={},
        retries=None,
        retry_delay=0.0,
        retry_type=None,
        deployment_id=uuid.UUID(int=3),
        deployment_tags=(),
        deployment_labels={},
        work_queue_id=QUEUE,
        deployment_queue=QUEUE,
        deployment_polled=None,
        due=None,
        entered=NOW - HOUR,
        last_heard=NOW - HOUR,
        last_beat=None,
        gap=None,
        earlier_gap=None,
        worker_name=None,
        worker_status=None,
        worker_heard=None,
        infrastructure_pid=None,
        put_back=0,
        waits_in=POOL,
    )
    return replace(suspect, **facts)


def of_worker(status: str, heard: dt.datetime) -> dict[str, Any]:
    return {"worker_name": "w", "worker_status": status, "worker_heard": heard}


def dead(suspect: Suspect, recovery: Recovery = USUAL, since: dt.datetime = LONG_AGO) -> str | None:
    return why_dead(suspect, recovery, listening_since=since, now=NOW)


def stuck(
    suspect: Suspect, recovery: Recovery = USUAL, since: dt.datetime = LONG_AGO
) -> str | None:
    return why_stuck(suspect, recovery, listening_since=since, now=NOW)


def becomes(
    suspect: Suspect, recovery: Recovery = USUAL, since: dt.datetime = LONG_AGO
) -> Verdict | None:
    judged = judge(suspect, recovery, listening_since=since, now=NOW)
    return None if judged is None else judged[1]


# Dead ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "is_dead"),
    [
        pytest.param({}, False, id="nothing promised, no worker known"),
        pytest.param({"last_beat": NOW - HOUR}, True, id="heartbeats missed"),
        pytest.param(
            {"last_beat": NOW - HOUR, "last_heard": NOW - 539 * SECOND}, False, id="not yet three"
        ),
        pytest.param(
            {"last_beat": NOW - HOUR, "last_heard": NOW - 540 * SECOND}, True, id="just three"
        ),
        pytest.param(
            {"last_beat": NOW - 2 * HOUR}, False, id="heartbeats of an earlier attempt only"
        ),
        pytest.param(
            {"last_beat": NOW - HOUR, "gap": 30 * SECOND, "earlier_gap": 30 * SECOND}
            | {"last_heard": NOW - 90 * SECOND},
            True,
            id="its own interval is shorter",
        ),
        pytest.param(
            {"last_beat": NOW - HOUR, "gap": HOUR, "earlier_gap": HOUR},
            False,
            id="its own interval is longer",
        ),
        pytest.param(of_worker("OFFLINE", NOW - HOUR), True, id="worker gone"),
        pytest.param(of_worker("ONLINE", NOW - HOUR), False, id="worker online"),
        pytest.param(of_worker("OFFLINE", NOW - 9 * MINUTE), False, id="worker gone for a moment"),
        pytest.param(
            of_worker("OFFLINE", NOW - HOUR) | {"last_heard": NOW - 9 * MINUTE},
            False,
            id="worker gone, but the run speaks",
        ),
        pytest.param({"last_beat": NOW - HOUR, "tags": (NO_ZOMBIE_KILLER,)}, False, id="tag"),
        pytest.param(
            {"last_beat": NOW - HOUR, "deployment_tags": (NO_ZOMBIE_KILLER,)}, False, id="its tag"
        ),
        pytest.param(
            {"last_beat": NOW - HOUR, "labels": {NO_ZOMBIE_KILLER: True}}, False, id="label"
        ),
        pytest.param(
            {"last_beat": NOW - HOUR, "deployment_labels": {NO_ZOMBIE_KILLER: "true"}},
            True,
            id="a label that is text",
        ),
        pytest.param({"last_beat": NOW - HOUR, "state_type": "PENDING"}, False, id="not running"),
    ],
)
def test_a_running_run_is_dead_only_against_what_it_promised(
    facts: dict[str, Any], is_dead: bool
) -> None:
    assert (dead(a_suspect(**facts)) is not None) == is_dead


def test_the_reason_says_what_was_promised_and_when_it_was_last_heard() -> None:
    assert dead(a_suspect(last_beat=NOW - HOUR)) == (
        "it sent heartbeats every 3 min and missed 3 of them;"
        " it was last heard at 2026-11-24 11:00:00 UTC, 60 min ago"
    )
    assert dead(a_suspect(**of_worker("OFFLINE", NOW - HOUR))) == (
        "its worker 'w' has been offline since 2026-11-24 11:00:00 UTC and it promised no"
        " heartbeats; it was last heard at 2026-11-24 11:00:00 UTC, 60 min ago"
    )


def test_while_nobody_listened_nobody_was_silent() -> None:
    beating = a_suspect(last_beat=NOW - HOUR)
    assert dead(beating, since=NOW - 530 * SECOND) is None
    assert dead(beating, since=NOW - 550 * SECOND)
    orphan = a_suspect(**of_worker("OFFLINE", NOW - HOUR))
    assert dead(orphan, since=NOW - 9 * MINUTE) is None
    assert dead(orphan, since=NOW - 11 * MINUTE)


def test_one_odd_distance_between_heartbeats_does_not_shorten_the_interval() -> None:
    assert heartbeat_interval(a_suspect(), USUAL) == 180 * SECOND
    assert heartbeat_interval(a_suspect(gap=5 * SECOND), USUAL) == 180 * SECOND
    both = a_suspect(gap=5 * SECOND, earlier_gap=60 * SECOND)
    assert heartbeat_interval(both, USUAL) == 60 * SECOND


@given(
    silent=st.timedeltas(dt.timedelta(0), 24 * HOUR),
    gap=st.none() | st.timedeltas(SECOND, HOUR),
    missed=st.integers(2, 10),
    since=st.timedeltas(dt.timedelta(0), 24 * HOUR),
)
def test_nobody_is_dead_before_the_shortest_silence_that_means_something(
    silent: dt.timedelta, gap: dt.timedelta | None, missed: int, since: dt.timedelta
) -> None:
    recovery = Recovery(heartbeats_missed=missed)
    suspect = a_suspect(last_heard=NOW - silent, last_beat=NOW - HOUR, gap=gap, earlier_gap=gap)
    if dead(suspect, recovery, NOW - since) is not None:
        assert min(silent, since) >= recovery.least_silence


# Pending ------------------------------------------------------------------------------------------

NOBODY_ONLINE = replace(POOL, online_since=None)
CAME_LATER = replace(POOL, online_since=NOW - MINUTE)


@pytest.mark.parametrize(
    ("facts", "silent", "is_stuck"),
    [
        pytest.param(of_worker("OFFLINE", NOW - HOUR), 11, True, id="its worker is gone"),
        pytest.param(of_worker("OFFLINE", NOW - HOUR), 9, False, id="not silent for long enough"),
        pytest.param(
            of_worker("OFFLINE", NOW - 9 * MINUTE), 11, False, id="its worker is gone for a moment"
        ),
        pytest.param(
            of_worker("OFFLINE", NOW - HOUR) | {"infrastructure_pid": "job"},
            11,
            True,
            id="its worker is gone, its job is not known to be",
        ),
        pytest.param(of_worker("ONLINE", NOW), 59, False, id="its worker may be starting it"),
        pytest.param(of_worker("ONLINE", NOW), 60, True, id="its worker has started nothing"),
        pytest.param(
            of_worker("ONLINE", NOW) | {"infrastructure_pid": "job"},
            6000,
            False,
            id="its worker looks after its job",
        ),
        pytest.param({}, 59, False, id="a worker that is online may have taken it"),
        pytest.param({}, 60, True, id="no worker that is online speaks of it"),
        pytest.param({"waits_in": NOBODY_ONLINE}, 10, True, id="no worker is online"),
        pytest.param({"waits_in": CAME_LATER}, 10, True, id="those online came later"),
        pytest.param({"waits_in": None}, 10, True, id="nobody serves it"),
        pytest.param(
            {"waits_in": None, "deployment_polled": NOW - SECOND}, 59, False, id="it is served"
        ),
        pytest.param(
            {"waits_in": NOBODY_ONLINE, "deployment_id": None}, 6000, False, id="no deployment"
        ),
    ],
)
def test_a_pending_run_is_stuck_when_whoever_took_it_is_gone(
    facts: dict[str, Any], silent: int, is_stuck: bool
) -> None:
    heard = NOW - silent * MINUTE
    suspect = a_suspect(state_type="PENDING", entered=heard, last_heard=heard, **facts)
    assert (stuck(suspect) is not None) == is_stuck


# Scheduled ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        pytest.param({}, "do not take it", id="idle workers ask and do not take it"),
        pytest.param({"due": NOW - 9 * MINUTE}, None, id="not late for long enough"),
        pytest.param({"due": None}, None, id="it is not known when it is due"),
        pytest.param({"last_heard": NOW - 9 * MINUTE}, None, id="something just happened to it"),
        pytest.param(
            {"retry_type": "in_process"}, "the process that was to retry", id="in-process retry"
        ),
        pytest.param(
            {"work_queue_id": None, "waits_in": None}, "queue that is gone", id="its queue is gone"
        ),
        pytest.param(
            {"work_queue_id": None, "deployment_queue": None, "waits_in": None},
            None,
            id="it is served",
        ),
        *[
            pytest.param({"waits_in": waits_in}, None, id=held_back)
            for held_back, waits_in in (
                ("paused", replace(POOL, is_paused=True)),
                ("full", replace(POOL, is_full=True)),
                ("its pool is at work", replace(POOL, at_work=True)),
                ("no worker is online", replace(POOL, online_since=None)),
                ("nobody asks", replace(POOL, polled=None)),
                ("nobody asks any more", replace(POOL, polled=NOW - 61 * SECOND)),
            )
        ],
    ],
)
def test_a_due_run_is_stuck_when_nobody_can_take_it_or_nobody_does(
    facts: dict[str, Any], why: str | None
) -> None:
    said = {"state_type": "SCHEDULED", "run_count": 0, "due": NOW - HOUR, **facts}
    found = stuck(a_suspect(**said))
    assert found is None if why is None else why in (found or "")


@pytest.mark.parametrize("state_type", ["PAUSED", "CANCELLING", "CANCELLED", "COMPLETED", "FAILED"])
def test_what_is_paused_cancelled_or_ended_is_never_stuck(state_type: str) -> None:
    suspect = a_suspect(state_type=state_type, due=LONG_AGO, waits_in=NOBODY_ONLINE)
    assert becomes(suspect) is None


# What becomes of them -----------------------------------------------------------------------------

BACK = Verdict(start=NOW)
ALWAYS = Recovery(lazarus_crashed="always")


@pytest.mark.parametrize(
    ("facts", "recovery", "verdict"),
    [
        pytest.param({}, ALWAYS, BACK, id="always"),
        pytest.param({}, USUAL, Verdict(left="it has no retries left"), id="no retries"),
        pytest.param({"retries": 1}, USUAL, BACK, id="one retry left"),
        pytest.param(
            {"retries": 1, "run_count": 2},
            USUAL,
            Verdict(left="it has no retries left"),
            id="no retry left",
        ),
        pytest.param(
            {"retries": 1, "retry_delay": 30.0},
            USUAL,
            Verdict(start=NOW + 30 * SECOND),
            id="with the delay of its retries",
        ),
        pytest.param(
            {"retries": 1},
            Recovery(lazarus_crashed="never"),
            Verdict(left="crashed runs are left alone here"),
            id="never",
        ),
        pytest.param({"put_back": 2}, ALWAYS, BACK, id="for the third time"),
        pytest.param(
            {"put_back": 3},
            ALWAYS,
            Verdict(left="it was put back 3 times already"),
            id="not for the fourth time",
        ),
        pytest.param({}, Recovery(lazarus_attempts=0), Verdict(left="Lazarus is off"), id="off"),
        pytest.param(
            {"tags": (NO_LAZARUS,)},
            ALWAYS,
            Verdict(left=f"it or its deployment says {NO_LAZARUS}"),
            id="it says no",
        ),
        pytest.param(
            {"deployment_id": None},
            ALWAYS,
            Verdict(left="it has no deployment, so nobody could run it again"),
            id="no deployment",
        ),
        pytest.param({"last_heard": NOW - 89 * SECOND}, ALWAYS, LATER, id="it speaks after all"),
    ],
)
def test_a_run_that_was_found_dead(
    facts: dict[str, Any], recovery: Recovery, verdict: Verdict
) -> None:
    assert becomes(a_suspect(state_type="CRASHED", **facts), recovery) == verdict


@pytest.mark.parametrize(
    ("polled", "died", "verdict"),
    [
        (NOW - 60 * SECOND, HOUR, BACK),
        (NOW - 61 * SECOND, HOUR, LATER),
        (None, 24 * HOUR, LATER),
        (None, 25 * HOUR, Verdict(left="nobody serves its deployment")),
    ],
)
def test_a_dead_run_of_a_served_deployment_waits_a_day_for_who_serves_it(
    polled: dt.datetime | None, died: dt.timedelta, verdict: Verdict
) -> None:
    suspect = a_suspect(
        state_type="CRASHED",
        entered=NOW - died,
        work_queue_id=None,
        deployment_queue=None,
        waits_in=None,
        deployment_polled=polled,
    )
    assert becomes(suspect, ALWAYS) == verdict


def test_a_run_that_is_passed_over_keeps_its_place_whatever_is_said_of_crashed_ones() -> None:
    due = NOW - HOUR
    waiting = a_suspect(state_type="SCHEDULED", run_count=0, due=due)
    offered_anew = Verdict(start=due, same_place=True)
    assert becomes(waiting, Recovery(lazarus_crashed="never")) == offered_anew
    assert becomes(replace(waiting, put_back=3)) == Verdict(left="it was put back 3 times already")


def test_a_retry_whose_process_is_gone_is_not_offered_as_it_is_but_to_a_new_process() -> None:
    retry = a_suspect(
        state_type="SCHEDULED", state_name="AwaitingRetry", retry_type="in_process", due=NOW - HOUR
    )
    assert becomes(retry) == BACK
