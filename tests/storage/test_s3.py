"""One suite for every object store, and what the client makes of a server that misbehaves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from moto.server import ThreadedMotoServer

from storage.errors import ObjectMissing, Unavailable
from storage.objects import s3
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import S3Config
from tests.conftest import EmbeddedServers, own_bucket


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Config]:
    """moto's S3 in a thread of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Config(
        bucket="unused",
        endpoint_url=f"http://{host}:{port}",
        access_key_id="key",
        secret_access_key="secret",
    )
    server.stop()


@pytest.fixture(params=["seaweedfs", "moto"])
async def store(
    request: pytest.FixtureRequest, embedded_servers: EmbeddedServers, moto: S3Config
) -> AsyncIterator[S3ObjectStore]:
    """An empty bucket on each kind of server in turn."""
    server = moto if request.param == "moto" else embedded_servers.seaweedfs.s3
    async with own_bucket(server) as config, S3ObjectStore.open(config) as opened:
        yield opened


# What every store must do ----------------------------------------------------------------------


async def test_an_object_is_read_back_as_it_was_written(store: S3ObjectStore) -> None:
    body = bytes(range(256)) * 5000
    await store.put_new("logs/date=2026-11-24/hour=06/a.parquet", body)
    assert await store.read_range("logs/date=2026-11-24/hour=06/a.parquet", 0, len(body)) == body


async def test_a_range_gives_those_bytes(store: S3ObjectStore) -> None:
    await store.put_new("a", bytes(range(200)))
    assert await store.read_range("a", 10, 5) == bytes(range(10, 15))
    assert await store.read_range("a", 199, 1) == bytes([199])


async def test_a_range_beyond_the_end_is_an_error_not_a_short_answer(store: S3ObjectStore) -> None:
    await store.put_new("a", b"0123456789")
    with pytest.raises(Unavailable):
        await store.read_range("a", 8, 5)
    with pytest.raises(Unavailable):
        await store.read_range("a", 50, 5)


async def test_reading_what_is_not_there_names_the_key(store: S3ObjectStore) -> None:
    with pytest.raises(ObjectMissing) as caught:
        await store.read_range("logs/missing.parquet", 0, 10)
    assert caught.value.key == "logs/missing.parquet"
    assert caught.value.store == "s3"


async def test_putting_the_same_object_again_changes_nothing(store: S3ObjectStore) -> None:
    await store.put_new("a", b"once")
    await store.put_new("a", b"once")
    assert list(await store.list_objects("")) == ["a"]
    assert await store.read_range("a", 0, 4) == b"once"


async def test_keys_are_listed_by_prefix_and_sorted(store: S3ObjectStore) -> None:
    for key in ("b/2", "b/1", "a/1", "b/3/x", "bb"):
        await store.put_new(key, b"x")
    assert list(await store.list_objects("b/")) == ["b/1", "b/2", "b/3/x"]
    assert list(await store.list_objects("c/")) == []


async def test_more_keys_than_a_page_are_all_listed_and_deleted(store: S3ObjectStore) -> None:
    keys = [f"many/{number:05}" for number in range(1005)]
    async with asyncio.TaskGroup() as group:
        for place in range(16):
            group.create_task(_put_all(store, keys[place::16]))
    assert list(await store.list_objects("many/")) == keys
    await store.delete_many(keys)
    assert list(await store.list_objects("many/")) == []


async def _put_all(store: S3ObjectStore, keys: list[str]) -> None:
    for key in keys:
        await store.put_new(key, b"x")


async def test_deleting_what_is_not_there_is_no_error(store: S3ObjectStore) -> None:
    await store.put_new("a", b"x")
    await store.delete_many(["a", "never/was"])
    await store.delete_many([])
    with pytest.raises(ObjectMissing):
        await store.read_range("a", 0, 1)


async def test_a_bucket_that_can_be_reached_passes_the_check(store: S3ObjectStore) -> None:
    await store.check()


async def test_a_missing_bucket_is_unavailable(moto: S3Config) -> None:
    async with S3ObjectStore.open(replace(moto, bucket="nobody-made-it")) as store:
        with pytest.raises(Unavailable, match="nobody-made-it"):
            await store.check()
        with pytest.raises(Unavailable) as caught:
            await store.put_new("a", b"x")
        assert not isinstance(caught.value, ObjectMissing)


async def test_a_missing_bucket_is_not_taken_for_a_missing_object(moto: S3Config) -> None:
    async with S3ObjectStore.open(replace(moto, bucket="nobody-made-it")) as store:
        with pytest.raises(Unavailable) as caught:
            await store.read_range("a", 0, 1)
        assert not isinstance(caught.value, ObjectMissing)


async def test_refused_keys_are_unavailable_and_stay_secret(
    embedded_servers: EmbeddedServers,
) -> None:
    config = replace(embedded_servers.seaweedfs.s3, secret_access_key="not-the-right-one")
    async with S3ObjectStore.open(config) as store:
        with pytest.raises(Unavailable) as caught:
            await store.put_new("a", b"x")
    assert "not-the-right-one" not in str(caught.value)


# A server that misbehaves ------------------------------------------------------------------------

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "x"\r\n\r\n'
BUSY_BODY = b"<Error><Code>SlowDown</Code><Message>Please slow down.</Message></Error>"
SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n%s" % (len(BUSY_BODY), BUSY_BODY)


@contextlib.asynccontextmanager
async def talking_to(handler: Handler) -> AsyncIterator[S3ObjectStore]:
    """A client of a server that does what `handler` does with each connection."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            # The client has gone.
            return
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = S3Config(
        bucket="bucket",
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id="key",
        secret_access_key="secret",
    )
    try:
        async with S3ObjectStore.open(config) as store:
            yield store
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"100-continue" in head:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    _, _, rest = head.partition(b"content-length:")
    if rest:
        await reader.readexactly(int(rest.split(b"\r\n")[0]))


async def test_a_server_that_is_away_is_reported_at_once() -> None:
    config = S3Config(
        bucket="b", endpoint_url="http://127.0.0.1:9", access_key_id="k", secret_access_key="s"
    )
    async with S3ObjectStore.open(config) as store:
        begun = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await store.put_new("a", b"x")
        assert caught.value.store == "s3"
        assert time.monotonic() - begun < 10


async def test_a_busy_server_is_asked_again() -> None:
    answers = [SLOW_DOWN, OK]

    async def slow_down_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answers:
            await _read_request(reader, writer)
            writer.write(answers.pop(0))
            await writer.drain()

    async with talking_to(slow_down_once) as store:
        await store.put_new("a", b"x")
    assert answers == []


async def test_a_server_that_stays_busy_is_unavailable() -> None:
    async def always_slow_down(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _read_request(reader, writer)
            writer.write(SLOW_DOWN)
            await writer.drain()

    async with talking_to(always_slow_down) as store:
        with pytest.raises(Unavailable, match="SlowDown"):
            await store.put_new("a", b"x")


async def test_a_body_cut_short_is_an_error_not_a_short_answer() -> None:
    async def cut_short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader, writer)
        writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n0123456789")
        await writer.drain()

    async with talking_to(cut_short) as store:
        with pytest.raises(Unavailable):
            await store.read_range("a", 0, 1000)


async def test_a_server_that_ignores_the_range_does_not_pass_for_the_range() -> None:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _read_request(reader, writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789")
            await writer.drain()

    async with talking_to(whole) as store:
        with pytest.raises(Unavailable):
            await store.read_range("a", 5, 10)


async def test_a_server_that_never_answers_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_TIMEOUT_SECONDS", 0.3)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking_to(silent) as store:
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await store.read_range("a", 0, 1)
        assert time.monotonic() - begun < 10


async def test_an_operation_has_a_time_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_RANGE_TIMEOUT_SECONDS", 0.5)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader, writer)
        writer.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"0")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with talking_to(drip) as store:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="TimeoutError"):
            await store.read_range("a", 0, 1000)
        assert time.monotonic() - begun < 5


async def test_what_is_not_http_is_unavailable() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader, writer)
        writer.write(b"\x00\x01\x02 not a protocol\r\n\r\n")
        await writer.drain()

    async with talking_to(garbage) as store:
        with pytest.raises(Unavailable):
            await store.check()


async def test_parts_of_an_upload_that_never_ended_are_deleted_when_they_are_old(
    store: S3ObjectStore,
) -> None:
    client, bucket = store._client, store._bucket
    for key in ("logs/a.parquet", "other/a.parquet"):
        upload = await client.create_multipart_upload(Bucket=bucket, Key=key)
        await client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"part"
        )

    # It may still be under way. (moto says of each that it began in 2010.)
    assert await store.end_stale_uploads("logs/", older_than_seconds=100 * 365 * 86_400) == 0
    assert await store.end_stale_uploads("logs/", older_than_seconds=-5) == 1
    assert await store.end_stale_uploads("logs/", older_than_seconds=-5) == 0

    left = await client.list_multipart_uploads(Bucket=bucket)
    assert [upload.get("Key") for upload in left.get("Uploads", [])] == ["other/a.parquet"]
