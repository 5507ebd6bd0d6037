"""Which segments to merge next. Pure: no I/O, no clock.

A line is written by offload and rewritten at most twice, whatever the load:

    tier 0  as offloaded, every 10 s or 32 MiB
    tier 1  16 of one hour, or what is left of an hour that has passed
    tier 2  final: 16 that make 64 MiB or more; an hour that has passed, if that makes 16 MiB; else
            the day

So at high rates a line is written twice and at low rates three times, a busy hour ends as objects of
128 to 256 MiB, and a quiet installation has a few objects a day. Merges of one hour follow one another
in time and the outputs of one merge have runs of their own, so that a page of a run, which is a span of
time, touches few objects even before the hour has passed.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from storage.logs.manifest import Segment

FAN_IN = 16
FINAL_TIER = 2
# A merge of fresh segments this large is not worth another rewrite.
FINAL_BYTES = 64 * 1024**2
# An hour with less waits for its day.
WORTHWHILE_BYTES = 16 * 1024**2
# Of one merge: what is on the local disk twice, and windows in memory at once.
MAX_MERGE_BYTES = 512 * 1024**2
MAX_INPUTS = 128
# An offload that began in an hour publishes within this time after it.
SETTLED = dt.timedelta(minutes=5)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Segments that become others, of tier `tier`; one input alone is rewritten without the lines
    that were deleted."""

    inputs: tuple[Segment, ...]
    tier: int

    @property
    def rewrites(self) -> bool:
        """Whether there is anything to do but to count a single segment as final: it may stay as it is
        when its lines are of one day."""
        if len(self.inputs) > 1:
            return True
        (only,) = self.inputs
        return only.min_timestamp.date() != only.max_timestamp.date()

    @property
    def bytes(self) -> int:
        """Of the inputs together."""
        return sum(segment.bytes for segment in self.inputs)


def next_merge(segments: list[Segment], now: dt.datetime) -> Merge | None:
    """The most useful merge of published segments below the final tier, ordered by hour and id."""
    hours = [list(members) for _, members in groupby(segments, key=lambda each: each.hour)]
    for members in hours:
        if merge := _of_hour(members, passed=members[0].hour + HOUR + SETTLED <= now):
            return merge
    for day, each_hour in groupby(hours, key=lambda members: members[0].hour.date()):
        members = [segment for hour in each_hour for segment in hour]
        if dt.datetime.combine(day, dt.time(), dt.UTC) + DAY + SETTLED <= now:
            return Merge(inputs=_as_many_as_fit(members), tier=FINAL_TIER)
    return None


def everything(segments: list[Segment]) -> Iterator[Merge]:
    """Merges that leave nothing below the final tier, though hours and days have not passed."""
    rest = segments
    while rest:
        merge = Merge(inputs=_as_many_as_fit(rest), tier=FINAL_TIER)
        rest = rest[len(merge.inputs) :]
        yield merge


def _of_hour(members: list[Segment], *, passed: bool) -> Merge | None:
    fresh = [segment for segment in members if segment.tier == 0]
    if len(fresh) >= FAN_IN:
        return _fresh(_as_many_as_fit(fresh[:FAN_IN]))
    if passed and sum(segment.bytes for segment in members) >= WORTHWHILE_BYTES:
        return Merge(inputs=_as_many_as_fit(members), tier=FINAL_TIER)
    if passed and len(fresh) > 1:
        return _fresh(_as_many_as_fit(fresh))
    return None


def _fresh(inputs: tuple[Segment, ...]) -> Merge:
    size = sum(segment.bytes for segment in inputs)
    return Merge(inputs=inputs, tier=FINAL_TIER if size >= FINAL_BYTES else 1)


def _as_many_as_fit(segments: list[Segment]) -> tuple[Segment, ...]:
    """The first ones that one merge takes, at least one."""
    chosen: list[Segment] = []
    size = 0
    for segment in segments[:MAX_INPUTS]:
        size += segment.bytes
        if chosen and size > MAX_MERGE_BYTES:
            break
        chosen.append(segment)
    return tuple(chosen)
