"""A result in the form that was asked for. All of it is in memory, since it is bounded."""

import csv
import datetime as dt
import decimal
import io
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from storage.sql.messages import Column, Format

# Rows made into Python values at once.
_ROWS = 8192
_GREATEST_NUMBER = 2**63


def encode(table: pa.Table, columns: list[Column], form: Format, *, truncated: bool) -> memoryview:
    """The whole answer.

    json: `{"columns": [{"name", "type"}], "rows": [[…]], "row_count", "truncated"}`. csv: with a line of
    names, RFC 4180, nothing for NULL. arrow: an IPC stream. parquet: a file.
    """
    sink = io.BytesIO()
    if form == "json":
        _write_json(sink, table, columns, truncated=truncated)
    elif form == "csv":
        _write_csv(sink, table, columns)
    elif form == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(_as_parquet_has_it(table), sink, compression="zstd")
    return sink.getbuffer()


def _write_json(
    sink: io.BytesIO, table: pa.Table, columns: list[Column], *, truncated: bool
) -> None:
    sink.write(b'{"columns":' + msgspec.json.encode(columns) + b',"rows":[')
    separator = b""
    for rows in _rows(table):
        for row in rows:
            sink.write(separator + msgspec.json.encode(row, enc_hook=str))
            separator = b",\n"
    tail = {"row_count": table.num_rows, "truncated": truncated}
    sink.write(b"]," + msgspec.json.encode(tail)[1:])


def _write_csv(sink: io.BytesIO, table: pa.Table, columns: list[Column]) -> None:
    text = io.TextIOWrapper(sink, "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    for rows in _rows(table):
        writer.writerows([_as_csv(value) for value in row] for row in rows)
    text.flush()
    text.detach()


def _rows(table: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
    for start in range(0, table.num_rows, _ROWS):
        part = table.slice(start, _ROWS)
        values = [_values(column) for column in part.itercolumns()]
        yield list(zip(*values, strict=True)) if values else [()] * part.num_rows


def _values(column: "pa.ChunkedArray[Any]") -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        # Times that Python does not know: nanoseconds, or beyond the year 9999.
        return _texts(column)
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        return [_number(value) for value in values]
    if pa.types.is_interval(column.type):
        return [None if value is None else _interval(value) for value in values]
    return values


def _texts(column: "pa.ChunkedArray[Any]") -> list[str | None]:
    kind = column.type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return column.cast(pa.string()).to_pylist()
    # In UTC; Arrow would look for its time-zone database.
    texts = column.cast(pa.timestamp(kind.unit)).cast(pa.string()).to_pylist()
    return [None if text is None else f"{text}Z" for text in texts]


def _number(value: int | decimal.Decimal | None) -> int | str | None:
    if value is None:
        return None
    if isinstance(value, decimal.Decimal):
        if value != value.to_integral_value() or value.as_tuple().exponent:
            return str(value)
        value = int(value)
    # Beyond it no reader of JSON keeps every digit.
    return value if -_GREATEST_NUMBER <= value < 2 * _GREATEST_NUMBER else str(value)


def _as_csv(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if type(value) in (list, dict, tuple):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _interval(value: Any) -> str:
    """ISO 8601, as in P1M2DT3.5S."""
    months, days, nanoseconds = value
    seconds = decimal.Decimal(nanoseconds) / 1_000_000_000
    parts = [f"{months}M" if months else "", f"{days}D" if days else ""]
    time = f"T{seconds.normalize():f}S" if seconds or not (months or days) else ""
    return "P" + "".join(parts) + time


def _as_parquet_has_it(table: pa.Table) -> pa.Table:
    """Intervals as text, which Parquet has no type for."""
    for index, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            texts = pa.array(_values(table.column(index)), pa.string())
            table = table.set_column(index, field.name, texts)
    return table
