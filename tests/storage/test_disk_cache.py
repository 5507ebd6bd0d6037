"""Objects kept on the local disk: asked for once, never wrong, within their bound."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from storage.errors import ObjectDamaged, ObjectMissing, Unavailable
from storage.objects import disk_cache
from storage.objects.disk_cache import BLOCK_BYTES, DiskCache, LogCache, tidy
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import S3Config

Eventually = Callable[..., Awaitable[None]]
KEY = "logs/date=2026-11-24/hour=06/a.parquet"


class Counted(S3ObjectStore):
    """The bucket, with each range that it was asked for."""

    asked: list[tuple[int, int]]
    failures: int

    @override
    async def read_at_most(self, key: str, start: int, length: int) -> bytes:
        self.asked.append((start, length))
        if self.failures:
            self.failures -= 1
            raise Unavailable("s3", "away")
        return await super().read_at_most(key, start, length)


@pytest.fixture
async def store(s3_config: S3Config) -> AsyncIterator[Counted]:
    """An empty bucket."""
    async with Counted.open(s3_config) as opened:
        assert isinstance(opened, Counted)
        opened.asked = []
        opened.failures = 0
        yield opened


@pytest.fixture
async def cache(store: Counted, tmp_path: Path) -> AsyncIterator[DiskCache]:
    """A cache of that bucket."""
    async with DiskCache.open(store, below(tmp_path)) as opened:
        yield opened


def below(directory: Path, max_bytes: int = 64 * 1024**2) -> LogCache:
    """A cache below a directory."""
    return LogCache(directory=str(directory / "cache"), max_bytes=max_bytes)


def some_bytes(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def test_what_was_read_once_is_not_asked_for_again(store: Counted, cache: DiskCache) -> None:
    body = some_bytes(5 * BLOCK_BYTES + 100)
    await store.put_new(KEY, body)
    for _ in range(3):
        assert await cache.read_range(KEY, 1000, 3 * BLOCK_BYTES) == body[1000:][: 3 * BLOCK_BYTES]
        assert await cache.read_range(KEY, 2000, 10) == body[2000:2010]
    assert store.asked == [(0, 4 * BLOCK_BYTES)]


async def test_only_what_is_missing_is_asked_for(store: Counted, cache: DiskCache) -> None:
    body = some_bytes(5 * BLOCK_BYTES)
    await store.put_new(KEY, body)
    await cache.read_range(KEY, 2 * BLOCK_BYTES, 1)
    store.asked.clear()
    assert await cache.read_range(KEY, 0, len(body)) == body
    assert store.asked == [(0, 2 * BLOCK_BYTES), (3 * BLOCK_BYTES, 2 * BLOCK_BYTES)]


async def test_many_who_read_the_same_for_the_first_time_ask_once(
    store: Counted, cache: DiskCache
) -> None:
    body = some_bytes(2 * BLOCK_BYTES)
    await store.put_new(KEY, body)
    answers = await asyncio.gather(*(cache.read_range(KEY, 5, 1000) for _ in range(50)))
    assert set(answers) == {body[5:1005]}
    assert len(store.asked) == 1


async def test_a_second_process_finds_what_the_first_kept(
    store: Counted, cache: DiskCache, tmp_path: Path
) -> None:
    await store.put_new(KEY, some_bytes(1000))
    await cache.read_range(KEY, 0, 1000)
    store.asked.clear()
    async with DiskCache.open(store, below(tmp_path)) as other:
        assert await other.read_range(KEY, 0, 1000) == some_bytes(1000)
    assert store.asked == []


async def test_it_may_be_deleted_at_any_time(
    store: Counted, cache: DiskCache, tmp_path: Path
) -> None:
    await store.put_new(KEY, some_bytes(1000))
    await cache.read_range(KEY, 0, 1000)
    shutil.rmtree(tmp_path / "cache")
    assert await cache.read_range(KEY, 0, 1000) == some_bytes(1000)
    assert len(store.asked) == 2
    assert files(tmp_path / "cache")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
async def test_a_block_that_the_disk_lost_is_read_anew(
    store: Counted, cache: DiskCache, tmp_path: Path, damage: str
) -> None:
    await store.put_new(KEY, some_bytes(1000))
    await cache.read_range(KEY, 0, 1000)
    (block,) = files(tmp_path / "cache")
    kept = bytearray(block.read_bytes())
    kept[500] ^= 1
    block.write_bytes({"cut": bytes(kept[:100]), "flipped": bytes(kept), "empty": b""}[damage])
    assert await cache.read_range(KEY, 0, 1000) == some_bytes(1000)
    store.asked.clear()
    assert await cache.read_range(KEY, 0, 1000) == some_bytes(1000)
    assert store.asked == []


async def test_a_disk_that_cannot_be_written_makes_no_read_fail(
    store: Counted, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("not a directory")
    await store.put_new(KEY, some_bytes(1000))
    async with DiskCache.open(store, below(tmp_path)) as cache:
        for _ in range(2):
            assert await cache.read_range(KEY, 0, 1000) == some_bytes(1000)
    assert len(store.asked) == 2


async def test_errors_are_those_of_the_store_and_nothing_is_kept(
    store: Counted, cache: DiskCache, tmp_path: Path
) -> None:
    await store.put_new(KEY, some_bytes(1000))
    with pytest.raises(ObjectMissing):
        await cache.read_range("logs/missing", 0, 10)
    with pytest.raises(ObjectDamaged):
        await cache.read_range(KEY, 990, 11)
    with pytest.raises(ObjectDamaged):
        await cache.read_range(KEY, 10 * BLOCK_BYTES, 1)
    assert files(tmp_path / "cache") == []
    assert await cache.read_range(KEY, 990, 10) == some_bytes(1000)[990:]
    with pytest.raises(ObjectDamaged):
        await cache.read_range(KEY, 990, 11)


async def test_a_store_that_fails_is_asked_again(store: Counted, cache: DiskCache) -> None:
    await store.put_new(KEY, some_bytes(1000))
    store.failures = 1
    with pytest.raises(Unavailable):
        await cache.read_range(KEY, 0, 10)
    assert await cache.read_range(KEY, 0, 10) == some_bytes(10)


async def test_an_object_that_was_found_damaged_is_read_anew(
    store: Counted, cache: DiskCache
) -> None:
    await store.put_new(KEY, b"damaged" * 100)
    await cache.read_range(KEY, 0, 700)
    await store.put_new(KEY, b"mended!" * 100)
    cache.distrust(KEY)
    for _ in range(2):
        assert await cache.read_range(KEY, 0, 700) == b"mended!" * 100
    assert len(store.asked) == 2


async def test_the_least_recently_used_go_first(
    store: Counted, cache: DiskCache, tmp_path: Path
) -> None:
    now = time.time()
    for number in range(8):
        await store.put_new(f"o{number}", some_bytes(BLOCK_BYTES))
        await cache.read_range(f"o{number}", 0, 10)
        (newest,) = [path for path in files(tmp_path) if path.stat().st_mtime > now - 500]
        # As if they had been read an hour, 59 minutes ... ago.
        os.utime(newest, (now - 3600 + 60 * number,) * 2)
    await cache.read_range("o0", 0, 10)
    assert tidy(tmp_path / "cache", 4 * (BLOCK_BYTES + 4)) <= 4 * (BLOCK_BYTES + 4)
    store.asked.clear()
    for number in (0, 7, 6):
        await cache.read_range(f"o{number}", 0, 10)
    assert store.asked == []
    await cache.read_range("o1", 0, 10)
    assert len(store.asked) == 1


async def test_what_nobody_asked_for_since_a_day_goes(
    store: Counted, cache: DiskCache, tmp_path: Path
) -> None:
    await store.put_new(KEY, some_bytes(1000))
    await cache.read_range(KEY, 0, 10)
    assert tidy(tmp_path / "cache", 10**9, now=time.time() + 23 * 3600) > 0
    assert tidy(tmp_path / "cache", 10**9, now=time.time() + 25 * 3600) == 0
    assert files(tmp_path / "cache") == []


async def test_it_stays_within_its_bound_by_itself(
    store: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(disk_cache, "MIN_WRITTEN_BYTES", 4 * BLOCK_BYTES)
    bound = 8 * BLOCK_BYTES

    async def is_bounded() -> bool:
        return sum(path.stat().st_size for path in files(tmp_path)) <= bound + 5 * BLOCK_BYTES

    await store.put_new(KEY, some_bytes(64 * BLOCK_BYTES))
    async with DiskCache.open(store, below(tmp_path, bound)) as cache:
        for number in range(64):
            await cache.read_range(KEY, number * BLOCK_BYTES, 1)
            await eventually(is_bounded, within=10)
    assert files(tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    reads=st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 40), st.booleans()), min_size=1, max_size=12
    )
)
async def test_any_reads_give_what_the_store_has(
    store: Counted,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[tuple[int, int, bool]],
) -> None:
    monkeypatch.setattr(disk_cache, "BLOCK_BYTES", 7)
    body = some_bytes(38)
    await store.put_new(KEY, body)
    directory = tmp_path_factory.mktemp("cache")
    cache = DiskCache(store, below(directory))
    for start, length, forget in reads:
        if forget:
            for path in files(directory)[::2]:
                path.unlink()
        if start + length <= len(body):
            assert await cache.read_range(KEY, start, length) == body[start : start + length]
        else:
            with pytest.raises(ObjectDamaged):
                await cache.read_range(KEY, start, length)
