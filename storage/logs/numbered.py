"""Lines of sources by their number in the total order, when every line of them is meant, however the sources
overlap in time: found by keys alone, and then no others are read.

Bounds on the keys of blocks bound how many lines come before a key; the keys of those blocks that have lines
on both sides of it say how many exactly. A few such questions lead to two keys close around the lines.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import attrgetter
from typing import TypeAlias

import pyarrow as pa

from storage.logs.kept_lines import BlockOf, KeptLines, Keys
from storage.logs.lines import Key, empty, in_order
from storage.logs.planner import Source
from storage.logs.run_merge import side_by_side
from storage.logs.source_rows import Block, Payloads, SourceRows, whole

# So many lines too many may lie between a key that was found and the lines that are wanted.
SLACK_ROWS = 800
# The first guesses are by the bounds of blocks. After so many the span is halved, which comes to an end.
_BY_BOUNDS = 2
_GUESSES = 16
_HALVINGS = 48
_GREATEST_SEQ = 2**63 - 1

# A key, and how many lines come before it.
_Ranked: TypeAlias = tuple[Key, int]


class _Leaf:
    """Part of a source: all of it, or a block. A segment is `split` into its row groups before their keys
    are read."""

    __slots__ = ("block", "keys", "lower", "rows", "source", "split", "upper")

    def __init__(self, source: Source, block: Block, *, split: bool) -> None:
        self.source = source
        self.block = block
        self.split = split
        self.lower = block.lower
        self.upper = block.upper
        self.rows = block.rows
        self.keys: Keys | None = None


_LOWER, _UPPER, _ROWS = attrgetter("lower"), attrgetter("upper"), attrgetter("rows")


class NumberedLines:
    """All lines of some sources; for one task at a time."""

    def __init__(
        self, rows: SourceRows, kept: KeptLines, payloads: Payloads, sources: Sequence[Source]
    ) -> None:
        self._rows = rows
        self._kept = kept
        self._payloads = payloads
        self._leaves = [
            _Leaf(source, whole(source), split=source.key is None) for source in sources
        ]
        self.total = sum(source.rows for source in sources)
        # How much the guesses around here are wrong.
        self._bias = 0
        self._index()

    def _index(self) -> None:
        by_lower = sorted(self._leaves, key=_LOWER)
        by_upper = sorted(by_lower, key=_UPPER)
        self._lowers = list(map(_LOWER, by_lower))
        self._uppers = list(map(_UPPER, by_upper))
        self._most = [0, *accumulate(map(_ROWS, by_lower))]
        self._least = [0, *accumulate(map(_ROWS, by_upper))]
        # In this order they are sorted sooner the next time.
        self._leaves = by_lower

    async def before(self, key: Key) -> int:
        """How many lines come before a key. Raises as `SourceRows.rows` does."""
        while await self._split(self._around(key)):
            pass
        around = self._around(key)
        await self._open(around)
        inside = sum(leaf.keys.before(key) for leaf in around if leaf.keys is not None)
        return self._least[bisect_left(self._uppers, key)] + inside

    async def lines(self, first: int, give: int) -> pa.Table:
        """Lines [first, first + give), as many as there are, in order. Raises as `SourceRows.rows` does."""
        last = min(first + give, self.total)
        if first >= last:
            return empty()
        ends = ((self._lowers[0][0], 0), 0), ((self._uppers[-1][0] + 1, 0), self.total)
        low, _ = await self._between(first - SLACK_ROWS, first, *ends)
        near = self._further(low[0], last - low[1] + SLACK_ROWS // 2)
        _, high = await self._between(last, last + SLACK_ROWS, low, ends[1], near)
        (start, skipped), (end, _) = low, high
        while await self._split(around := self._within(start, end)):
            pass
        await self._open(around)
        found: list[tuple[int, int, int, int]] = []
        parts: list[tuple[BlockOf, Keys]] = []
        for leaf in around:
            if leaf.keys is not None:
                least, most = leaf.keys.before(start), leaf.keys.before(end)
                times, seqs = leaf.keys.times[least:most], leaf.keys.seqs[least:most]
                found += zip(times, seqs, repeat(len(parts)), range(least, most), strict=False)
                parts.append((BlockOf(leaf.source, leaf.block), leaf.keys))
        found.sort()
        wanted = [(part, row) for _, _, part, row in found[first - skipped : last - skipped]]
        return await self._kept.lines(self._payloads, parts, wanted)

    async def beyond(self, key: Key | None, limit: int, *, backward: bool) -> pa.Table:
        """At most `limit` lines next to a key (exclusive), in the order in which they lie from there; None
        is before the first line, or backward behind the last. Raises as `SourceRows.rows` does."""
        if backward:
            end = self.total if key is None else await self.before(key)
            first = max(0, end - limit)
            return in_order(await self.lines(first, end - first), descending=True)
        first = 0 if key is None else await self.before((key[0], key[1] + 1))
        return await self.lines(first, limit)

    async def _between(
        self, least: int, most: int, low: _Ranked, high: _Ranked, likely: Key | None = None
    ) -> tuple[_Ranked, _Ranked]:
        """Two keys, of which the one has no more than `most` lines before it and the other no fewer than
        `least`: the same one where there is one that has so many. `likely` is guessed first."""
        guesses = 0
        # How far each is from what is wanted; less, when the other one was moved twice (Illinois method).
        wanted = (least + most) // 2
        below, above = float(wanted - low[1]), float(high[1] - wanted)
        moved_low = False
        while True:
            if least <= low[1] <= most:
                return low, low
            if least <= high[1] <= most:
                return high, high
            part = below / (below + above)
            key = self._guess(wanted, low, high, part if guesses < _GUESSES else 0.5, guesses)
            if likely is not None and low[0] < likely < high[0]:
                key, likely = likely, None
            if key is None:
                return low, high
            # What is known of row groups makes a better guess.
            if await self._split(self._around(key)):
                continue
            guesses += 1
            count = await self.before(key)
            self._bias = count - self._estimate(key)
            if count <= most:
                low, below, above = (key, count), float(wanted - count), above / (1 + moved_low)
            if count >= least:
                high, above, below = (key, count), float(count - wanted), below / (2 - moved_low)
            moved_low = count <= most

    def _guess(
        self, wanted: int, low: _Ranked, high: _Ranked, part: float, guesses: int
    ) -> Key | None:
        """A key strictly between two; None when there is none."""
        (first, first_seq), (last, last_seq) = low[0], high[0]
        if last - first > 1:
            if guesses < _BY_BOUNDS and high[1] - low[1] > self.total // 8:
                moment = self._likely(wanted - self._bias, first, last)
            else:
                moment = first + int((last - first) * part)
            return min(max(moment, first + 1), last - 1), 0
        # Lines of one microsecond, of which the seq decides.
        if last > first:
            last_seq = max(
                (
                    leaf.block.max_seq + 1
                    for leaf in self._leaves
                    if leaf.lower[0] <= first <= leaf.upper[0]
                ),
                default=_GREATEST_SEQ,
            )
        if last_seq - first_seq <= 1:
            return None
        return first, (first_seq + last_seq) // 2

    def _further(self, key: Key, rows: int) -> Key | None:
        """About the key before which so many more lines come than before another one, when all blocks
        around that go on as evenly; None when there is none."""
        around = [keys for leaf in self._around(key) if (keys := leaf.keys) is not None]
        step = rows // max(1, len(around))
        times = [keys.times[min(keys.before(key) + step, len(keys.times) - 1)] for keys in around]
        return (sorted(times)[len(times) // 2], 0) if times else None

    def _estimate(self, key: Key) -> int:
        """About how many lines come before a key, by bounds alone."""
        most = self._most[bisect_left(self._lowers, key)]
        return (most + self._least[bisect_left(self._uppers, key)]) // 2

    def _likely(self, wanted: int, low: int, high: int) -> int:
        """The moment before which about so many lines come, between two."""
        for _ in range(_HALVINGS):
            if high - low <= 1:
                break
            middle = (low + high) // 2
            if self._estimate((middle, 0)) <= wanted:
                low = middle
            else:
                high = middle
        return low

    def _around(self, key: Key) -> list[_Leaf]:
        """The leaves that may have lines on both sides of a key."""
        return [leaf for leaf in self._leaves if leaf.lower < key <= leaf.upper]

    def _within(self, start: Key, end: Key) -> list[_Leaf]:
        """The leaves that may have lines from one key to before another."""
        return [leaf for leaf in self._leaves if leaf.lower < end and leaf.upper >= start]

    async def _split(self, leaves: list[_Leaf]) -> bool:
        """Look at the row groups of segments; gives whether there were some to look at."""
        unsplit = {leaf for leaf in leaves if not leaf.split}
        if not unsplit:
            return False
        # Those that overlap these as well: they are likely to be next.
        start, end = min(map(_LOWER, unsplit)), max(map(_UPPER, unsplit))
        unsplit.update(leaf for leaf in self._within(start, end) if not leaf.split)
        found: list[_Leaf] = []

        async def look_into(leaf: _Leaf) -> None:
            blocks = await self._rows.blocks(leaf.source)
            found.extend(_Leaf(leaf.source, block, split=True) for block in blocks)

        await side_by_side(look_into(leaf) for leaf in unsplit)
        self._leaves = [*(leaf for leaf in self._leaves if leaf not in unsplit), *found]
        self._index()
        return True

    async def _open(self, leaves: list[_Leaf]) -> None:
        """Read the keys of those of which they are not known."""
        closed = [leaf for leaf in leaves if leaf.keys is None]
        blocks = [BlockOf(leaf.source, leaf.block) for leaf in closed]
        read = await self._kept.keys(self._payloads, blocks)
        for leaf, keys in zip(closed, read, strict=True):
            leaf.keys = keys
