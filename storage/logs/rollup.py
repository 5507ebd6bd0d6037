"""Counts of lines that a segment keeps of itself, so that a histogram does not read lines.

`MINUTES`: how many lines each minute (UTC) has of each level. `RUNS`: how many each run has of each
level; null is no run.
"""

import pyarrow as pa
import pyarrow.compute as pc

from storage.logs.lines import LINES, TIMESTAMP

MINUTES = pa.schema(
    [
        pa.field("minute", TIMESTAMP),
        LINES.field("level"),
        pa.field("lines", pa.int64()),
    ]
)
RUNS = pa.schema(
    [
        LINES.field("flow_run_id"),
        LINES.field("level"),
        pa.field("lines", pa.int64()),
    ]
)
_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 3), use_threads=False)
# Parts that wait to be summed up.
_MAX_PARTS = 64


class Rollup:
    """Counts while lines come."""

    def __init__(self) -> None:
        self._minutes: list[pa.Table] = []
        self._runs: list[pa.Table] = []

    def add(self, lines: pa.Table) -> None:
        """Count these lines."""
        self._minutes.append(minutes_of(lines))
        self._runs.append(runs_of(lines))
        if len(self._minutes) >= _MAX_PARTS:
            self._minutes = [summed(self._minutes, MINUTES)]
            self._runs = [summed(self._runs, RUNS)]

    def minutes(self) -> bytes:
        """`MINUTES` as an Arrow IPC stream."""
        return _encoded(summed(self._minutes, MINUTES))

    def runs(self) -> bytes:
        """`RUNS` as an Arrow IPC stream."""
        return _encoded(summed(self._runs, RUNS))


def minutes_of(lines: pa.Table) -> pa.Table:
    """Lines by minute and level."""
    minutes = pc.floor_temporal(lines.column("timestamp"), unit="minute")
    return _counted(pa.table({"minute": minutes, "level": lines.column("level")}), MINUTES)


def runs_of(lines: pa.Table) -> pa.Table:
    """Lines by run and level."""
    return _counted(lines.select(["flow_run_id", "level"]), RUNS)


def summed(parts: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """Counts of some parts together, ordered."""
    keys = schema.names[:2]
    together = pa.concat_tables([schema.empty_table(), *parts])
    counts = together.group_by(keys, use_threads=False).aggregate([("lines", "sum")])
    ordered = counts.sort_by([(key, "ascending") for key in keys])
    return ordered.rename_columns({"lines_sum": "lines"}).select(schema.names).cast(schema)


def decode_rollup(payload: bytes, schema: pa.Schema) -> pa.Table:
    """What `Rollup` encoded. Raises an ArrowException or ValueError for anything else."""
    table = pa.ipc.open_stream(payload).read_all()
    return table.cast(schema)


def _counted(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    counts = keys.group_by(schema.names[:2], use_threads=False).aggregate([([], "count_all")])
    return counts.rename_columns({"count_all": "lines"}).select(schema.names).cast(schema)


def _encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()
