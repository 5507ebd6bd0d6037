"""Fill a server with a corpus and say what a line takes at rest."""

import asyncio
import datetime as dt
import resource
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import asyncpg
import msgspec
import uuid_utils

from bench.corpus import CorpusSpec, Line, batches
from bench.driver import IngestLoad, LoadFailed, run_load
from bench.servers import CannotMeasure, RunningServer, clean_environment
from bench.tailrace_server import COMMAND, ROOT

COPY_ROWS = 20_000
BATCH_LINES = 200
LOAD_SECONDS = 300.0
TIER_SECONDS = 600.0


class SizeAtRest(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of everything that holds or finds log lines. `parts` says what they are."""

    rows: int
    bytes: int
    parts: dict[str, int]

    @property
    def bytes_per_line(self) -> float:
        return self.bytes / self.rows


# Reference ----------------------------------------------------------------------


async def fill_reference(server: RunningServer, spec: CorpusSpec) -> None:
    """Copy the corpus into the reference's table, as its API would have written it: the same
    columns, ids of the same kind, in the order of arrival. Its API would take ten minutes."""
    conn = await asyncpg.connect(server.database_url)
    columns = ["id", "created", "updated", "name", "level", "flow_run_id", "task_run_id"]
    columns += ["message", "timestamp"]
    try:
        rows = _rows(spec)
        while chunk := list(islice(rows, COPY_ROWS)):
            await conn.copy_records_to_table("log", records=chunk, columns=columns)
    finally:
        await conn.close()


def _rows(spec: CorpusSpec) -> Iterator[tuple[object, ...]]:
    decode = msgspec.json.Decoder(list[Line]).decode
    for body, _ in batches(spec, BATCH_LINES):
        now = dt.datetime.now(dt.UTC)
        for line in decode(body):
            task = uuid.UUID(line.task_run_id) if line.task_run_id else None
            yield (
                uuid.UUID(bytes=uuid_utils.uuid7().bytes),
                now,
                now,
                line.name,
                line.level,
                uuid.UUID(line.flow_run_id),
                task,
                line.message,
                dt.datetime.fromisoformat(line.timestamp),
            )


async def reference_size(server: RunningServer) -> SizeAtRest:
    """The log table with its indexes, after VACUUM."""
    conn = await asyncpg.connect(server.database_url)
    try:
        await conn.execute("VACUUM ANALYZE log")
        rows = await conn.fetchval("SELECT count(*) FROM log")
        table = await conn.fetchval("SELECT pg_table_size('log')")
        indexes = await conn.fetchval("SELECT pg_indexes_size('log')")
    finally:
        await conn.close()
    return SizeAtRest(rows=rows, bytes=table + indexes, parts={"table": table, "indexes": indexes})


# Tailrace -----------------------------------------------------------------------


async def fill_tailrace(
    server: RunningServer, directory: Path, spec: CorpusSpec, *, rounds: int
) -> float:
    """Post the corpus and offload it, in `rounds` parts: as over time, a run's lines lie in
    several segments. Gives the CPU seconds of the offloads.

    Raises:
        LoadFailed: not every line was acknowledged.
    """
    total = sum(1 for _ in batches(spec, BATCH_LINES))
    step = -(-total // rounds)
    sent = 0
    cpu = 0.0
    for first in range(0, total, step):
        load = IngestLoad(
            corpus=spec,
            batch_lines=BATCH_LINES,
            connections=8,
            seconds=LOAD_SECONDS,
            first_batch=first,
            count=step,
        )
        result = await asyncio.to_thread(run_load, load, server.target)
        sent += result.units
        cpu += await offload(directory)
    if sent != spec.lines:
        raise LoadFailed(f"{sent} of {spec.lines} lines were acknowledged")
    return cpu


async def offload(directory: Path) -> float:
    """`tailrace tier offload`: everything that is hot goes to S3 now. Gives the CPU seconds of that
    command, which starts for a second or so. Raises CannotMeasure."""
    return await _tier("offload", directory)


async def compact(directory: Path) -> float:
    """`tailrace tier compact`: as the archive is when hours and days have passed; as `offload`."""
    return await _tier("compact", directory)


async def _tier(command: str, directory: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("tier", command, "--data-dir", str(directory)),
        cwd=ROOT,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIER_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CannotMeasure(f"`tailrace tier {command}` failed: {output.decode()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def tailrace_size(server: RunningServer) -> SizeAtRest:
    """Objects in S3 and all tables of the log tier, after VACUUM."""
    conn = await asyncpg.connect(server.database_url)
    try:
        rows = await conn.fetchval(
            "SELECT sum(rows)::bigint FROM log_segment WHERE state = 'published'"
        )
        # What was replaced goes within 15 minutes.
        objects = await conn.fetchval(
            "SELECT sum(bytes)::bigint FROM log_segment WHERE state = 'published'"
        )
        parts = {"objects": int(objects)}
        for table in ("log_segment", "log_segment_run", "log_batch", "log_receipt"):
            await conn.execute(f"VACUUM ANALYZE {table}")
            parts[table] = await conn.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
    finally:
        await conn.close()
    # Receipts are kept for ten minutes only and hot batches for seconds: neither is at rest.
    kept = ("objects", "log_segment", "log_segment_run")
    return SizeAtRest(rows=int(rows), bytes=sum(parts[name] for name in kept), parts=parts)
