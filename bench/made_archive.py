"""An archive of any size, written straight to final segments, as compaction would leave it.

Posting 100 million lines takes ten minutes, offloading and compacting them as long again. Here a *base* of
two million lines of `bench.corpus` is copied, each time with runs, task runs, times, seqs and numbers of its
own: digits of messages are permuted, so that no row group repeats another and each compresses as one of the
corpus does. Five copies make a day (UTC), whose lines lie in objects as a merge cuts them, written and
published by the same code. From 40 million lines on, 10 million of them are of one run, of one day.

One line in 100,000 has the word `RARE`, one in eleven has `COMMON`, none has `ABSENT`.

    python -m bench.made_archive --data-dir DIR --lines 100000000   # a `tailrace up` runs on DIR
"""

import argparse
import asyncio
import datetime as dt
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import IO, Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from app.wire.logs import LogCreate
from bench.corpus import CACHE_DIR, CorpusSpec, Run, batches
from bench.servers import CannotMeasure
from storage.embedded.data_directory import Instance, find_instance
from storage.logs import manifest
from storage.logs.compaction_plan import FINAL_TIER
from storage.logs.encode import to_table
from storage.logs.lines import LINES, SEQ_BITS, TIMESTAMP, UUID_TYPE, first_seq, time_of
from storage.logs.manifest import Lineage
from storage.logs.merge import OUTPUT_BYTES
from storage.logs.offload import segment_key
from storage.logs.segment import SegmentSummary, SegmentWriter, in_segment_order
from storage.objects.s3 import S3ObjectStore
from storage.postgres.pool import connect, connection, open_pool, transaction

RARE = "qx7f3a91c"
COMMON = "completed"
ABSENT = "zq8e5b20d"
RARE_EVERY = 100_000
# 2026-11-01 00:00 UTC.
BASE = CorpusSpec(lines=2_000_000, seed=6, start=1_793_491_200)
COPIES_PER_DAY = 5
# Copies whose lines are all of one run, when at least four times as many are made.
HUGE_COPIES = 5
DAY = 86_400 * 1_000_000
SHIFT = DAY // COPIES_PER_DAY
# Posts that one flush takes at usual loads.
POSTS_PER_BATCH = 8
POST_LINES = 200
SLICE_ROWS = 65_536
# Without digits, as long as RARE: it outlives the permutation.
_RARE_MARK = "qx~f~a~~c"
# A merge ends an output here wherever that is.
_LARGEST_BYTES = 2 * OUTPUT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one process makes: lines of day `day`, counted from the first, of the copies in `copies`;
    a huge run instead when `huge` is its id."""

    day: int
    copies: tuple[int, ...]
    first_batch: int
    base: Path
    instance: Instance
    huge: UUID | None = None


# The base -------------------------------------------------------------------------


def ensure_base(spec: CorpusSpec = BASE, cache: Path = CACHE_DIR) -> Path:
    """The base as an Arrow file in the order of a segment, made unless it is there. Its seqs count from
    batch 0; ids are dictionaries of their own, in the order of the first lines' runs."""
    target = cache / f"{spec.name}-base.arrow"
    if target.exists():
        return target
    decode = msgspec.json.Decoder(list[LogCreate]).decode
    tables: list[pa.Table] = []
    flush: list[LogCreate] = []
    for number, (body, _) in enumerate(batches(spec, POST_LINES, cache), start=1):
        flush += decode(body)
        if number % POSTS_PER_BATCH == 0:
            tables.append(_flushed(flush, len(tables)))
            flush = []
    if flush:
        tables.append(_flushed(flush, len(tables)))
    lines = in_segment_order(pa.concat_tables(tables)).combine_chunks()
    every = [False] * (RARE_EVERY - 1)
    rare = pa.array(
        [*every, True] * (lines.num_rows // RARE_EVERY) + [False] * (lines.num_rows % RARE_EVERY)
    )
    messages: Any = lines.column("message")
    marked: Any = pc.replace_substring_regex(messages, "$", f" {_RARE_MARK}", max_replacements=1)
    lines = lines.set_column(
        LINES.names.index("message"), "message", pc.if_else(rare, marked, messages)
    )
    for name in ("flow_run_id", "task_run_id"):
        coded: Any = lines.column(name).combine_chunks().dictionary_encode()
        lines = lines.set_column(LINES.names.index(name), name, coded)
    unfinished = target.with_suffix(".new")
    with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, lines.schema) as writer:
        writer.write_table(lines, max_chunksize=SLICE_ROWS)
    unfinished.rename(target)
    return target


def _flushed(lines: list[LogCreate], batch: int) -> pa.Table:
    table = to_table(lines)
    first = first_seq(batch)
    return table.add_column(0, "seq", pa.array(range(first, first + table.num_rows), pa.int64()))


def _read_base(path: Path) -> list[pa.RecordBatch]:
    # What the map holds lives as long as the batches do.
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        return [file.get_batch(index) for index in range(file.num_record_batches)]


# Copies ----------------------------------------------------------------------------


class Copy:
    """One copy of the base. The same `number` gives the same lines but for their seqs."""

    def __init__(self, base: list[pa.RecordBatch], number: int, first_batch: int) -> None:
        self._base = base
        self._shift = number * SHIFT
        self._first_seq = first_seq(first_batch)
        self._rng = Random(f"copy {number}")
        digits = list(b"0123456789")
        self._rng.shuffle(digits)
        self._digits = bytes.maketrans(b"0123456789", bytes(digits))
        self._ids = {
            name: self._new_ids(_dictionary(base[0], name))
            for name in ("flow_run_id", "task_run_id")
        }

    def _new_ids(self, ids: list[bytes | None]) -> "pa.Array[Any]":
        """Ids as if made later, by as much as the lines are, in the same order."""
        return pa.array([self._later(each) for each in ids], UUID_TYPE)

    def _later(self, id_: bytes | None) -> bytes | None:
        if id_ is None:
            return None
        made = int.from_bytes(id_[:6], "big") + self._shift // 1000
        random = 2 << 62 | self._rng.getrandbits(62)
        return made.to_bytes(6, "big") + id_[6:8] + random.to_bytes(8, "big")

    def runs(self) -> list[Run]:
        """Its runs, in the order of their ids."""
        ids = self._ids["flow_run_id"].to_pylist()
        counts = [0] * len(ids)
        for batch in self._base:
            for each in pc.value_counts(_codes(batch, "flow_run_id")).to_pylist():
                counts[each["values"]] += each["counts"]
        return [
            Run(flow_run_id=str(UUID(bytes=id_)), lines=lines)
            for id_, lines in zip(ids, counts, strict=True)
        ]

    def tables(self) -> Iterator[pa.Table]:
        """Its lines in the order of a segment."""
        for batch in self._base:
            yield pa.table(
                [
                    pc.add(batch.column("seq"), _int(self._first_seq)),
                    *(
                        self._ids[name].take(_codes(batch, name))
                        for name in ("flow_run_id", "task_run_id")
                    ),
                    pc.add(batch.column("timestamp").cast(pa.int64()), _int(self._shift)).cast(
                        TIMESTAMP
                    ),
                    batch.column("level"),
                    batch.column("name"),
                    self._messages(batch.column("message")),
                ],
                schema=LINES,
            )

    def _messages(self, messages: "pa.Array[Any]") -> "pa.Array[Any]":
        validity, offsets, text = messages.buffers()
        if messages.offset or text is None or offsets is None:
            raise ValueError("a slice of messages has no buffers of its own")
        permuted = text.to_pybytes().translate(self._digits)
        permuted = permuted.replace(_RARE_MARK.encode(), RARE.encode())
        return pa.StringArray.from_buffers(len(messages), offsets, pa.py_buffer(permuted), validity)


def _codes(batch: pa.RecordBatch, name: str) -> Any:
    column: Any = batch.column(name)
    return column.indices


def _dictionary(batch: pa.RecordBatch, name: str) -> list[bytes | None]:
    column: Any = batch.column(name)
    return column.dictionary.to_pylist()


def _of_one_run(lines: pa.Table, task: Task, first_line: int, start: int) -> pa.Table:
    """The lines as a run's, evenly over the day from `start` on, in the order of arrival."""
    gap = DAY // (len(task.copies) * BASE.lines)
    numbers = pa.array(range(first_line, first_line + lines.num_rows), pa.int64())
    of_flush = POSTS_PER_BATCH * POST_LINES
    batches_before = pc.multiply(pc.divide(numbers, _int(of_flush)), _int(2**SEQ_BITS - of_flush))
    # The base's own times say how much later than evenly.
    late = pc.bit_wise_and(lines.column("timestamp").cast(pa.int64()), _int(4095))
    even = pc.add(pc.multiply(numbers, _int(gap)), _int(start))
    run: Any = pa.array([task.huge.bytes if task.huge else None], UUID_TYPE)
    changed: dict[str, Any] = {
        "seq": pc.add(pc.add(numbers, batches_before), _int(first_seq(task.first_batch))),
        "flow_run_id": run.take(pa.repeat(0, lines.num_rows)),
        "timestamp": pc.add(even, late).cast(TIMESTAMP),
    }
    columns = [changed.get(name, lines.column(name)) for name in LINES.names]
    return pa.table(columns, schema=LINES)


def _int(value: int) -> pa.Int64Scalar:
    return pa.scalar(value, pa.int64())


# Objects ---------------------------------------------------------------------------


def _lines_of(task: Task) -> Iterator[pa.Table]:
    base = _read_base(task.base)
    per_copy = _batches_of(base)
    start = BASE.start * 1_000_000 + task.day * DAY
    first_line = 0
    for index, number in enumerate(task.copies):
        copy = Copy(base, number, task.first_batch + index * per_copy)
        for lines in copy.tables():
            if task.huge is not None:
                yield _of_one_run(lines, task, first_line, start)
                first_line += lines.num_rows
                continue
            times = lines.column("timestamp").cast(pa.int64())
            of_day = pc.and_(
                pc.greater_equal(times, _int(start)), pc.less(times, _int(start + DAY))
            )
            if (kept := lines.filter(of_day)).num_rows:
                yield kept


def _batches_of(base: list[pa.RecordBatch]) -> int:
    return 1 + max(pc.max(batch.column("seq")).as_py() >> SEQ_BITS for batch in base)


class _Objects:
    """Files of at least `OUTPUT_BYTES` that end where a run does, as those of a merge."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sink: IO[bytes] | None = None
        self._writer: SegmentWriter | None = None
        self._last_run: bytes | None = None
        self.done: list[tuple[Path, SegmentSummary]] = []

    def append(self, lines: pa.Table) -> None:
        written = self._writer.written_bytes if self._writer else 0
        if written >= OUTPUT_BYTES:
            last_run: Any = pa.scalar(self._last_run, UUID_TYPE)
            of_last: Any = pc.equal(lines.column("flow_run_id"), last_run)
            same: int = pc.sum(of_last).as_py()
            if same and written < _LARGEST_BYTES:
                self._write(lines.slice(0, same))
                lines = lines.slice(same)
            if not lines.num_rows:
                return
            self.finish()
        self._write(lines)

    def _write(self, lines: pa.Table) -> None:
        if self._writer is None:
            self._sink = (self._directory / f"made-{len(self.done)}.parquet").open("wb")
            self._writer = SegmentWriter(self._sink, final=True)
        self._writer.append(lines)
        self._last_run = lines.column("flow_run_id")[-1].as_py()

    def finish(self) -> None:
        """End the file that is being written."""
        if self._writer is None or self._sink is None:
            return
        summary = self._writer.close()
        self._sink.close()
        self.done.append((Path(self._sink.name), summary))
        self._writer = None


async def _publish(task: Task, files: list[tuple[Path, SegmentSummary]]) -> None:
    day = time_of(BASE.start * 1_000_000 + task.day * DAY)
    lineage = Lineage(tier=FINAL_TIER, hour=day, cleaned=dt.datetime.now(dt.UTC))
    pool = await open_pool(task.instance.database_url, max_size=1)
    try:
        async with S3ObjectStore.open(task.instance.s3) as objects:
            for path, summary in files:
                key = segment_key(day)
                async with connection(pool) as conn:
                    segment_id = await manifest.stage_segment(conn, key, summary, lineage)
                await objects.upload_new(key, path)
                async with transaction(pool) as conn:
                    await manifest.publish_merged(conn, {segment_id: summary}, [])
    finally:
        await pool.close()


def _make(task: Task) -> int:
    """Write, upload and publish; gives the lines."""
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="tailrace-made-") as directory:
        files = _Objects(Path(directory))
        for lines in _lines_of(task):
            files.append(lines)
        files.finish()
        asyncio.run(_publish(task, files.done))
    return sum(summary.rows for _, summary in files.done)


# An archive ------------------------------------------------------------------------


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: its runs, the huge one apart; how long that took."""

    lines: int
    rare_lines: int
    runs: list[Run]
    huge: Run | None
    seconds: float
    cpu_seconds: float


def make_archive(directory: Path, first: int, lines: int) -> Made:
    """Add lines `first` to `first + lines` of the endless archive to the instance that runs in
    `directory`; both must be whole days of `BASE.lines * COPIES_PER_DAY`. Blocks for a second or two per
    million lines.

    Raises:
        CannotMeasure: no instance runs there.
        ValueError: these are not whole days.
    """
    began, cpu = time.monotonic(), _cpu_seconds()
    of_day = BASE.lines * COPIES_PER_DAY
    if first % of_day or lines % of_day or not lines:
        raise ValueError(f"{first} and {lines} are not multiples of {of_day}")
    instance = find_instance(directory)
    if instance is None:
        raise CannotMeasure(f"no instance runs in {directory}")
    path = ensure_base()
    base = _read_base(path)
    copies = list(range(first // BASE.lines, (first + lines) // BASE.lines))
    per_copy = _batches_of(base)
    batch = asyncio.run(_reserve_batches(instance.database_url, per_copy * len(copies)))
    huge = _huge_copies(copies)
    tasks = list(_tasks(copies[: len(copies) - len(huge)], batch, per_copy, path, instance))
    huge_run = None
    if huge:
        day = copies[0] // COPIES_PER_DAY
        # Older than the other runs of its day, as `first` of it.
        made_at = (BASE.start * 1000 + day * DAY // 1000).to_bytes(6, "big")
        run = UUID(bytes=made_at + bytes.fromhex("7000800000000000") + bytes(2))
        first_batch = batch + (len(copies) - len(huge)) * per_copy
        tasks.insert(
            0,
            Task(
                day=day,
                copies=tuple(huge),
                first_batch=first_batch,
                base=path,
                instance=instance,
                huge=run,
            ),
        )
        huge_run = Run(flow_run_id=str(run), lines=len(huge) * BASE.lines)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        made = sum(pool.map(_make, tasks))
    if made != lines:
        raise CannotMeasure(f"{made} lines were made instead of {lines}")
    usual = copies[: len(copies) - len(huge)]
    return Made(
        lines=lines,
        rare_lines=lines // RARE_EVERY,
        runs=[run for number in usual for run in Copy(base, number, 0).runs()],
        huge=huge_run,
        seconds=time.monotonic() - began,
        cpu_seconds=_cpu_seconds() - cpu,
    )


def together(one: Made, more: Made) -> Made:
    """An archive and what was added to it."""
    return Made(
        lines=one.lines + more.lines,
        rare_lines=one.rare_lines + more.rare_lines,
        runs=one.runs + more.runs,
        huge=one.huge or more.huge,
        seconds=one.seconds + more.seconds,
        cpu_seconds=one.cpu_seconds + more.cpu_seconds,
    )


def _huge_copies(copies: list[int]) -> list[int]:
    return copies[-HUGE_COPIES:] if len(copies) >= 4 * HUGE_COPIES else []


def _tasks(
    copies: list[int], batch: int, per_copy: int, base: Path, instance: Instance
) -> Iterator[Task]:
    """A task for each day; runs that go on after midnight have their last lines in the next day's."""
    for index in range(0, len(copies) + 1, COPIES_PER_DAY):
        chosen = copies[max(0, index - 1) : index + COPIES_PER_DAY]
        yield Task(
            day=copies[0] // COPIES_PER_DAY + index // COPIES_PER_DAY,
            copies=tuple(chosen),
            first_batch=batch + max(0, index - 1) * per_copy,
            base=base,
            instance=instance,
        )


async def _reserve_batches(database_url: str, count: int) -> int:
    """The first of so many batch ids in a row that nobody else gets."""
    conn = await connect(database_url)
    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE log_batch IN EXCLUSIVE MODE")
            sequence = "pg_get_serial_sequence('log_batch', 'id')::regclass"
            first: int = await conn.fetchval(f"SELECT nextval({sequence})")
            await conn.execute(f"SELECT setval({sequence}, $1)", first + count)
        return first
    finally:
        await conn.close()


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.made_archive", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=100_000_000)
    parser.add_argument("--first", type=int, default=0, help="lines that are there already")
    given = parser.parse_args()
    made = make_archive(given.data_dir, given.first, given.lines)
    print(
        f"{made.lines:,} lines, {len(made.runs):,} runs, in {made.seconds:.0f} s, {made.cpu_seconds:.0f} s"
        f" of CPU; {made.rare_lines:,} lines with {RARE}; the huge run: {made.huge}"
    )


if __name__ == "__main__":
    main()
