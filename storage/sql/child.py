"""The process that runs one statement: `python -m storage.sql.child`, its socket as standard input.

It loads what it needs, gives up its rights, waits to be asked, answers and ends. It ends too when the
other end of the socket is closed.
"""

import datetime as dt
import io
import os
import socket
import traceback
from typing import Any, get_args

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv
from typing_extensions import override

from storage.logs.encode import decode_batch
from storage.logs.lines import LINES, first_seq
from storage.logs.segment import encode_segment
from storage.sql import sandbox
from storage.sql.first_lines import TRIED, first_lines, moments
from storage.sql.logs_view import HOT, SEGMENTS, LogsView, create_logs
from storage.sql.messages import (
    BATCH_ID,
    Answer,
    Ask,
    Column,
    Failed,
    Format,
    Kind,
    SegmentFile,
    Tier,
    Wanted,
)
from storage.sql.results import encode
from storage.sql.socket_frames import Frames
from storage.sql.statement import Refused, check, explained
from storage.sql.tables import TABLES, create_table
from storage.sql.tier_files import BytesLost, DamagedSegment, Ranges, TierDataset

# A row with the largest parameters must fit.
_CSV_BLOCK_BYTES = 4 * 1024**2
_ROWS_AT_ONCE = 2048
# Of the memory of a query, for its result as Arrow.
_RESULT_SHARE = 0.2
_ARRIVING = "tailrace_arriving"
# What errors say that come through Arrow or Python when there is no memory.
_OUT_OF_MEMORY = ("bad_alloc", "Out of Memory", "MemoryError", "malloc", "realloc", "new thread")
_ERRORS_OF_STATEMENTS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.ParserException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
)


class _TooLarge(Exception):
    """The result takes more memory than it may."""


class _TablePieces(io.RawIOBase):
    """The CSV of one table as it arrives."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self._piece = memoryview(b"")
        self._ended = False

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        if not self._piece and not self._ended:
            self._piece = memoryview(self._frames.expect(Kind.TABLE))
            self._ended = not self._piece
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def drain(self) -> None:
        """Read what is left of the table."""
        while not self._ended:
            self._ended = not self._frames.expect(Kind.TABLE)


def main() -> None:
    """Answer one statement."""
    frames = Frames(socket.socket(fileno=os.dup(0)))
    connection = sandbox.open_duckdb()
    _load_everything()
    mapped = sandbox.address_space_bytes()
    sandbox.give_up_rights()
    try:
        ask = frames.expect_struct(Kind.ASK, Ask)
        if mapped is not None:
            # Allocators map more than they use. What is used is watched by the other end.
            sandbox.limit_address_space(mapped + 2 * ask.memory_bytes)
        ranges = Ranges(frames)
        outcome = _outcome(frames, connection, ask, ranges)
        if isinstance(outcome, Failed):
            frames.send(Kind.FAILED, msgspec.msgpack.encode(outcome))
        else:
            answer, body = outcome
            frames.send(Kind.ANSWER, msgspec.msgpack.encode(answer))
            frames.send_pieces(body)
            frames.send(Kind.BODY, b"")
        # Until the other end has all of it.
        ranges.wait_for_end()
    except (EOFError, ConnectionError):
        pass
    # At once: threads may wait for bytes that nobody will send.
    os._exit(0)


def _load_everything() -> None:
    """Do once all that loads code or opens files, on a segment of one line."""
    now = dt.datetime.now(dt.UTC)
    line = pa.table([[1], [None], [None], [now], [20], ["warm"], ["up"]], schema=LINES)
    segment = encode_segment(line)
    file = SegmentFile(
        bytes=len(segment.body), footer_crc32=segment.summary.footer_crc32, parts=None
    )
    tier = Tier(
        segments=[file], deleted_runs=[], deleted_tasks=[], below_level={}, runless_before=None
    )
    with sandbox.open_duckdb() as connection:
        sql = "SELECT * FROM logs WHERE timestamp <= now() AND level = 20 AND name LIKE 'w%'"
        check(connection, sql)
        dataset = TierDataset(_Held(segment.body), tier.segments).dataset
        create_logs(connection, tier, {SEGMENTS: dataset, HOT: line})
        _fill(connection, "flows", list(TABLES["flows"]), io.BytesIO(b""))
        for form in get_args(Format):
            answer, _ = _run(connection, Ask(sql=sql, limit=9, format=form, memory_bytes=2**20))
            if answer.rows != 2:
                raise RuntimeError(f"the first query gave {answer.rows} rows instead of 2")


class _Held:
    """Bytes of the one segment that is in memory."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, _: int, offset: int, length: int, /) -> bytes:
        """See `Source.read`."""
        return self._body[offset : offset + length]


def _outcome(
    frames: Frames, connection: duckdb.DuckDBPyConnection, ask: Ask, ranges: Ranges
) -> "Failed | tuple[Answer, memoryview]":
    tier: TierDataset | None = None
    try:
        wanted = check(connection, ask.sql)
        frames.send(Kind.WANTED, msgspec.msgpack.encode(wanted))
        tier, view = _receive(frames, connection, wanted, ranges)
        sandbox.lock_settings(connection, ask.memory_bytes)
        if tier is not None and view is not None:
            found = _first_lines(connection, ask, tier, view)
            if found is not None:
                return found
        return _run(connection, ask)
    except Refused as error:
        return Failed(reason="refused", message=str(error))
    except DamagedSegment as error:
        return Failed(reason="damaged", message=str(error), segment=error.segment)
    except (duckdb.OutOfMemoryException, pa.ArrowMemoryError, MemoryError):
        return Failed(reason="memory", message="")
    except _TooLarge:
        return Failed(reason="too_large", message="")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        return _whose_fault(error, ask.sql, ranges, tier)
    except Exception as error:
        if any(sign in str(error) for sign in _OUT_OF_MEMORY):
            return Failed(reason="memory", message="")
        return Failed(reason="unexpected", message=traceback.format_exc(limit=-8))


def _whose_fault(error: Exception, sql: str, ranges: Ranges, tier: TierDataset | None) -> Failed:
    """Whose fault an error is."""
    text = str(error)
    if ranges.lost:
        return Failed(reason="lost", message="")
    if any(sign in text for sign in _OUT_OF_MEMORY):
        return Failed(reason="memory", message="")
    if tier is not None and not isinstance(error, _ERRORS_OF_STATEMENTS):
        try:
            damaged = tier.find_damage()
        except BytesLost:
            return Failed(reason="lost", message="")
        if damaged is not None:
            return Failed(reason="damaged", message=str(damaged), segment=damaged.segment)
    return Failed(reason="refused", message=explained(error, sql))


def _receive(
    frames: Frames, connection: duckdb.DuckDBPyConnection, wanted: Wanted, ranges: Ranges
) -> tuple[TierDataset | None, LogsView | None]:
    """Make the views of what is sent."""
    for name, columns in wanted.tables.items():
        _receive_table(frames, connection, name, columns)
    if not wanted.logs:
        return None, None
    hot = []
    while (frame := frames.receive())[0] == Kind.BATCH:
        body = frame[1]
        (batch_id,) = BATCH_ID.unpack_from(body)
        hot.append(decode_batch(body[BATCH_ID.size :], first_seq(batch_id)))
    tier = msgspec.msgpack.decode(frame[1], type=Tier)
    ranges.start()
    segments = TierDataset(ranges, tier.segments)
    relations: dict[str, object] = {SEGMENTS: segments.dataset} if tier.segments else {}
    if hot or not tier.segments:
        relations[HOT] = pa.concat_tables([LINES.empty_table(), *hot])
    return segments, create_logs(connection, tier, relations)


def _first_lines(
    connection: duckdb.DuckDBPyConnection, ask: Ask, tier: TierDataset, view: LogsView
) -> tuple[Answer, memoryview] | None:
    """The result of a statement that wants the first lines by time, when those at that end are enough."""
    wanted = first_lines(connection, ask.sql)
    if wanted is None:
        return None
    for moment in moments(tier.times(), wanted, TRIED):
        view.create(connection, moment)
        answer, body = _run(connection, ask)
        if wanted.has_all(answer.rows, truncated=answer.truncated):
            return answer, body
    view.create(connection)
    return None


def _receive_table(
    frames: Frames, connection: duckdb.DuckDBPyConnection, name: str, columns: list[str]
) -> None:
    pieces = _TablePieces(frames)
    _fill(connection, name, columns, pieces)
    pieces.drain()


def _fill(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: list[str],
    file: io.RawIOBase | io.BytesIO,
) -> None:
    """Make the table of a view of its CSV."""
    text = {column: pa.string() for column in columns}
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(file, mode="r"),  # pyrefly: ignore[bad-argument-type]
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_CSV_BLOCK_BYTES, column_names=columns
            ),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=text,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):
            raise
        reader = pa.table({column: pa.array([], pa.string()) for column in columns})
    connection.register(_ARRIVING, reader)
    connection.execute(create_table(name, columns, _ARRIVING))
    connection.unregister(_ARRIVING)


def _run(connection: duckdb.DuckDBPyConnection, ask: Ask) -> tuple[Answer, memoryview]:
    """The first rows of the result, encoded. Raises _TooLarge."""
    connection.execute(ask.sql)
    columns = [
        Column(name=str(name), type=str(kind)) for name, kind, *_ in connection.description or ()
    ]
    reader = connection.to_arrow_reader(_ROWS_AT_ONCE)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if size > _RESULT_SHARE * ask.memory_bytes:
            raise _TooLarge
        if rows > ask.limit:
            break
    table = pa.Table.from_batches(batches, reader.schema).slice(0, ask.limit)
    truncated = rows > ask.limit
    body = encode(table, columns, ask.format, truncated=truncated)
    return Answer(columns=columns, rows=table.num_rows, truncated=truncated), body


if __name__ == "__main__":
    main()
