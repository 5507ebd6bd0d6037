"""Records of an export in protobuf, decoded one at a time.

8 MiB of empty messages, 2 bytes each, take 540 MiB when they are decoded at once. So the three levels down
to the records are walked through as bytes, and what is found there is decoded by itself and let go.
"""

import base64
from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from litestar.exceptions import HTTPException
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from app.api.errors import InvalidRequest
from app.rules.otlp_lines import Origin, Record, Rejected

# The most that is decoded at once: a record, or what a resource or scope says. It takes 27 times as much.
MAX_PART_BYTES = 2 * 1024**2
# Resources, scopes and records of a body together.
MAX_PARTS = 256 * 1024

# The numbers of fields that are messages, in opentelemetry/proto/logs/v1/logs.proto.
_RESOURCE_LOGS = 1
_RESOURCE = _SCOPE = 1
_SCOPE_LOGS = _LOG_RECORDS = 2


def protobuf_records(body: bytes) -> Iterator[tuple[Origin, Record | Rejected]]:
    """The records of an `ExportLogsServiceRequest`, each with where it comes from; one that is too large is
    `Rejected`.

    Raises:
        InvalidRequest: the body is none.
        HTTPException: 413, it has too many parts, or one of a resource or scope is too large.
    """
    try:
        yield from _records(body)
    except DecodeError as error:
        raise InvalidRequest(
            ["body"], f"the body is no ExportLogsServiceRequest: {error}"
        ) from error


def _records(body: bytes) -> Iterator[tuple[Origin, Record | Rejected]]:
    parts = 0
    for resource_logs in _messages(memoryview(body), _RESOURCE_LOGS):
        resource = _members(
            resource_pb2.Resource.FromString(_merged(resource_logs, _RESOURCE)).attributes
        )
        parts = _counted(parts)
        for scope_logs in _messages(resource_logs, _SCOPE_LOGS):
            scope = common_pb2.InstrumentationScope.FromString(_merged(scope_logs, _SCOPE))
            origin = Origin(
                resource=resource, scope=_members(scope.attributes), scope_name=scope.name
            )
            parts = _counted(parts)
            for record in _messages(scope_logs, _LOG_RECORDS):
                parts = _counted(parts)
                if len(record) > MAX_PART_BYTES:
                    yield origin, Rejected(f"a record is larger than {MAX_PART_BYTES} bytes")
                else:
                    yield origin, _record(logs_pb2.LogRecord.FromString(bytes(record)))


def _counted(parts: int) -> int:
    if parts >= MAX_PARTS:
        raise HTTPException(
            status_code=413,
            detail=f"the body has more than {MAX_PARTS} parts; send fewer at a time",
        )
    return parts + 1


def _merged(message: memoryview, number: int) -> bytes:
    """A message within another. One that is there in pieces is their sum, by protobuf's rules."""
    pieces = b"".join(_messages(message, number))
    if len(pieces) > MAX_PART_BYTES:
        raise HTTPException(
            status_code=413, detail=f"a resource or scope is larger than {MAX_PART_BYTES} bytes"
        )
    return pieces


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """The bytes of each field of this number; others are passed over.

    Raises:
        DecodeError: the message is damaged (https://protobuf.dev/programming-guides/encoding).
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        match tag & 7:
            case 0:  # a number
                _, position = _varint(message, position)
            case 1:  # 64 bits
                position += 8
            case 5:  # 32 bits
                position += 4
            case 2:  # bytes
                length, position = _varint(message, position)
                if tag >> 3 == number and position + length <= end:
                    yield message[position : position + length]
                position += length
            case _:
                raise DecodeError("a field of a type that is not in use")
    if position > end:
        raise DecodeError("it ends within a field")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("it ends within a number")


def _record(record: logs_pb2.LogRecord) -> Record:
    return Record(
        nanoseconds=record.time_unix_nano or record.observed_time_unix_nano,
        severity=record.severity_number,
        severity_text=record.severity_text,
        event_name=record.event_name,
        body=_value(record.body) if record.HasField("body") else None,
        attributes=_members(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
    )


def _members(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: common_pb2.AnyValue) -> object:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case "kvlist_value":
            return _members(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case _:
            return None
