"""Slot arithmetic."""

import datetime as dt

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.rules.concurrency import (
    Acquired,
    Denied,
    acquire,
    jittered,
    release,
    retry_after,
    settled,
)
from app.wire.base import new_id
from app.wire.concurrency import ConcurrencyLimit

START = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


def limit_of(
    limit: int,
    *,
    active: int = 0,
    denied: int = 0,
    decay: float = 0.0,
    name: str = "a",
    occupancy: float = 2.0,
) -> ConcurrencyLimit:
    """A limit as of START."""
    return ConcurrencyLimit(
        id=new_id(),
        created=START,
        updated=START,
        active=True,
        name=name,
        limit=limit,
        active_slots=active,
        denied_slots=denied,
        slot_decay_per_second=decay,
        avg_slot_occupancy_seconds=occupancy,
    )


def after(seconds: float) -> dt.datetime:
    """So many seconds after START."""
    return START + dt.timedelta(seconds=seconds)


limits = st.builds(
    limit_of,
    st.integers(1, 100),
    active=st.integers(0, 100),
    denied=st.integers(0, 1000),
    decay=st.sampled_from([0.0, 0.1, 1.0, 7.3]),
    occupancy=st.floats(0.1, 1000),
)
seconds = st.floats(0, 10_000)


@given(st.lists(limits, min_size=1, max_size=4), st.integers(1, 10), seconds)
def test_all_limits_give_slots_or_none_does(
    some: list[ConcurrencyLimit], slots: int, later: float
) -> None:
    fits = all(limit.limit >= slots for limit in some)
    if not fits:
        return
    now = after(later)
    before = [settled(limit, now) for limit in some]
    outcome = acquire(some, slots, now)
    if isinstance(outcome, Acquired):
        for old, new in zip(before, outcome.limits, strict=True):
            assert new.active_slots == old.active_slots + slots <= new.limit
    else:
        assert any(old.active_slots + slots > old.limit for old in before)
        for old, new in zip(before, outcome.limits, strict=True):
            assert new.active_slots == old.active_slots
            assert new.denied_slots == old.denied_slots + slots
        assert outcome.retry_after > 0
        if outcome.blocked_by.slot_decay_per_second == 0:
            assert outcome.retry_after <= 30


@given(limits, st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_looking_often_loses_no_decay(limit: ConcurrencyLimit, steps: list[float]) -> None:
    looked = limit
    elapsed = 0.0
    for step in steps:
        elapsed += step
        looked = settled(looked, after(elapsed))
        assert looked.updated <= after(elapsed)
        assert 0 <= looked.active_slots <= limit.active_slots
    once = settled(limit, after(elapsed))
    # A slot may be counted a rounding error earlier or later.
    assert abs(looked.active_slots - once.active_slots) <= 1
    assert abs(looked.denied_slots - once.denied_slots) <= 1


def test_slots_of_a_rate_come_back_by_themselves() -> None:
    rate = limit_of(2, active=2, decay=0.5)
    assert isinstance(acquire([rate], 1, after(1.9)), Denied)
    assert isinstance(acquire([rate], 1, after(2)), Acquired)
    refused = acquire([rate], 1, after(1))
    assert isinstance(refused, Denied)
    # One slot is wanted, and half a slot comes back each second.
    assert refused.retry_after == 2
    # Being refused does not start the clock again.
    assert isinstance(acquire(refused.limits, 1, after(2)), Acquired)


def test_a_clock_that_is_behind_gives_no_slots() -> None:
    rate = limit_of(2, active=2, decay=0.5)
    assert settled(rate, after(-100)) == rate


def test_the_more_are_refused_the_longer_they_wait() -> None:
    waits = [retry_after(limit_of(2, active=2, denied=denied), 1) for denied in range(0, 100, 10)]
    assert waits[0] == 1
    assert waits == sorted(waits)
    assert waits[-1] == 30
    assert retry_after(limit_of(1, denied=100, name="tag:x"), 1) == 10
    assert retry_after(limit_of(1, denied=99, decay=0.5), 1) == 200


@given(limits, st.integers(1, 200), st.none() | st.floats(0, 1e9), seconds)
def test_what_is_given_back_is_free(
    limit: ConcurrencyLimit, slots: int, held: float | None, later: float
) -> None:
    now = after(later)
    freed = release(limit, slots, held, now)
    assert freed.active_slots == max(settled(limit, now).active_slots - slots, 0)
    assert freed.avg_slot_occupancy_seconds >= 0.1
    if held is None:
        assert freed.avg_slot_occupancy_seconds == limit.avg_slot_occupancy_seconds


def test_the_average_occupancy_follows_what_is_seen() -> None:
    limit = limit_of(1)
    for _ in range(50):
        limit = release(limit, 1, 10.0, START)
    assert 9.9 < limit.avg_slot_occupancy_seconds <= 10
    disabled = msgspec.structs.replace(limit, limit=0)
    assert release(disabled, 1, 5.0, START).avg_slot_occupancy_seconds > 9.9


@given(st.floats(0.001, 1e6), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_moved_by_a_third_at_most(wait: float, chance: float) -> None:
    assert 0.69 * wait <= jittered(wait, chance) <= 1.31 * wait
    assert jittered(0, chance) == 0
