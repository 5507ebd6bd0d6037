"""The hot tier: `log_batch` rows not yet offloaded."""

from dataclasses import dataclass

from storage.errors import Conflict
from storage.logs.encode import EncodedBatch
from storage.postgres.pool import Conn, driver_errors
from storage.postgres.statements import statement

_STORE_BATCH = statement("store_batch")
_ACKNOWLEDGED_BODIES = statement("acknowledged_bodies")
_HOT_BYTES = statement("hot_bytes")
_BATCHES_DUE = statement("batches_due")
_BATCH_PAYLOADS = statement("batch_payloads")
_NEWEST_BATCH = statement("newest_batch")
_DELETE_BATCHES = statement("delete_batches")
_PRUNE_RECEIPTS = statement("prune_receipts")


@dataclass(frozen=True, slots=True, kw_only=True)
class HotBatch:
    """A batch without its payload. `bytes` is the payload's size, compressed."""

    id: int
    rows: int
    bytes: int
    age_seconds: float


class AlreadyAcknowledged(Exception):
    """A body of the batch was stored within the last 10 minutes."""


async def store_batch(conn: Conn, batch: EncodedBatch, hashes: list[bytes]) -> int:
    """Store a batch with the receipts of its bodies, and notify channel `log_batch` with its id,
    which is returned. `hashes` must be sorted and distinct: two processes with the same bodies in
    different orders would wait for one another.

    Raises:
        AlreadyAcknowledged: one of the bodies has a receipt; nothing was stored.
    """
    try:
        with driver_errors():
            batch_id: int = await conn.fetchval(
                _STORE_BATCH,
                hashes,
                batch.rows,
                len(batch.payload),
                min(run.min_timestamp for run in batch.runs),
                max(run.max_timestamp for run in batch.runs),
                [run.flow_run_id for run in batch.runs],
                [run.rows for run in batch.runs],
                [run.min_timestamp for run in batch.runs],
                [run.max_timestamp for run in batch.runs],
                [run.min_level for run in batch.runs],
                [run.max_level for run in batch.runs],
                batch.payload,
                [task for task, _ in batch.tasks],
                [run for _, run in batch.tasks],
            )
    except Conflict as error:
        if error.constraint == "log_batch_rows_check":
            raise AlreadyAcknowledged from error
        raise
    return batch_id


async def acknowledged_bodies(conn: Conn, hashes: list[bytes]) -> set[bytes]:
    """Those of `hashes` whose bodies were stored within the last 10 minutes."""
    return {row["body_hash"] for row in await conn.fetch(_ACKNOWLEDGED_BODIES, hashes)}


async def hot_bytes(conn: Conn) -> int:
    """Bytes of all payloads in the hot tier."""
    total: int = await conn.fetchval(_HOT_BYTES)
    return total


async def batches_due(conn: Conn, limit: int) -> list[HotBatch]:
    """At most `limit` batches, oldest first."""
    return [HotBatch(**dict(row)) for row in await conn.fetch(_BATCHES_DUE, limit)]


async def batch_payloads(conn: Conn, ids: list[int]) -> dict[int, bytes]:
    """Payloads by batch id. Batches offloaded in the meantime are not there."""
    return {row["id"]: row["payload"] for row in await conn.fetch(_BATCH_PAYLOADS, ids)}


async def newest_batch(conn: Conn) -> int:
    """The greatest id that a batch was given so far; its batch may be gone, or not committed yet."""
    newest: int = await conn.fetchval(_NEWEST_BATCH)
    return newest


async def delete_batches(conn: Conn, ids: list[int]) -> int:
    """Delete batches; gives how many were there."""
    tag: str = await conn.execute(_DELETE_BATCHES, ids)
    return int(tag.rpartition(" ")[2])


async def prune_receipts(conn: Conn) -> int:
    """Forget bodies acknowledged more than 10 minutes ago; gives how many."""
    tag: str = await conn.execute(_PRUNE_RECEIPTS)
    return int(tag.rpartition(" ")[2])
