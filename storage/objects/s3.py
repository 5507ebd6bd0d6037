"""The object store: any S3, by aioboto3."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import aioboto3
import botocore.exceptions
import structlog
from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpClientError

from storage.errors import ObjectDamaged, ObjectMissing, Unavailable
from storage.objects.store import S3Config

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

# Above the largest PUT of a segment on a slow link; a dead endpoint fails within seconds instead.
OPERATION_TIMEOUT_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 20
ATTEMPTS = 3
MAX_CONNECTIONS = 32
# Of a few row groups or a footer, retries included: somebody waits for the page.
READ_RANGE_TIMEOUT_SECONDS = 20.0
CHECK_TIMEOUT_SECONDS = 5.0
# Of a whole object of 256 MiB, at 0.5 MB a second, and of a list of a million.
TRANSFER_TIMEOUT_SECONDS = 600.0
CHUNK_BYTES = 1024**2
PART_BYTES = 16 * 1024**2
# Parts that are on their way at once; each is in memory.
CONCURRENT_PARTS = 2
# The most keys one DeleteObjects request may name (S3 API).
DELETE_BATCH = 1000
# What an S3 that does not answer as it should comes out as; its own errors are `ClientError`.
_S3_FAILURES = (botocore.exceptions.BotoCoreError, HttpClientError, OSError, TimeoutError)

_log = structlog.get_logger("tailrace.s3")


class S3ObjectStore:
    """`ObjectStore` over one bucket. Retries and their back-off are botocore's."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, config: S3Config) -> AsyncIterator["S3ObjectStore"]:
        """Open a client. Nothing is asked of the server yet; see `check`."""
        session = aioboto3.Session()
        async with session.client(
            "s3",
            endpoint_url=config.endpoint_url,
            region_name=config.region,
            aws_access_key_id=config.access_key_id,
            aws_secret_access_key=config.secret_access_key,
            config=AioConfig(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                retries={"max_attempts": ATTEMPTS, "mode": "standard"},
                max_pool_connections=MAX_CONNECTIONS,
                s3={
                    "addressing_style": "virtual"
                    if config.addressing_style == "virtual"
                    else "path"
                },
                # Stores other than AWS refuse the newer default of a trailing checksum.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        ) as client:
            yield cls(client, config.bucket)

    async def put_new(self, key: str, body: bytes) -> None:
        """See `ObjectStore.put_new`."""
        with _s3_errors(key):
            async with asyncio.timeout(OPERATION_TIMEOUT_SECONDS):
                await self._client.put_object(Bucket=self._bucket, Key=key, Body=body)

    async def upload_new(self, key: str, path: Path) -> None:
        """See `ObjectStore.upload_new`."""
        size = (await asyncio.to_thread(path.stat)).st_size
        with _s3_errors(key):
            async with asyncio.timeout(TRANSFER_TIMEOUT_SECONDS):
                if size > PART_BYTES:
                    await self._upload_in_parts(key, path, size)
                else:
                    body = await asyncio.to_thread(path.read_bytes)
                    await self._client.put_object(Bucket=self._bucket, Key=key, Body=body)

    async def _upload_in_parts(self, key: str, path: Path, size: int) -> None:
        """Not by aioboto3's `upload_file`: when a part fails it waits for ever for room in its queue,
        and its tasks outlive it."""
        bucket = self._bucket
        upload = await self._client.create_multipart_upload(Bucket=bucket, Key=key)
        upload_id = upload["UploadId"]
        starts = range(0, size, PART_BYTES)
        numbers = iter(range(1, len(starts) + 1))
        parts: dict[int, CompletedPartTypeDef] = {}

        async def send() -> None:
            for number in numbers:
                body = await asyncio.to_thread(_read, path, starts[number - 1])
                part = await self._client.upload_part(
                    Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
                )
                parts[number] = {"ETag": part["ETag"], "PartNumber": number}

        senders = [asyncio.create_task(send()) for _ in range(CONCURRENT_PARTS)]
        try:
            await asyncio.gather(*senders)
            await self._client.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [parts[number] for number in sorted(parts)]},
            )
        except BaseException:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
            await self._abandon(key, upload_id)
            raise

    async def _abandon(self, key: str, upload_id: str) -> None:
        """Let go of the parts, as far as S3 answers; what ended the upload is told instead."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id
                )
        except (*_S3_FAILURES, botocore.exceptions.ClientError) as error:
            _log.warning("parts of an upload stay in the bucket", key=key, error=str(error))

    async def download(self, key: str, path: Path) -> bytes:
        """See `ObjectStore.download`."""
        digest = sha256()
        with path.open("xb") as file, _s3_errors(key):
            async with asyncio.timeout(TRANSFER_TIMEOUT_SECONDS):
                response = await self._client.get_object(Bucket=self._bucket, Key=key)
                body = response["Body"]
                async with body:
                    async for chunk in body.iter_chunks(CHUNK_BYTES):
                        digest.update(chunk)
                        await asyncio.to_thread(_write, file, chunk)
        return digest.digest()

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectReader.read_range`."""
        body = await self.read_at_most(key, start, length)
        if len(body) < length:
            raise ObjectDamaged(key, f"it ends at byte {start + len(body)} of {start + length}")
        return body

    async def read_at_most(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore.read_at_most`."""
        with _s3_errors(key):
            async with asyncio.timeout(READ_RANGE_TIMEOUT_SECONDS):
                response = await self._client.get_object(
                    Bucket=self._bucket, Key=key, Range=f"bytes={start}-{start + length - 1}"
                )
                async with response["Body"] as stream:
                    body = await stream.read()
        whole = response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT
        if whole or len(body) != min(length, response["ContentLength"]):
            raise Unavailable("s3", f"object {key} gave {len(body)} of {length} bytes")
        return body

    def distrust(self, key: str) -> None:
        """See `ObjectReader.distrust`. Nothing is kept here."""

    async def delete_many(self, keys: list[str]) -> None:
        """See `ObjectStore.delete_many`."""
        for start in range(0, len(keys), DELETE_BATCH):
            batch = keys[start : start + DELETE_BATCH]
            with _s3_errors(batch[0]):
                async with asyncio.timeout(OPERATION_TIMEOUT_SECONDS):
                    response = await self._client.delete_objects(
                        Bucket=self._bucket,
                        Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                    )
            if failed := response.get("Errors"):
                first = failed[0]
                raise Unavailable("s3", f"delete of {first.get('Key')}: {first.get('Message')}")

    async def list_objects(self, prefix: str) -> dict[str, int]:
        """See `ObjectStore.list_objects`."""
        sizes: dict[str, int] = {}
        with _s3_errors(prefix):
            async with asyncio.timeout(TRANSFER_TIMEOUT_SECONDS):
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket, Prefix=prefix
                )
                async for page in pages:
                    for item in page.get("Contents", []):
                        if "Key" in item:
                            sizes[item["Key"]] = item.get("Size", 0)
        return dict(sorted(sizes.items()))

    async def end_stale_uploads(self, prefix: str, *, older_than_seconds: float) -> int:
        """See `ObjectStore.end_stale_uploads`."""
        begun_before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=older_than_seconds)
        ended = 0
        with _s3_errors(prefix):
            async with asyncio.timeout(TRANSFER_TIMEOUT_SECONDS):
                pages = self._client.get_paginator("list_multipart_uploads").paginate(
                    Bucket=self._bucket, Prefix=prefix
                )
                async for page in pages:
                    for upload in page.get("Uploads", []):
                        if upload["Initiated"] > begun_before:
                            continue
                        await self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                        ended += 1
        return ended

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        with _s3_errors(self._bucket):
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await self._client.head_bucket(Bucket=self._bucket)


def _read(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(PART_BYTES)


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise Unavailable("local disk", f"{file.name}: {error.strerror}") from error


@contextlib.contextmanager
def _s3_errors(what: str) -> Iterator[None]:
    try:
        yield
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404") and error.operation_name == "GetObject":
            raise ObjectMissing(what) from error
        if code in ("InvalidRange", "416") and error.operation_name == "GetObject":
            raise ObjectDamaged(what, "it is shorter than it was") from error
        message = error.response.get("Error", {}).get("Message", "")
        raise Unavailable(
            "s3", f"{error.operation_name} of {what}: {code} {message}".strip()
        ) from error
    except _S3_FAILURES as error:
        raise Unavailable("s3", f"{what}: {type(error).__name__}") from error
