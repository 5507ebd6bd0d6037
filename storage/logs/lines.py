"""The one logical table of log lines, as Arrow sees it, and the identity of a line.

`LINES` is the shape of every table in this package:

    seq            int64                  unique, assigned at flush
    flow_run_id    fixed_size_binary[16]  null for a line outside any run
    task_run_id    fixed_size_binary[16]  null for a line of the flow run itself
    timestamp      timestamp[us, UTC]     the client's clock
    level          int32                  Python's logging levels: 20 INFO, 40 ERROR
    name           string                 logger
    message        string

The total order of lines is (timestamp, seq).

A line's `seq` is its batch's id times 2^20 plus its row in the batch, so it needs no coordination
beyond the batch's own id. The public id is a UUIDv8 (RFC 9562, section 5.8) that carries `seq` in
its leading bits: storing a random UUID would double the size of the archive.
"""

import datetime as dt
import uuid
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from app.wire.logs import Log

if TYPE_CHECKING:
    from collections.abc import Iterable

UUID_TYPE = pa.binary(16)
TIMESTAMP = pa.timestamp("us", tz="UTC")
LINES = pa.schema(
    [
        pa.field("seq", pa.int64()),
        pa.field("flow_run_id", UUID_TYPE),
        pa.field("task_run_id", UUID_TYPE),
        pa.field("timestamp", TIMESTAMP),
        pa.field("level", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("message", pa.string()),
    ]
)
# (timestamp in microseconds since the epoch, seq): the order of lines.
Key: TypeAlias = tuple[int, int]
# What a batch stores: `seq` follows from the batch's id.
HOT_LINES = LINES.remove(0)

# Room for more rows than one flush can have: a line takes 60 bytes of a body of 8 MiB at least.
SEQ_BITS = 20
MAX_SEQ = 2**63 - 1

_VERSION_AND_VARIANT = (8 << 76) | (2 << 62)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def first_seq(batch_id: int) -> int:
    """The `seq` of a batch's first row; its other rows follow one by one."""
    return batch_id << SEQ_BITS


def log_id(seq: int) -> uuid.UUID:
    """The public id of a line: 48 bits, 12 bits and 4 bits of `seq` around version and variant."""
    return uuid.UUID(
        int=((seq >> 16) << 80)
        | (((seq >> 4) & 0xFFF) << 64)
        | ((seq & 0xF) << 58)
        | _VERSION_AND_VARIANT
    )


def seq_of(line_id: uuid.UUID) -> int:
    """The `seq` inside a public id. Raises ValueError for an id that `log_id` did not make."""
    value = line_id.int
    seq = ((value >> 80) << 16) | (((value >> 64) & 0xFFF) << 4) | ((value >> 58) & 0xF)
    if log_id(seq) != line_id:
        raise ValueError(f"{line_id} is not the id of a log line")
    return seq


def microseconds_of(time: dt.datetime) -> int:
    """Microseconds since the epoch."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def time_of(microseconds: int) -> dt.datetime:
    """The time, in UTC, so many microseconds after the epoch."""
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def key_at(lines: pa.Table, row: int) -> Key:
    """The key of one line of a table."""
    return lines.column("timestamp")[row].value, lines.column("seq")[row].as_py()


def empty() -> pa.Table:
    """A table of no lines."""
    return LINES.empty_table()


def in_order(
    table: pa.Table, *, descending: bool = False, skip: int = 0, give: int | None = None
) -> pa.Table:
    """The lines in the total order, or in its reverse; of those, [skip, skip + give)."""
    direction = "descending" if descending else "ascending"
    order = pc.sort_indices(table, sort_keys=[("timestamp", direction), ("seq", direction)])
    # Only what is given is copied.
    return table.take(order.slice(skip, give))


def to_logs(table: pa.Table) -> list[Log]:
    """The lines as structs for the wire."""
    flow_run_ids = _uuids(table.column("flow_run_id").to_pylist())
    task_run_ids = _uuids(table.column("task_run_id").to_pylist())
    microseconds = table.column("timestamp").cast(pa.int64()).to_pylist()
    logs = []
    for seq, flow_run_id, task_run_id, us, level, name, message in zip(
        table.column("seq").to_pylist(),
        flow_run_ids,
        task_run_ids,
        microseconds,
        table.column("level").to_pylist(),
        table.column("name").to_pylist(),
        table.column("message").to_pylist(),
        strict=True,
    ):
        timestamp = time_of(us)
        logs.append(
            Log(
                id=log_id(seq),
                created=timestamp,
                updated=timestamp,
                name=name,
                level=level,
                message=message,
                timestamp=timestamp,
                flow_run_id=flow_run_id,
                task_run_id=task_run_id,
            )
        )
    return logs


def _uuids(values: "Iterable[bytes | None]") -> list[uuid.UUID | None]:
    known: dict[bytes | None, uuid.UUID | None] = {None: None}
    found = []
    for value in values:
        if value not in known:
            known[value] = uuid.UUID(bytes=value)
        found.append(known[value])
    return found
