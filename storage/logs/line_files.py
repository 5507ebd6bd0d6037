"""Lines as a file: text, NDJSON, CSV or Parquet, made piece by piece. Runs in threads."""

import csv
import io
import uuid
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from storage.logs.lines import UUID_TYPE, log_id, to_logs

FileFormat: TypeAlias = Literal["text", "ndjson", "csv", "parquet"]

CSV_COLUMNS = ("timestamp", "level", "flow_run_id", "task_run_id", "message")
# Of a Parquet file: about 6 MB decoded.
ROW_GROUP_ROWS = 32_768
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_encoder = msgspec.json.Encoder()
_PARQUET = pa.schema(
    [
        pa.field("id", pa.uuid()),
        pa.field("flow_run_id", pa.uuid()),
        pa.field("task_run_id", pa.uuid()),
        pa.field("timestamp", pa.timestamp("us", tz="UTC")),
        pa.field("level", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("message", pa.string()),
    ]
)


class LineFile(Protocol):
    """A file that is being made: `write` gives its next bytes, maybe none, `close` the last ones."""

    media_type: str
    suffix: str

    def write(self, lines: pa.Table) -> bytes:
        """The bytes that follow when these lines come next."""
        ...

    def close(self) -> bytes:
        """The bytes that end the file."""
        ...


class TextFile:
    """Lines for people, as `tailrace logs show` prints them: time (UTC), level, logger, message. A
    message may have line breaks."""

    media_type = "text/plain"
    suffix = "log"

    def write(self, lines: pa.Table) -> bytes:
        """See `LineFile`."""
        times = pc.floor_temporal(lines.column("timestamp"), unit="millisecond")
        levels = lines.column("level")
        texts = _joined(
            pc.strftime(times.cast(pa.timestamp("ms", tz="UTC")), "%Y-%m-%d %H:%M:%S"),
            _mapped(levels, lambda level: _LEVELS.get(level, f"LEVEL {level}").ljust(8)),
            _joined(lines.column("name"), lines.column("message"), between=" - "),
            between=" | ",
        )
        return "".join(f"{text}\n" for text in texts.to_pylist()).encode()

    def close(self) -> bytes:
        """See `LineFile`."""
        return b""


class NdjsonFile:
    """One JSON object a line, as the API gives lines."""

    media_type = "application/x-ndjson"
    suffix = "ndjson"

    def write(self, lines: pa.Table) -> bytes:
        """See `LineFile`."""
        return _encoder.encode_lines(to_logs(lines))

    def close(self) -> bytes:
        """See `LineFile`."""
        return b""


class CsvFile:
    """The columns of the contract. Messages with line breaks and quotes are quoted (RFC 4180)."""

    media_type = "text/csv"
    suffix = "csv"

    def __init__(self) -> None:
        self._begun = False

    def write(self, lines: pa.Table) -> bytes:
        """See `LineFile`."""
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(CSV_COLUMNS)
            self._begun = True
        writer.writerows(
            zip(
                _iso_times(lines.column("timestamp")),
                lines.column("level").to_pylist(),
                _uuid_texts(lines.column("flow_run_id")),
                _uuid_texts(lines.column("task_run_id")),
                lines.column("message").to_pylist(),
                strict=True,
            )
        )
        return text.getvalue().encode()

    def close(self) -> bytes:
        """See `LineFile`."""
        return b"" if self._begun else (",".join(CSV_COLUMNS) + "\r\n").encode()


class ParquetFile:
    """The columns of a segment, with the public `id` of a line for its seq. Each row group is given as
    soon as it is full."""

    media_type = "application/vnd.apache.parquet"
    suffix = "parquet"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(
            self._sink,  # pyrefly: ignore[bad-argument-type]
            _PARQUET,
            compression="zstd",
            compression_level=1,
        )
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, lines: pa.Table) -> bytes:
        """See `LineFile`."""
        self._waiting.append(lines)
        self._rows += lines.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._write()
        return self._sink.taken()

    def close(self) -> bytes:
        """See `LineFile`."""
        if self._rows:
            self._write()
        self._writer.close()
        return self._sink.taken()

    def _write(self) -> None:
        lines = pa.concat_tables(self._waiting)
        self._waiting.clear()
        self._rows = 0
        seqs: list[int] = cast("list[int]", lines.column("seq").to_pylist())
        ids = [log_id(seq).bytes for seq in seqs]
        columns: list[Any] = [
            pa.array(ids, UUID_TYPE).cast(pa.uuid()),
            lines.column("flow_run_id").cast(pa.uuid()),
            lines.column("task_run_id").cast(pa.uuid()),
            *(lines.column(name) for name in ("timestamp", "level", "name", "message")),
        ]
        self._writer.write_table(pa.table(columns, schema=_PARQUET), row_group_size=ROW_GROUP_ROWS)


FORMATS: dict[FileFormat, Callable[[], LineFile]] = {
    "text": TextFile,
    "ndjson": NdjsonFile,
    "csv": CsvFile,
    "parquet": ParquetFile,
}


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    @override
    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _mapped(column: "pa.ChunkedArray[Any]", text: Callable[[Any], str | None]) -> Any:
    """The text for each value, made once for each distinct one."""
    distinct = column.unique()
    texts = pa.array([text(value) for value in distinct.to_pylist()], pa.string())
    return texts.take(pc.index_in(column, distinct))


def _uuid_texts(column: "pa.ChunkedArray[Any]") -> list[str | None]:
    texts: list[str | None] = _mapped(
        column, lambda value: None if value is None else str(uuid.UUID(bytes=value))
    ).to_pylist()
    return texts


def _iso_times(column: "pa.ChunkedArray[Any]") -> list[str]:
    """As Python's `isoformat(" ")`: without a fraction when there is none."""
    times: Any = pc.replace_substring_regex(
        pc.strftime(column, "%Y-%m-%d %H:%M:%S"), r"\.000000$", ""
    )
    texts: list[str] = times.to_pylist()
    return [f"{text}+00:00" for text in texts]


def _joined(*columns: Any, between: str) -> Any:
    # The stubs know neither columns in chunks nor texts beside them.
    join: Any = pc.binary_join_element_wise
    return join(*columns, between)
