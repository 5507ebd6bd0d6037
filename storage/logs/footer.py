"""The footer of a segment in the bucket, and what it means that it cannot be read."""

import asyncio
import contextlib
from collections.abc import Iterator
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ObjectDamaged
from storage.logs.layout import Layout, layout_of
from storage.logs.lines import LINES
from storage.logs.segment import footer_length, parse_footer
from storage.objects.store import ObjectReader

# Read at first to find the footer; 600,000 rows have a footer of about 60 KB.
GUESS_BYTES = 128 * 1024


async def read_footer(
    objects: ObjectReader, key: str, size: int, crc: int | None
) -> tuple[pq.FileMetaData, int]:
    """The metadata of an object of `size` bytes, and how many of them they take. `crc` is what the
    CRC-32 of these bytes must be, None when that is not known: it is looked at first, for some damage to
    a footer makes Arrow end the process.

    Raises:
        ObjectMissing: it is not in the bucket.
        ObjectDamaged: it is no segment.
        Unavailable: S3 does not answer.
    """
    footer = await _footer_bytes(objects, key, size, crc)
    return _parsed(key, footer), len(footer)


async def read_layout(objects: ObjectReader, key: str, size: int, crc: int | None) -> Layout:
    """What reading lines needs of it. Raises as `read_footer` does."""
    footer = await _footer_bytes(objects, key, size, crc)

    def layout() -> Layout:
        metadata = _parsed(key, footer)
        with as_written(key):
            return layout_of(footer, metadata)

    return await asyncio.to_thread(layout)


async def _footer_bytes(objects: ObjectReader, key: str, size: int, crc: int | None) -> bytes:
    guess = min(size, GUESS_BYTES)
    tail = await objects.read_range(key, size - guess, guess)
    length = footer_length(tail)
    if tail[-4:] != b"PAR1" or length > size:
        raise ObjectDamaged(key, "it does not end as a Parquet file does")
    if length > guess:
        tail = await objects.read_range(key, size - length, length)
    if crc is not None and crc32(tail[-length:]) != crc:
        raise ObjectDamaged(key, "its footer is not what was written")
    return tail[-length:]


def _parsed(key: str, footer: bytes) -> pq.FileMetaData:
    with as_written(key):
        metadata = parse_footer(footer)
    if metadata.schema.names != LINES.names:
        raise ObjectDamaged(key, "its columns are not those of log lines")
    return metadata


@contextlib.contextmanager
def as_written(key: str) -> Iterator[None]:
    """What a reader of Parquet complains of is damage. Raises ObjectDamaged."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, IndexError, OverflowError) as error:
        message = str(error).partition("\n")[0][:300] or type(error).__name__
        raise ObjectDamaged(key, message) from error
