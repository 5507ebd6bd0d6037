"""Offload or compaction that dies at a step: `python -m tests.chaos.killed_log_job JOB STEP`, config
on stdin.

The process ends itself as SIGKILL would (`os._exit`): no cleanup runs, open transactions are left
to the database. It exits 9 at the step and 0 when it never came there.
"""

import asyncio
import datetime as dt
import os
import sys
from pathlib import Path

import msgspec
from typing_extensions import override

from app.services import Services, ServicesConfig, open_services
from storage.logs import manifest
from storage.logs.compaction import clean_pass, compact_pass
from storage.logs.manifest import FROM_HOT, Lineage
from storage.logs.offload import offload_pass
from storage.logs.segment import SegmentSummary
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import Conn

JOBS = ("offload", "compaction", "cleaning")
STEPS = ("before stage", "before put", "after put", "before commit", "after commit")
KILLED = 9


class DyingStore(S3ObjectStore):
    """The bucket, with a process that dies around the upload."""

    def __init__(self, store: S3ObjectStore, step: str) -> None:
        super().__init__(store._client, store._bucket)
        self._step = step

    @override
    async def put_new(self, key: str, body: bytes) -> None:
        """Upload, unless the step is before it."""
        die_at(self._step, "before put")
        await super().put_new(key, body)
        die_at(self._step, "after put")

    @override
    async def upload_new(self, key: str, path: Path) -> None:
        """Upload, unless the step is before it."""
        die_at(self._step, "before put")
        await super().upload_new(key, path)
        die_at(self._step, "after put")


def die_at(step: str, here: str) -> None:
    """End the process when it has come to the step."""
    if step == here:
        os._exit(KILLED)


async def main() -> None:
    """One pass that dies at the step."""
    job, step = sys.argv[1:]
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=ServicesConfig)
    stage, publish = manifest.stage_segment, manifest._publish

    async def dying_stage(
        conn: Conn, key: str, segment: SegmentSummary, lineage: Lineage = FROM_HOT
    ) -> int:
        die_at(step, "before stage")
        return await stage(conn, key, segment, lineage)

    async def dying_publish(conn: Conn, segment_id: int, segment: SegmentSummary) -> None:
        await publish(conn, segment_id, segment)
        # Every statement has run; only the commit is missing.
        die_at(step, "before commit")

    manifest.stage_segment = dying_stage
    manifest._publish = dying_publish
    async with open_services(config) as services:
        assert isinstance(services.objects, S3ObjectStore)
        assert await _pass(job, services, DyingStore(services.objects, step)) > 0
        die_at(step, "after commit")


async def _pass(job: str, services: Services, store: DyingStore) -> int:
    pool = services.pool
    if job == "offload":
        return (await offload_pass(pool, store, force=True)).rows
    if job == "compaction":
        return (await compact_pass(pool, store, dt.datetime.now(dt.UTC), force=True)).rows
    return (await clean_pass(pool, store, deleted_before_seconds=0)).rows


if __name__ == "__main__":
    asyncio.run(main())
