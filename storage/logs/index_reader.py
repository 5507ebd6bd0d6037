"""Reads the index sections of segments, and answers which row groups may hold a text."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import pyarrow as pa

from storage.errors import ObjectDamaged
from storage.logs.cache import BytesCache
from storage.logs.footer import as_written
from storage.logs.layout import Layout
from storage.logs.required_text import Clauses
from storage.logs.rollup import MINUTES, RUNS, decode_rollup
from storage.logs.segment_index import (
    Extent,
    Groups,
    IndexDirectory,
    block_extent,
    block_of,
    every_group,
    groups_with,
    index_place,
    parse_directory,
)
from storage.logs.token_index import Part, Probe, parts_of
from storage.objects.store import ObjectReader

DIRECTORY_CACHE_BYTES = 4 * 1024**2
BLOCK_CACHE_BYTES = 16 * 1024**2
ROLLUP_CACHE_BYTES = 8 * 1024**2
# What Python takes for a directory, by its length in the object.
_DIRECTORY_FACTOR = 10
# A request for so many bytes in between costs less than one of its own.
GAP_BYTES = 64 * 1024

_Block: TypeAlias = tuple[bool, int]
# Each clause, each of its alternatives, each part of it.
Needs: TypeAlias = list[list[list[Part]]]


def needs_of(clauses: Clauses) -> Needs:
    """What the index can tell of some clauses; those of which it knows nothing are left out."""
    needs = [[parts_of(term) for term in clause] for clause in clauses]
    return [terms for terms in needs if all(terms)]


@dataclass(frozen=True, slots=True)
class _Known:
    directory: IndexDirectory | None


class SegmentIndexes:
    """Reads and caches parts of index sections; `fetches` bounds requests at once.

    Every method raises ObjectDamaged, ObjectMissing, and Unavailable when S3 does not answer.
    """

    def __init__(self, objects: ObjectReader, fetches: asyncio.Semaphore) -> None:
        self._objects = objects
        self._fetches = fetches
        self._directories: BytesCache[int, _Known] = BytesCache(DIRECTORY_CACHE_BYTES)
        self._blocks: BytesCache[tuple[int, _Block], bytes] = BytesCache(BLOCK_CACHE_BYTES)
        self._rollups: BytesCache[tuple[int, bool], pa.Table] = BytesCache(ROLLUP_CACHE_BYTES)

    async def directory(
        self, segment_id: int, key: str, layout: Callable[[], Awaitable[Layout]]
    ) -> IndexDirectory | None:
        """The directory of a segment's index, None when it has none."""
        known = self._directories.get(segment_id)
        if known is None:
            of_segment = await layout()
            with as_written(key):
                place = index_place(of_segment.key_values)
            directory = None
            size = 100
            if place is not None:
                data = await self._read(key, place.directory)
                with as_written(key):
                    directory = parse_directory(data)
                if directory.groups != of_segment.groups:
                    raise ObjectDamaged(key, "its index is of other row groups")
                size = len(data) * _DIRECTORY_FACTOR
            known = _Known(directory)
            self._directories.put(segment_id, known, size)
        return known.directory

    async def possible(
        self, segment_id: int, key: str, directory: IndexDirectory, needs: Needs
    ) -> Groups:
        """The row groups that may hold a line for which all `needs` are met."""
        found: dict[Probe, Groups] = {}
        every = every_group(directory.groups)
        possible = every
        probes = list(dict.fromkeys(_probes(needs)))
        # Words first: mostly nothing more is to be asked.
        for of_words in (True, False):
            asked = [probe for probe in probes if probe.word == of_words]
            if not asked or not possible:
                continue
            blocks = await self._read_blocks(
                segment_id, key, directory, {block_of(directory, probe) for probe in asked}
            )
            with as_written(key):
                for probe in asked:
                    block = blocks[block_of(directory, probe)]
                    found[probe] = groups_with(directory, probe, block)
            possible = _evaluate(needs, found, every)
        return possible

    async def minutes(self, segment_id: int, key: str, directory: IndexDirectory) -> pa.Table:
        """The segment's counts by minute and level (`storage.logs.rollup.MINUTES`)."""
        return await self._rollup((segment_id, True), key, directory.minutes, MINUTES)

    async def runs(self, segment_id: int, key: str, directory: IndexDirectory) -> pa.Table:
        """The segment's counts by run and level (`storage.logs.rollup.RUNS`)."""
        return await self._rollup((segment_id, False), key, directory.runs, RUNS)

    async def _rollup(
        self, cached: tuple[int, bool], key: str, extent: Extent, schema: pa.Schema
    ) -> pa.Table:
        table = self._rollups.get(cached)
        if table is None:
            data = await self._read(key, extent)
            with as_written(key):
                table = decode_rollup(data, schema)
            self._rollups.put(cached, table, table.nbytes)
        return table

    async def _read_blocks(
        self, segment_id: int, key: str, directory: IndexDirectory, wanted: set[_Block]
    ) -> dict[_Block, bytes]:
        """Blocks as they lie in the object; those that are near come by one request."""
        blocks: dict[_Block, bytes] = {}
        absent: list[tuple[Extent, _Block]] = []
        for block in wanted:
            extent = block_extent(directory, block)
            cached = b"" if not extent.length else self._blocks.get((segment_id, block))
            if cached is None:
                absent.append((extent, block))
            else:
                blocks[block] = cached
        absent.sort(key=lambda each: each[0].offset)
        for near in _near(absent):
            start = near[0][0].offset
            length = near[-1][0].offset + near[-1][0].length - start
            async with self._fetches:
                data = await self._objects.read_range(key, start, length)
            for extent, block in near:
                body = data[extent.offset - start :][: extent.length]
                _check(key, extent, body)
                blocks[block] = body
                self._blocks.put((segment_id, block), body, len(body))
        return blocks

    async def _read(self, key: str, extent: Extent) -> bytes:
        async with self._fetches:
            data = await self._objects.read_range(key, extent.offset, extent.length)
        _check(key, extent, data)
        return data


def _check(key: str, extent: Extent, data: bytes) -> None:
    if crc32(data) != extent.crc32:
        raise ObjectDamaged(key, "its index is not what was written")


def _near(extents: list[tuple[Extent, _Block]]) -> list[list[tuple[Extent, _Block]]]:
    near: list[list[tuple[Extent, _Block]]] = []
    for each in extents:
        if near:
            last = near[-1][-1][0]
            if each[0].offset <= last.offset + last.length + GAP_BYTES:
                near[-1].append(each)
                continue
        near.append([each])
    return near


def _probes(needs: Needs) -> Iterable[Probe]:
    for clause in needs:
        for term in clause:
            for part in term:
                for alternative in part:
                    yield from alternative


def _evaluate(needs: Needs, found: dict[Probe, Groups], every: Groups) -> Groups:
    """The row groups for which the needs are met; of a probe that was not looked up nothing is known."""
    result = every
    for clause in needs:
        of_clause = 0
        for term in clause:
            of_term = every
            for part in term:
                of_part = 0
                for alternative in part:
                    of_alternative = every
                    for probe in alternative:
                        of_alternative &= found.get(probe, every)
                    of_part |= of_alternative
                of_term &= of_part
            of_clause |= of_term
        result &= of_clause
    return result
