"""Move hot log batches into segments, and clear away what offload leaves behind."""

from app.services import Services
from jobs.job import Report
from storage.logs.offload import end_stale_uploads, offload_pass, prune_receipts, sweep

# Segments per pass: a pass stays short, and under load the next one follows at once.
MAX_SEGMENTS = 8


async def offload_logs(services: Services) -> Report:
    """Make segments of the batches that are due."""
    segments = batches = rows = size = 0
    for _ in range(MAX_SEGMENTS):
        done = await offload_pass(services.pool, services.objects)
        if done.batches:
            segments += 1
            batches += done.batches
            rows += done.rows
            size += done.bytes
        if not done.more:
            break
    if not segments:
        return {}
    return {"segments": segments, "batches": batches, "rows": rows, "bytes": size}


async def sweep_segments(services: Services) -> Report:
    """Remove objects that were uploaded and never published, and parts of uploads that never ended."""
    swept = {
        "segments": await sweep(services.pool, services.objects),
        "uploads": await end_stale_uploads(services.objects),
    }
    return {what: number for what, number in swept.items() if number}


async def prune_log_receipts(services: Services) -> Report:
    """Forget bodies that no client retries any more."""
    pruned = await prune_receipts(services.pool)
    return {"receipts": pruned} if pruned else {}
