"""What is merged with what, over simulated days: how often a line is written, and how many objects
there are."""

import datetime as dt
import itertools

import pytest

from storage.logs.compaction_plan import (
    FINAL_TIER,
    MAX_INPUTS,
    MAX_MERGE_BYTES,
    Merge,
    next_merge,
)
from storage.logs.manifest import Segment
from storage.logs.merge import OUTPUT_BYTES

MIDNIGHT = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
OFFLOAD = dt.timedelta(seconds=10)
MIB = 1024**2


class Tier:
    """The segments of an installation, and how many bytes were written to make them."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.offloaded = 0
        self.written = 0
        self._ids = itertools.count(1)
        # Outputs of one merge have runs of their own, so a run is in one of them.
        self._made_together: dict[int, int] = {}

    def offload(self, size: int, now: dt.datetime) -> None:
        """A fresh segment with the lines of the last 10 s."""
        self.offloaded += size
        self.written += size
        hour = now.replace(minute=0, second=0, microsecond=0)
        self.segments.append(self._segment(0, size, hour, now - OFFLOAD, now))

    def compact(self, now: dt.datetime) -> list[Merge]:
        """Do what is due; gives the merges."""
        done = []
        while merge := next_merge(
            sorted(
                (each for each in self.segments if each.tier < FINAL_TIER),
                key=lambda each: (each.hour, each.id),
            ),
            now,
        ):
            done.append(merge)
            self._apply(merge)
        return done

    def holding(self, since: dt.datetime, until: dt.datetime) -> int:
        """How many segments a run that logs all the time has in this time."""
        return len(
            {
                self._made_together.get(each.id, -each.id)
                for each in self.segments
                if each.max_timestamp > since and each.min_timestamp < until
            }
        )

    def _apply(self, merge: Merge) -> None:
        self.segments = [each for each in self.segments if each not in merge.inputs]
        first, last = merge.inputs[0], merge.inputs[-1]
        size = merge.bytes
        self.written += size if merge.rewrites else 0
        together = next(self._ids)
        while size > 0:
            part = min(size, OUTPUT_BYTES)
            size -= part
            made = self._segment(
                merge.tier, part, first.hour, first.min_timestamp, last.max_timestamp
            )
            self._made_together[made.id] = together
            self.segments.append(made)

    def _segment(
        self, tier: int, size: int, hour: dt.datetime, since: dt.datetime, until: dt.datetime
    ) -> Segment:
        number = next(self._ids)
        return Segment(
            id=number,
            key=str(number),
            tier=tier,
            rows=size // 25,
            bytes=size,
            sha256=None,
            hour=hour,
            min_timestamp=since,
            max_timestamp=until - dt.timedelta(microseconds=1),
        )


def day_of(offload_bytes: int) -> Tier:
    """An installation after a day of steady load, and the time that the last merges wait for."""
    tier = Tier()
    now = MIDNIGHT
    while now < MIDNIGHT + dt.timedelta(days=1) - OFFLOAD:
        now += OFFLOAD
        tier.offload(offload_bytes, now)
        for merge in tier.compact(now):
            assert len(merge.inputs) <= MAX_INPUTS
            assert len(merge.inputs) == 1 or merge.bytes <= MAX_MERGE_BYTES
    tier.compact(MIDNIGHT + dt.timedelta(days=2))
    return tier


LOADS = [2_000, 64 * 1024, 512 * 1024, 4 * MIB, 16 * MIB, 32 * MIB]


@pytest.mark.parametrize("load", LOADS)
def test_a_line_is_written_three_times_at_most(load: int) -> None:
    tier = day_of(load)
    assert tier.written <= 3 * tier.offloaded
    assert sum(each.bytes for each in tier.segments) == tier.offloaded
    if load >= 4 * MIB:
        assert tier.written <= 2.1 * tier.offloaded
    assert all(each.tier == FINAL_TIER for each in tier.segments)


@pytest.mark.parametrize("load", LOADS)
def test_at_rest_a_page_of_a_run_is_in_few_objects(load: int) -> None:
    """A page of 200 lines of a run that logs a line every 10 s spans 33 minutes."""
    tier = day_of(load)
    for minute in range(0, 23 * 60, 7):
        since = MIDNIGHT + dt.timedelta(minutes=minute)
        assert tier.holding(since, since + 200 * OFFLOAD) <= (16 if load >= 4 * MIB else 3)


@pytest.mark.parametrize("load", LOADS)
def test_while_lines_arrive_few_objects_wait(load: int) -> None:
    tier = Tier()
    now = MIDNIGHT
    for _ in range(359):
        now += OFFLOAD
        tier.offload(load, now)
        tier.compact(now)
        fresh = [each for each in tier.segments if each.tier == 0]
        assert len(fresh) < 16
    # Its newest page, whose newest lines are in the segments of the last 160 s.
    assert tier.holding(now - 200 * OFFLOAD, now) <= 15 + 13


def test_a_day_of_a_quiet_installation_is_a_few_objects() -> None:
    assert len(day_of(2_000).segments) <= 5


def test_a_late_offload_of_an_hour_that_was_merged_is_merged_with_its_day() -> None:
    tier = Tier()
    for _ in range(360):
        tier.offload(MIB, MIDNIGHT + dt.timedelta(minutes=30))
    tier.compact(MIDNIGHT + dt.timedelta(hours=2))
    tier.offload(MIB, MIDNIGHT + dt.timedelta(minutes=59))
    assert not tier.compact(MIDNIGHT + dt.timedelta(hours=3))
    tier.compact(MIDNIGHT + dt.timedelta(days=2))
    assert all(each.tier == FINAL_TIER for each in tier.segments)


def test_nothing_is_merged_twice_or_without_need() -> None:
    tier = Tier()
    assert next_merge([], MIDNIGHT) is None
    tier.offload(MIB, MIDNIGHT + dt.timedelta(hours=1))
    assert not tier.compact(MIDNIGHT + dt.timedelta(hours=2))
    # Alone in its day it is final as it is.
    (merge,) = tier.compact(MIDNIGHT + dt.timedelta(days=2))
    assert not merge.rewrites


def test_an_hour_that_makes_enough_is_final_soon_after_it_has_passed() -> None:
    tier = Tier()
    now = MIDNIGHT
    while now < MIDNIGHT + dt.timedelta(hours=1) - OFFLOAD:
        now += OFFLOAD
        tier.offload(MIB, now)
        tier.compact(now)
    assert any(each.tier < FINAL_TIER for each in tier.segments)
    tier.compact(MIDNIGHT + dt.timedelta(hours=1, minutes=6))
    assert all(each.tier == FINAL_TIER for each in tier.segments)
