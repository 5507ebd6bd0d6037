"""The index section of a segment: which row groups may hold a text, and counts of lines.

It lies between the last row group and the Parquet structures of the file's end, where readers of Parquet
do not look, and goes wherever the object goes. The footer's key `tailrace.index` says where its directory
is; the directory says where the rest is. Everything has a CRC-32.

    bit sets of hexadecimal grams | bit sets of words | counts by minute | counts by run | directory

A bit set area is cut into blocks of slots. A block has the same `width` bytes of every row group's bit set,
one row group after another, so that a question reads few blocks: byte `slot // 8 % width` of each.
Blocks are compressed with zstd, and kept as they are when that does not help; an empty one has no bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

import msgspec
import pyarrow as pa

from storage.logs.rollup import Rollup
from storage.logs.token_index import HEX_BITS, WORD_BITS, Grams, Probe, grams_of

INDEX_VERSION = 1
FOOTER_KEY = b"tailrace.index"
# Decoded, of one block, unless the segment has very many row groups.
BLOCK_BYTES = 32 * 1024
MIN_WIDTH = 32
_CODEC = pa.Codec("zstd", 3)


class Extent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Bytes of the object."""

    offset: int
    length: int
    crc32: int


class IndexPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What the footer says: where the directory is."""

    version: int
    directory: Extent


class Area(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The blocks of one kind of grams, `width` bytes of each row group in each."""

    bits: int
    width: int
    blocks: list[Extent]


class IndexDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything of a section of `groups` row groups is."""

    groups: int
    hexadecimal: Area
    words: Area
    minutes: Extent
    runs: Extent


@dataclass(slots=True)
class IndexBuilder:
    """Makes the section of a segment while its row groups are written."""

    _grams: list[Grams] = field(default_factory=list)
    _rollup: Rollup = field(default_factory=Rollup)

    def add(self, group: pa.Table) -> None:
        """Index the next row group."""
        self._grams.append(grams_of(group))
        self._rollup.add(group)

    def encode(self, offset: int) -> tuple[bytes, bytes]:
        """The section, to lie at `offset` of the file, and what the footer says of it."""
        section = bytearray()

        def put(data: bytes) -> Extent:
            extent = Extent(offset=offset + len(section), length=len(data), crc32=crc32(data))
            section.extend(data)
            return extent

        def area(bit_sets: list[bytes], bits: int) -> Area:
            width = _width(len(bit_sets), bits)
            blocks = [put(_block(bit_sets, at, width)) for at in range(0, (1 << bits) // 8, width)]
            return Area(bits=bits, width=width, blocks=blocks)

        directory = IndexDirectory(
            groups=len(self._grams),
            hexadecimal=area([grams.hexadecimal for grams in self._grams], HEX_BITS),
            words=area([grams.words for grams in self._grams], WORD_BITS),
            minutes=put(self._rollup.minutes()),
            runs=put(self._rollup.runs()),
        )
        place = IndexPlace(version=INDEX_VERSION, directory=put(msgspec.msgpack.encode(directory)))
        return bytes(section), msgspec.json.encode(place)


def index_place(metadata: dict[bytes, bytes] | None) -> IndexPlace | None:
    """Where the directory is, None when the segment has no index, or one of another version.

    Raises:
        ValueError: the footer's key does not say.
    """
    said = (metadata or {}).get(FOOTER_KEY)
    if said is None:
        return None
    place = msgspec.json.decode(said, type=IndexPlace)
    return place if place.version == INDEX_VERSION else None


_DIRECTORY = msgspec.msgpack.Decoder(IndexDirectory)


def parse_directory(data: bytes) -> IndexDirectory:
    """Raises ValueError for what is none."""
    return _DIRECTORY.decode(data)


# Which row groups, as bit 8 * group of a number.
Groups: TypeAlias = int


def every_group(count: int) -> Groups:
    """All of `count` row groups."""
    return int.from_bytes(b"\x01" * count, "little")


def group_numbers(groups: Groups, count: int) -> list[int]:
    """The numbers of those row groups."""
    return [number for number, is_in in enumerate(groups.to_bytes(count, "little")) if is_in]


def block_of(directory: IndexDirectory, probe: Probe) -> tuple[bool, int]:
    """Which block has a slot: whether of words, and its number."""
    area = _area(directory, probe.word)
    return probe.word, probe.slot(area.bits) // 8 // area.width


def block_extent(directory: IndexDirectory, block: tuple[bool, int]) -> Extent:
    """Where a block is."""
    return _area(directory, block[0]).blocks[block[1]]


def groups_with(directory: IndexDirectory, probe: Probe, block: bytes) -> Groups:
    """The row groups that have a slot, from its block as it lies in the object.

    Raises:
        ValueError: these are not the bytes of a block.
        pa.ArrowException, OSError: the same.
    """
    if not block:
        return 0
    area = _area(directory, probe.word)
    width, slot = area.width, probe.slot(area.bits)
    size = width * directory.groups
    plain = block if len(block) == size else _CODEC.decompress(block, size, asbytes=True)
    column = plain[slot // 8 % width :: width]
    return int.from_bytes(column.translate(_IS_SET[slot % 8]), "little")


_IS_SET = [bytes(value >> bit & 1 for value in range(256)) for bit in range(8)]


def _area(directory: IndexDirectory, word: bool) -> Area:
    return directory.words if word else directory.hexadecimal


def _width(groups: int, bits: int) -> int:
    width = (1 << bits) // 8
    while width > MIN_WIDTH and width * groups > BLOCK_BYTES:
        width //= 2
    return width


def _block(bit_sets: Iterable[bytes], at: int, width: int) -> bytes:
    plain = b"".join(bits[at : at + width] for bits in bit_sets)
    if not any(plain):
        return b""
    compressed = _CODEC.compress(plain, asbytes=True)
    # One of the same length counts as plain.
    return compressed if len(compressed) < len(plain) else plain
