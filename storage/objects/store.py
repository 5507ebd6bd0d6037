"""What Tailrace asks of an object store, and how to reach one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """How to reach a bucket.

    Without keys the usual AWS chain (environment, profile, instance role) is asked. `endpoint_url`
    is None for AWS itself. `addressing_style` is "path" or "virtual".
    """

    bucket: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    addressing_style: str = "path"


class ObjectReader(Protocol):
    """Reads immutable objects, from the store or from what was kept of it."""

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes [start, start + length). Raises `ObjectMissing` when there is no such object,
        `ObjectDamaged` when it has fewer bytes, and `storage.errors.Unavailable` when the store does
        not answer."""
        ...

    def distrust(self, key: str) -> None:
        """Ask the store itself for an object that was found to be damaged."""
        ...


class ObjectStore(ObjectReader, Protocol):
    """Immutable objects under keys. All methods raise `storage.errors.Unavailable` when the store
    does not answer."""

    async def put_new(self, key: str, body: bytes) -> None:
        """Store `body` under `key`, durably. Keys are never reused, so the same key twice means
        the same bytes."""
        ...

    async def upload_new(self, key: str, path: Path) -> None:
        """`put_new` of a file, in parts that do not fill memory."""
        ...

    async def download(self, key: str, path: Path) -> bytes:
        """Write a whole object to a new file; gives the SHA-256 of its bytes. Raises `ObjectMissing`
        when there is no such object, `Unavailable` of the local disk when that is full."""
        ...

    async def read_at_most(self, key: str, start: int, length: int) -> bytes:
        """Bytes [start, start + length), fewer when the object ends before. Raises as `read_range`
        does; `ObjectDamaged` when it ends before `start`."""
        ...

    async def delete_many(self, keys: list[str]) -> None:
        """Delete objects; those that are not there count as deleted."""
        ...

    async def list_objects(self, prefix: str) -> dict[str, int]:
        """The size in bytes of each object below `prefix`, by key, sorted by it."""
        ...

    async def end_stale_uploads(self, prefix: str, *, older_than_seconds: float) -> int:
        """Delete the parts of uploads below `prefix` that began so long ago and never ended, which no list
        of objects shows; gives how many uploads that were."""
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless the bucket can be reached."""
        ...
