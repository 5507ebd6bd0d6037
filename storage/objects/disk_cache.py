"""A cache of objects on the local disk, so that a store far away is asked once.

Objects never change, so a block of one is right for ever. Blocks are files of `BLOCK_BYTES`, each with a
CRC-32 of its own; all processes of a machine may share a directory, and anybody may delete it at any
time. A disk that is full or gone makes reads slower, never wrong.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary
from zlib import crc32

import structlog

from storage.errors import ObjectDamaged
from storage.objects.store import ObjectStore

# A row group has about 150 KB: one or two blocks hold it, and the next page is often there too.
BLOCK_BYTES = 256 * 1024
# Blocks that nobody asked for so long go, so that what was deleted from the store does not stay here.
UNUSED_SECONDS = 24 * 3600.0
TIDY_SECONDS = 600.0
# A hit is remembered in the file's time only when that is older.
TOUCH_SECONDS = 60.0
# What a process may write between two looks at how much there is.
MIN_WRITTEN_BYTES = 16 * 1024**2
# After tidying this part of the bound is used, so that it is not done for each block.
KEPT_PART = 0.9
WARN_SECONDS = 60.0
MAX_DISTRUSTED = 1000
_CRC_BYTES = 4
_PARTIAL = ".partial"

_log = structlog.get_logger("tailrace.object_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCache:
    """Where blocks are kept, and about how many bytes of them."""

    directory: str
    max_bytes: int


class _Found(NamedTuple):
    """Blocks of an object that were in the cache, by number, and those that were not."""

    blocks: dict[int, bytes]
    missing: list[int]


class DiskCache:
    """What `store` has, with the ranges that were read kept on the local disk: the least recently used go
    first."""

    def __init__(self, store: ObjectStore, config: LogCache) -> None:
        self._store = store
        self._directory = Path(config.directory)
        self._max_bytes = config.max_bytes
        self._written = 0
        self._full = asyncio.Event()
        # Who reads the same for the first time waits for the one who was first.
        self._fetching: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._distrusted: OrderedDict[str, float] = OrderedDict()
        self._warned = -WARN_SECONDS

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, store: ObjectStore, config: LogCache) -> AsyncIterator["DiskCache"]:
        """A cache that is kept within its bound until the block ends."""
        cache = cls(store, config)
        tidying = asyncio.create_task(cache._keep_tidy(), name="object-cache")
        try:
            yield cache
        finally:
            tidying.cancel()
            await asyncio.wait((tidying,))

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes [start, start + length) of an object. Raises as `ObjectStore.read_range` does."""
        numbers = list(range(start // BLOCK_BYTES, (start + length - 1) // BLOCK_BYTES + 1))
        found = await asyncio.to_thread(self._read, key, numbers)
        if found.missing:
            lock = self._fetching.setdefault((key, found.missing[0]), asyncio.Lock())
            async with lock:
                again = await asyncio.to_thread(self._read, key, found.missing)
                found.blocks.update(again.blocks)
                for run in _consecutive(again.missing):
                    found.blocks.update(await self._fetch(key, run, start + length))
        body = b"".join(found.blocks[number] for number in numbers)
        first = start - numbers[0] * BLOCK_BYTES
        body = body[first : first + length]
        if len(body) < length:
            raise ObjectDamaged(key, f"it ends at byte {start + len(body)} of {start + length}")
        return body

    def distrust(self, key: str) -> None:
        """What was kept of an object until now is read anew: it was found to be damaged."""
        self._distrusted[key] = time.time()
        self._distrusted.move_to_end(key)
        while len(self._distrusted) > MAX_DISTRUSTED:
            self._distrusted.popitem(last=False)

    async def _fetch(self, key: str, numbers: list[int], end: int) -> dict[int, bytes]:
        """Consecutive blocks from the store, kept unless the object ends before `end`."""
        first = numbers[0] * BLOCK_BYTES
        body = await self._store.read_at_most(key, first, len(numbers) * BLOCK_BYTES)
        blocks = {
            number: body[number * BLOCK_BYTES - first : (number + 1) * BLOCK_BYTES - first]
            for number in numbers
        }
        if len(body) >= min(end - first, len(numbers) * BLOCK_BYTES):
            await asyncio.to_thread(self._keep, key, blocks)
            if self._written >= max(MIN_WRITTEN_BYTES, self._max_bytes // 64):
                self._full.set()
        return blocks

    def _read(self, key: str, numbers: list[int]) -> _Found:
        found = _Found({}, [])
        since = self._distrusted.get(key)
        for number in numbers:
            block = _read_block(self._path(key, number), since)
            if block is None:
                found.missing.append(number)
            else:
                found.blocks[number] = block
        return found

    def _keep(self, key: str, blocks: dict[int, bytes]) -> None:
        try:
            for number, block in blocks.items():
                path = self._path(key, number)
                # Written beside its place and moved there: nobody sees half of it.
                partial = path.with_suffix(f".{secrets.token_hex(8)}{_PARTIAL}")
                _make_parent(partial)
                try:
                    partial.write_bytes(crc32(block).to_bytes(_CRC_BYTES, "little") + block)
                    partial.rename(path)
                except OSError:
                    partial.unlink(missing_ok=True)
                    raise
                self._written += len(block)
        except OSError as error:
            if time.monotonic() > self._warned + WARN_SECONDS:
                self._warned = time.monotonic()
                _log.warning(
                    "objects cannot be kept on the local disk; they are read from the store",
                    directory=str(self._directory),
                    error=error.strerror,
                )

    def _path(self, key: str, number: int) -> Path:
        name = sha256(key.encode()).hexdigest()[:40]
        return self._directory / name[:2] / f"{name[2:]}-{number}"

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.to_thread(tidy, self._directory, self._max_bytes)
            self._written = 0
            self._full.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIDY_SECONDS):
                    await self._full.wait()


def tidy(directory: Path, max_bytes: int, *, now: float | None = None) -> int:
    """Delete blocks that were not used for `UNUSED_SECONDS`, then the least recently used until the
    others are within the bound; gives the bytes that are left. Files that go meanwhile are gone."""
    oldest = (time.time() if now is None else now) - UNUSED_SECONDS
    kept: list[tuple[float, int, str]] = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                if status.st_mtime < oldest:
                    os.unlink(path)
                else:
                    kept.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in kept)
    if total <= max_bytes:
        return total
    for _, size, path in sorted(kept):
        if total <= KEPT_PART * max_bytes:
            break
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        total -= size
    return total


def _read_block(path: Path, since: float | None) -> bytes | None:
    """A block as it was kept, after `since` if that is given; None when there is none."""
    try:
        with path.open("rb") as file:
            modified = os.fstat(file.fileno()).st_mtime
            if since is not None and modified <= since:
                return None
            data = file.read()
    except OSError:
        return None
    block = data[_CRC_BYTES:]
    if len(data) < _CRC_BYTES or crc32(block) != int.from_bytes(data[:_CRC_BYTES], "little"):
        return None
    if modified < time.time() - TOUCH_SECONDS:
        with contextlib.suppress(OSError):
            os.utime(path)
    return block


def _make_parent(path: Path) -> None:
    # Lines of logs may be in them.
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)


def _consecutive(numbers: list[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if not runs or number != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(number)
    return runs
