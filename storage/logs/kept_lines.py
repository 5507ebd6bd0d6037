"""Keys of blocks, and a few neighbouring lines of each, kept for the next page of overlapping sources.

Such a page has a few lines of each of many blocks. Which ones they are, their keys alone say: two columns of
seven, 16 bytes a line. Of the blocks that have some, those lines are kept with their neighbours, so that
pages around need nothing else; what a block decodes to besides is let go at once.
"""

import asyncio
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.cache import BytesCache
from storage.logs.encode import decode_batch, decode_times
from storage.logs.lines import UUID_TYPE, Key, first_seq
from storage.logs.planner import Source
from storage.logs.source_rows import Block, Payloads, RowGroup, SourceRows

# Those of a million lines.
KEYS_CACHE_BYTES = 16 * 1024**2
LINES_CACHE_BYTES = 12 * 1024**2
# Neighbours that are kept together: about 32 KB.
NEIGHBOURS = 128
# Batches, or row groups of a segment, of which the compressed bytes are in hand at once.
BLOCKS_AT_ONCE = 32
_KEY_BYTES = 16
# What Python takes for keys, or a table, besides their bytes.
_ENTRY_BYTES = 1500

# Where a block lies: the source's id, its row group and first row, or of a batch the run.
_Place: TypeAlias = tuple[int, int | None, int, uuid.UUID | None]


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a block's lines, in order."""

    times: memoryview
    seqs: memoryview

    def before(self, key: Key) -> int:
        """How many of them come before a key."""
        moment, seq = key
        times = self.times
        at = bisect_left(times, moment)
        if at == len(times) or times[at] != moment:
            return at
        return bisect_left(self.seqs, seq, at, bisect_right(times, moment, at))


@dataclass(frozen=True, slots=True)
class BlockOf:
    """A block of a source."""

    source: Source
    block: Block

    @property
    def place(self) -> _Place:
        """Equal for the same lines."""
        source, block = self.source, self.block
        if source.key is None:
            return source.id, None, 0, source.flow_run_id
        return source.id, block.group, source.first_row + block.first, None


class KeptLines:
    """Reads and caches them; shared by all questions of a process."""

    def __init__(self, rows: SourceRows) -> None:
        self._rows = rows
        self._keys: BytesCache[_Place, Keys] = BytesCache(KEYS_CACHE_BYTES)
        self._lines: BytesCache[tuple[_Place, int], pa.Table] = BytesCache(LINES_CACHE_BYTES)

    async def keys(self, payloads: Payloads, blocks: Sequence[BlockOf]) -> list[Keys]:
        """The keys of blocks of runs. Raises as `SourceRows.rows` does."""
        found = {each.place: self._keys.get(each.place) for each in blocks}
        missing = [each for each in blocks if found[each.place] is None]
        for some in _together(missing):
            bodies = await self._bodies(payloads, some)
            decoded = await asyncio.to_thread(
                lambda some=some, bodies=bodies: [
                    _keys_of(each, body) for each, body in zip(some, bodies, strict=True)
                ]
            )
            for each, keys in zip(some, decoded, strict=True):
                found[each.place] = keys
                size = _KEY_BYTES * len(keys.times) + _ENTRY_BYTES
                self._keys.put(each.place, keys, size)
        return [keys for each in blocks if (keys := found[each.place]) is not None]

    async def lines(
        self,
        payloads: Payloads,
        parts: Sequence[tuple[BlockOf, Keys]],
        wanted: Sequence[tuple[int, int]],
    ) -> pa.Table:
        """Lines in the order of `wanted`, each by the number of its part and its own in the part. Raises as
        `SourceRows.rows` does."""
        pieces = dict.fromkeys((part, row // NEIGHBOURS) for part, row in wanted)
        found: dict[tuple[int, int], pa.Table] = {}
        missing: dict[int, list[int]] = {}
        for part, piece in pieces:
            table = self._lines.get((parts[part][0].place, piece))
            if table is None:
                missing.setdefault(part, []).append(piece)
            else:
                found[part, piece] = table
        for some in _together(list(missing)):
            bodies = await self._bodies(payloads, [parts[part][0] for part in some])
            decoded = await asyncio.to_thread(
                lambda some=some, bodies=bodies: [
                    _neighbours_of(parts[part], missing[part], body)
                    for part, body in zip(some, bodies, strict=True)
                ]
            )
            for part, tables in zip(some, decoded, strict=True):
                for piece, table in zip(missing[part], tables, strict=True):
                    found[part, piece] = table
                    size = table.nbytes + _ENTRY_BYTES
                    self._lines.put((parts[part][0].place, piece), table, size)
        starts = dict(zip(found, accumulate(map(len, found.values()), initial=0), strict=False))
        rows = [starts[part, row // NEIGHBOURS] + row % NEIGHBOURS for part, row in wanted]
        return pa.concat_tables(found.values()).take(pa.array(rows, pa.int64()))

    async def _bodies(
        self, payloads: Payloads, blocks: Sequence[BlockOf]
    ) -> "list[bytes | RowGroup]":
        """What they are decoded from."""
        batches = [each.source.id for each in blocks if each.source.key is None]
        hot = await self._rows.payloads(payloads, batches)
        found: list[bytes | RowGroup] = []
        for each in blocks:
            source, group = each.source, each.block.group
            if source.key is None or group is None:
                found.append(hot[source.id])
            else:
                found.append(await self._rows.row_group(source, source.key, group))
        return found


def _together(missing: list[Any]) -> Iterable[list[Any]]:
    return (missing[at : at + BLOCKS_AT_ONCE] for at in range(0, len(missing), BLOCKS_AT_ONCE))


def _keys_of(of: BlockOf, body: "bytes | RowGroup") -> Keys:
    if isinstance(body, RowGroup):
        lines = body.decode(["seq", "timestamp"]).slice(_first_in(of, body), of.block.rows)
        times, seqs = lines.column("timestamp"), lines.column("seq")
        return Keys(_numbers(times.cast(pa.int64())), _numbers(seqs))
    lines = decode_times(body, first_seq(of.source.id))
    if of.source.flow_run_id is not None:
        run = pa.scalar(of.source.flow_run_id.bytes, UUID_TYPE)
        lines = lines.filter(pc.equal(lines.column("flow_run_id"), run))
    times, seqs = lines.column("timestamp").cast(pa.int64()), lines.column("seq")
    # Stable, and the seqs ascend.
    order = pc.sort_indices(times)
    return Keys(_numbers(times.take(order)), _numbers(seqs.take(order)))


def _neighbours_of(
    part: tuple[BlockOf, Keys], numbers: list[int], body: "bytes | RowGroup"
) -> list[pa.Table]:
    """Copies, so that no more is held."""
    of, keys = part
    count = len(keys.times)
    ranges = [range(n * NEIGHBOURS, min((n + 1) * NEIGHBOURS, count)) for n in numbers]
    if isinstance(body, RowGroup):
        lines, first = body.decode(), _first_in(of, body)
        rows = [range(first + each.start, first + each.stop) for each in ranges]
    else:
        start = first_seq(of.source.id)
        lines = decode_batch(body, start)
        rows = [[seq - start for seq in keys.seqs[each.start : each.stop]] for each in ranges]
    return [lines.take(pa.array(each, pa.int64())).combine_chunks() for each in rows]


def _first_in(of: BlockOf, body: RowGroup) -> int:
    return of.source.first_row + of.block.first - body.layout.starts[body.group]


def _numbers(column: "pa.ChunkedArray[Any]") -> memoryview:
    """64-bit integers without nulls, copied, so that no more is held."""
    numbers = pa.concat_arrays([*column.chunks, pa.array([], pa.int64())])
    data = numbers.buffers()[1]
    whole = memoryview(b"" if data is None else data).cast("q")
    return memoryview(whole[numbers.offset : numbers.offset + len(numbers)].tobytes()).cast("q")
