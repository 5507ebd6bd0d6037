"""An offload that dies at a step: `python -m tests.chaos.killed_offload STEP`, config on stdin.

The process ends itself as SIGKILL would (`os._exit`): no cleanup runs, open transactions are left
to the database. It exits 9 at the step and 0 when it never came there.
"""

import asyncio
import os
import sys

import msgspec

from app.services import ServicesConfig, open_services
from storage.logs import manifest, offload
from storage.logs.segment import EncodedSegment
from storage.objects.s3 import S3ObjectStore
from storage.objects.store import ObjectStore
from storage.postgres.pool import Conn

STEPS = ("before stage", "before put", "after put", "before commit", "after commit")
KILLED = 9


class DyingStore:
    """The bucket, with a process that dies around the upload."""

    def __init__(self, store: ObjectStore, step: str) -> None:
        self._store = store
        self._step = step
        self.read_range = store.read_range
        self.delete_many = store.delete_many
        self.list_keys = store.list_keys
        self.check = store.check

    async def put_new(self, key: str, body: bytes) -> None:
        """Upload, or die before or after."""
        die_at(self._step, "before put")
        await self._store.put_new(key, body)
        die_at(self._step, "after put")


def die_at(step: str, here: str) -> None:
    """End the process here if this is the step."""
    if step == here:
        os._exit(KILLED)


async def main() -> None:
    """One forced pass that dies at the step."""
    step = sys.argv[1]
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=ServicesConfig)
    stage, publish = manifest.stage_segment, manifest.publish_segment

    async def dying_stage(conn: Conn, key: str, segment: EncodedSegment) -> int:
        die_at(step, "before stage")
        return await stage(conn, key, segment)

    async def dying_publish(
        conn: Conn, segment_id: int, segment: EncodedSegment, batch_ids: list[int]
    ) -> None:
        await publish(conn, segment_id, segment, batch_ids)
        # Every statement has run; only the commit is missing.
        die_at(step, "before commit")

    manifest.stage_segment = dying_stage
    manifest.publish_segment = dying_publish
    async with open_services(config) as services:
        store = services.objects
        assert isinstance(store, S3ObjectStore)
        done = await offload.offload_pass(services.pool, DyingStore(store, step), force=True)
        assert done.rows > 0
        die_at(step, "after commit")


if __name__ == "__main__":
    asyncio.run(main())
