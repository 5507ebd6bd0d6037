"""Which batches somebody has seen, and how to go on from there: pure, and short enough for an event's id.

A batch takes its id before it is committed, so a batch may come after ones with greater ids, and ids
of flushes that were undone never come. Up to `settled` every id is decided: whoever took it has
committed or given up (`storage.logs.settled`). Of the ids above, those that came are listed, as ranges.
"""

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from app.wire.base import NIL_UUID
from storage.logs.lines import SEQ_BITS, Key, first_seq, key_at
from storage.logs.predicate import Predicate

# An id of a batch is below this: `seq` has 63 bits.
_IDS = 2 ** (63 - SEQ_BITS)
_MAX_TEXT = 4096
_SEEN = re.compile(r"(\d{1,13})\.(\d{1,18})((?:_\d{1,13}(?:-\d{1,13})?)*)")
_PLACE = re.compile(r"([0-9a-f]{32})\.(-?\d{1,18})\.(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Seen:
    """Every batch up to `settled`, and those in the ranges `beyond` (inclusive, ascending, with gaps
    between them). Batches above `settled` got their ids later than `at`, microseconds since the epoch by
    PostgreSQL's clock."""

    settled: int
    at: int
    beyond: tuple[tuple[int, int], ...] = ()

    @property
    def newest(self) -> int:
        """The greatest id seen."""
        return self.beyond[-1][1] if self.beyond else self.settled

    def holds(self, batch_id: int) -> bool:
        """Whether a batch is among them."""
        return batch_id <= self.settled or any(
            first <= batch_id <= last for first, last in self.beyond
        )

    def holds_all_of(self, other: "Seen") -> bool:
        """Whether every batch of the other is among them."""
        if other.settled > self.settled and not self._holds_range(self.settled + 1, other.settled):
            return False
        return all(self._holds_range(first, last) for first, last in other.beyond)

    def _holds_range(self, first: int, last: int) -> bool:
        first = max(first, self.settled + 1)
        return first > last or any(low <= first and last <= high for low, high in self.beyond)

    def with_batch(self, batch_id: int) -> "Seen":
        """These and one more."""
        if self.holds(batch_id):
            return self
        ranges = sorted([*self.beyond, (batch_id, batch_id)])
        return Seen(self.settled, self.at, _joined(ranges))

    def settle(self, settled: int, at: int) -> "Seen":
        """The same when every batch up to `settled` that will ever come is among them."""
        if settled < self.settled:
            return self
        ranges = [(max(first, settled + 1), last) for first, last in self.beyond if last > settled]
        return Seen(settled, at, tuple(ranges))


NOTHING = Seen(0, 0)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The batches of `upto` that are not in `after`: what came between two moments."""

    after: Seen
    upto: Seen

    @property
    def none(self) -> bool:
        """Whether there are none for certain."""
        return self.after.holds_all_of(self.upto)

    def may_have(self, min_seq: int, max_seq: int) -> bool:
        """Whether lines with seqs between these may be of such a batch."""
        first, last = min_seq >> SEQ_BITS, max_seq >> SEQ_BITS
        if last <= self.after.settled or first > self.upto.newest:
            return False
        return first != last or (self.upto.holds(first) and not self.after.holds(first))

    def select(self, lines: pa.Table) -> pa.Table:
        """Those of `lines` that are of such batches."""
        least, most = self._span()
        seqs = lines.column("seq")
        bounds = pc.min_max(seqs)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        if low is None or (low >= least and high < most and not self._holes()):
            return lines
        wanted = _between(seqs, least, most)
        for first, last in self._holes():
            within = _between(seqs, first_seq(first), first_seq(last + 1))
            wanted = pc.and_(wanted, pc.invert(within))
        return lines.filter(wanted)

    def predicate(self) -> Predicate:
        """The same as a condition."""
        least, most = self._span()
        sql = ["seq >= ? AND seq < ?"]
        arguments = [least, most]
        for first, last in self._holes():
            sql.append("NOT (seq >= ? AND seq < ?)")
            arguments += [first_seq(first), first_seq(last + 1)]
        return Predicate(" AND ".join(sql), tuple(arguments))

    def _span(self) -> tuple[int, int]:
        return first_seq(self.after.settled + 1), first_seq(self.upto.newest + 1)

    def _holes(self) -> list[tuple[int, int]]:
        """Ranges of ids within the span that are not wanted."""
        holes = list(self.after.beyond)
        start = self.upto.settled + 1
        for first, last in self.upto.beyond:
            holes.append((start, first - 1))
            start = last + 1
        low, high = self.after.settled + 1, self.upto.newest
        return [
            (max(first, low), min(last, high))
            for first, last in holes
            if max(first, low) <= min(last, high)
        ]


@dataclass(frozen=True, slots=True)
class Place:
    """A line in the order of streams: by run, and within a run by time. Without a key, where a run
    begins. Lines without a run, and with the nil UUID for one, come first."""

    run: uuid.UUID
    key: Key | None = None

    @classmethod
    def of_last(cls, lines: pa.Table) -> "Place":
        """That of the last line."""
        run = lines.column("flow_run_id")[lines.num_rows - 1].as_py()
        key = key_at(lines, lines.num_rows - 1)
        return cls(NIL_UUID if run is None else uuid.UUID(bytes=run), key)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a follower is: it has seen `seen`, and is being given what came from there up to `upto`, as
    far as `place`. Its text is the id of an event."""

    seen: Seen
    upto: Seen | None = None
    place: Place | None = None

    def __str__(self) -> str:
        if self.upto is None or self.place is None or self.place.key is None:
            return _text_of(self.seen)
        time, seq = self.place.key
        place = f"{self.place.run.hex}.{time}.{seq}"
        return f"{_text_of(self.seen)}~{_text_of(self.upto)}~{place}"

    @property
    def whole(self) -> Seen:
        """What is seen when nothing is being given any more."""
        return self.upto or self.seen


def parse_position(text: str) -> Position:
    """The position of an event's id.

    Raises:
        ValueError: it is none.
    """
    first, *more = text.split("~") if len(text) <= _MAX_TEXT else [""]
    if not more:
        return Position(_parse_seen(first))
    place = _PLACE.fullmatch(more[-1])
    if len(more) != 2 or place is None or int(place[3]) >= 2**63:
        raise ValueError("not the id of an event")
    key = (int(place[2]), int(place[3]))
    return Position(_parse_seen(first), _parse_seen(more[0]), Place(uuid.UUID(hex=place[1]), key))


def _between(seqs: "pa.ChunkedArray[Any]", least: int, most: int) -> Any:
    """Which of them are at least `least` and less than `most`."""
    return pc.and_(pc.greater_equal(seqs, pa.scalar(least)), pc.less(seqs, pa.scalar(most)))


def _text_of(seen: Seen) -> str:
    ranges = [f"_{first}" if first == last else f"_{first}-{last}" for first, last in seen.beyond]
    return f"{seen.settled}.{seen.at}{''.join(ranges)}"


def _parse_seen(text: str) -> Seen:
    match = _SEEN.fullmatch(text)
    if match is None:
        raise ValueError("not the id of an event")
    settled = int(match[1])
    ranges: list[tuple[int, int]] = []
    for part in match[3].split("_")[1:]:
        first, _, last = part.partition("-")
        ranges.append((int(first), int(last or first)))
    ends = [settled, *(end for pair in ranges for end in pair)]
    if ends != sorted(ends) or ends[-1] >= _IDS:
        raise ValueError("not the id of an event")
    return Seen(settled, int(match[2]), _joined(ranges))


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ascending ranges, those that touch made one."""
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)
