"""Where the n-th line that matches a filter lies among overlapping sources, and the n of a place, by how many
lines that match each block has (of all lines, see `numbered`).

Bounds on the keys of blocks bound the rank of a key: blocks wholly before it count in full, and only
those that straddle it have to be looked into. Those are read, which gives finer bounds, until the rank
is known of a key that lies a little before the line.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import accumulate

import pyarrow as pa

from storage.logs.lines import Key, key_at
from storage.logs.matches import Counted
from storage.logs.planner import Source
from storage.logs.run_merge import before, count_of, side_by_side
from storage.logs.source_rows import Block, Payloads, SourceRows

# Of a block that was read: its lines count as one piece each so many.
PIECE_ROWS = 256
# Each looks into the blocks around it, so that the next is better; then certainty is asked for.
GUESSES = 5
_HALVINGS = 48


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A block of a source, or lines of one, which are then at hand. It has so many `rows` that count."""

    source: Source
    block: Block
    rows: int
    lines: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """The lines that count: how many each block has of them, and those of a table of lines, in order."""

    counted: list[Counted]
    select: Callable[[pa.Table], Awaitable[pa.Table]]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(each.matches for each in self.counted)


class _Ranks:
    """Bounds on ranks by the bounds of pieces."""

    def __init__(self, pieces: list[_Piece]) -> None:
        self.pieces = pieces
        by_lower = sorted((piece.block.lower, piece.rows) for piece in pieces)
        by_upper = sorted((piece.block.upper, piece.rows) for piece in pieces)
        self._lowers = [key for key, _ in by_lower]
        self._uppers = [key for key, _ in by_upper]
        self._most = [0, *accumulate(rows for _, rows in by_lower)]
        self._least = [0, *accumulate(rows for _, rows in by_upper)]

    def most_before(self, key: Key) -> int:
        """No more lines than this come before the key."""
        return self._most[bisect_left(self._lowers, key)]

    def least_before(self, key: Key) -> int:
        """No fewer lines than this come before the key."""
        return self._least[bisect_left(self._uppers, key)]

    def guess(self, rank: int) -> Key:
        """About the key of the line of this rank."""
        low, high = self._lowers[0][0], self._uppers[-1][0]
        for _ in range(_HALVINGS):
            if high - low <= 1:
                break
            middle = (low + high) // 2
            if self.most_before((middle, 0)) + self.least_before((middle, 0)) <= 2 * rank:
                low = middle
            else:
                high = middle
        return (low, 0)

    def last_certain(self, rank: int) -> Key:
        """The greatest lower bound of a piece that certainly has no more than `rank` lines before."""
        return self._lowers[bisect_right(self._most, rank) - 1]

    def straddling(self, key: Key) -> list[_Piece]:
        """The pieces that have, or may have, lines before the key and lines from it on."""
        return [piece for piece in self.pieces if piece.block.lower < key <= piece.block.upper]


async def find_rank(
    rows: SourceRows, payloads: Payloads, rank: int, matching: Matching
) -> tuple[Key, int]:
    """A key at or a little before the line with `rank` lines before it, and how many lines come before
    that key, of those that match. `rank` must be less than the lines there are. Raises as
    `SourceRows.rows` does."""
    pieces = _pieces(matching)
    guesses = GUESSES
    while True:
        ranks = _Ranks(pieces)
        key = ranks.guess(rank) if guesses else ranks.last_certain(rank)
        coarse = _coarse(ranks, key)
        if coarse:
            pieces = await _refined(rows, payloads, pieces, coarse, matching)
        elif not guesses:
            return key, _rank_at(ranks, key)
        guesses = max(0, guesses - 1) if coarse else 0


async def rank_of(rows: SourceRows, payloads: Payloads, key: Key, matching: Matching) -> int:
    """How many lines that match come before the key. Raises as `SourceRows.rows` does."""
    ranks = _Ranks(_pieces(matching))
    while coarse := _coarse(ranks, key):
        ranks = _Ranks(await _refined(rows, payloads, ranks.pieces, coarse, matching))
    return _rank_at(ranks, key)


def _pieces(matching: Matching) -> list[_Piece]:
    return [_Piece(each.source, each.block, each.matches) for each in matching.counted]


def _coarse(ranks: _Ranks, key: Key) -> list[_Piece]:
    """What has to be looked into to know the rank of the key."""
    return [piece for piece in ranks.straddling(key) if piece.lines is None]


def _rank_at(ranks: _Ranks, key: Key) -> int:
    inside = [piece.lines for piece in ranks.straddling(key) if piece.lines is not None]
    return ranks.least_before(key) + sum(count_of(before(at, key)) for at in inside)


async def _refined(
    rows: SourceRows,
    payloads: Payloads,
    pieces: list[_Piece],
    coarse: list[_Piece],
    matching: Matching,
) -> list[_Piece]:
    found: list[_Piece] = []

    async def look_into(piece: _Piece) -> None:
        found.extend(await _read(rows, payloads, piece, matching))

    await side_by_side(look_into(piece) for piece in coarse)
    kept = set(pieces).difference(coarse)
    return [*(piece for piece in pieces if piece in kept), *found]


async def _read(
    rows: SourceRows, payloads: Payloads, piece: _Piece, matching: Matching
) -> list[_Piece]:
    block = piece.block
    lines = await rows.rows(payloads, piece.source, block.first, block.rows)
    lines = await matching.select(lines)
    # Copied, so that the messages are not held.
    keys = lines.select(["timestamp", "seq"]).combine_chunks()
    found = []
    for first in range(0, keys.num_rows, PIECE_ROWS):
        part = keys.slice(first, PIECE_ROWS)
        lower, upper = key_at(part, 0), key_at(part, part.num_rows - 1)
        finer = replace(block, lower=lower, upper=upper)
        found.append(_Piece(piece.source, finer, part.num_rows, part))
    return found
