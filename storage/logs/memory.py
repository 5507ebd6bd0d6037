"""How our processes get memory: what a peak took goes back to the system
(docs/decisions/023-memory-goes-back.md)."""

from collections.abc import Mapping

# For the environment that a process starts with; later is too late for some of it.
ALLOCATION: Mapping[str, str] = {
    # Arrow's own allocators keep what they once had. `pyarrow.set_memory_pool` would not do: what
    # reads and writes Parquet takes memory from the pool that is named here.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # Of glibc. Each thread with an arena of its own holds back what others could use.
    "MALLOC_ARENA_MAX": "2",
    # Larger blocks are mapped, and unmapped when they are freed. Unless set, the threshold grows with the
    # blocks that are freed, up to 32 MiB.
    "MALLOC_MMAP_THRESHOLD_": str(1024**2),
    # What a heap keeps at its end: the 128 KiB that hold unless set are given back and asked for again by
    # each flush of lines.
    "MALLOC_TRIM_THRESHOLD_": str(8 * 1024**2),
}
