"""The hot tier: `log_batch` rows not yet offloaded."""

from dataclasses import dataclass

from storage.logs.encode import EncodedBatch
from storage.postgres.pool import Conn
from storage.postgres.statements import statement

_ACCEPT_BODIES = statement("accept_bodies")
_INSERT_BATCH = statement("insert_batch")
_HOT_BYTES = statement("hot_bytes")
_BATCHES_DUE = statement("batches_due")
_BATCH_PAYLOADS = statement("batch_payloads")
_DELETE_BATCHES = statement("delete_batches")
_PRUNE_RECEIPTS = statement("prune_receipts")


@dataclass(frozen=True, slots=True, kw_only=True)
class HotBatch:
    """A batch without its payload. `bytes` is the payload's size, compressed."""

    id: int
    rows: int
    bytes: int
    age_seconds: float


async def accept_bodies(conn: Conn, hashes: list[bytes]) -> set[bytes]:
    """Write receipts; gives the hashes that were not acknowledged in the last 10 minutes.

    Must share its transaction with the insert of those bodies. `hashes` must be sorted, or two
    processes with the same bodies could wait for one another.
    """
    rows = await conn.fetch(_ACCEPT_BODIES, hashes)
    return {row["body_hash"] for row in rows}


async def insert_batch(conn: Conn, batch: EncodedBatch) -> int:
    """Store a batch and notify channel `log_batch` with its id, which is returned."""
    batch_id: int = await conn.fetchval(
        _INSERT_BATCH,
        batch.rows,
        len(batch.payload),
        min(run.min_timestamp for run in batch.runs),
        max(run.max_timestamp for run in batch.runs),
        [run.flow_run_id for run in batch.runs],
        [run.rows for run in batch.runs],
        [run.min_timestamp for run in batch.runs],
        [run.max_timestamp for run in batch.runs],
        batch.payload,
    )
    return batch_id


async def hot_bytes(conn: Conn) -> int:
    """Bytes of all payloads in the hot tier."""
    total: int = await conn.fetchval(_HOT_BYTES)
    return total


async def batches_due(conn: Conn, limit: int) -> list[HotBatch]:
    """At most `limit` batches, oldest first."""
    return [HotBatch(**row) for row in await conn.fetch(_BATCHES_DUE, limit)]


async def batch_payloads(conn: Conn, ids: list[int]) -> dict[int, bytes]:
    """Payloads by batch id. Batches offloaded in the meantime are not there."""
    return {row["id"]: row["payload"] for row in await conn.fetch(_BATCH_PAYLOADS, ids)}


async def delete_batches(conn: Conn, ids: list[int]) -> int:
    """Delete batches; gives how many were there."""
    tag: str = await conn.execute(_DELETE_BATCHES, ids)
    return int(tag.rpartition(" ")[2])


async def prune_receipts(conn: Conn) -> int:
    """Forget bodies acknowledged more than 10 minutes ago; gives how many."""
    tag: str = await conn.execute(_PRUNE_RECEIPTS)
    return int(tag.rpartition(" ")[2])
