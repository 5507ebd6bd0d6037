"""OTLP's bodies, protobuf and JSON, as lines; and its answers in the form of the question."""

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from litestar.exceptions import HTTPException
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from app.api.errors import InvalidRequest
from app.api.otlp_protobuf import protobuf_records
from app.rules.otlp_lines import Origin, Record, Rejected, line_of
from app.wire import otlp
from app.wire.logs import LogCreate

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# What a line takes besides its texts when it is posted as JSON, about.
LINE_BYTES = 60
# An answer names so many rejected records at most.
MAX_REASONS = 3
# Objects that JSON is decoded into, of 100 bytes each; 8 MiB of real records have half as many.
MAX_OBJECTS = 512 * 1024

_REQUEST = msgspec.json.Decoder(otlp.ExportLogsRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The lines of a body. `identity` tells a retry from another body; `size` is about what the lines
    would be as a body of `POST /api/logs/`; `rejected` records are none of them, `reasons` says why."""

    identity: bytes
    lines: list[LogCreate]
    size: int
    rejected: int
    reasons: list[str]


def decode_export(body: bytes, content_type: str, *, now: dt.datetime, max_bytes: int) -> Export:
    """The lines of one request.

    Raises:
        InvalidRequest: the body is no export of logs.
        HTTPException: 413, its lines are larger than `max_bytes` together: what a resource says once is
            said by each line. Or it has too many records or objects.
    """
    found: Iterator[tuple[Origin, Record | Rejected]] = (
        protobuf_records(body) if content_type == PROTOBUF else _from_json(body)
    )
    lines: list[LogCreate] = []
    size = rejected = 0
    reasons: list[str] = []
    timed = True
    for origin, record in found:
        try:
            if isinstance(record, Rejected):
                raise record
            line = line_of(record, origin, now=now)
        except Rejected as error:
            rejected += 1
            if len(reasons) < MAX_REASONS:
                reasons.append(str(error))
            continue
        timed = timed and record.nanoseconds != 0
        size += LINE_BYTES + len(line.name) + len(line.message)
        if size > max_bytes:
            raise HTTPException(
                status_code=413,
                detail=f"the records are larger than {max_bytes} bytes as lines; send fewer at a time",
            )
        lines.append(line)
    # Records without a time may come again as they are, and be others.
    identity = body if timed else body + os.urandom(16)
    return Export(identity=identity, lines=lines, size=size, rejected=rejected, reasons=reasons)


def encode_answer(export: Export, content_type: str) -> bytes:
    """What was taken, and what was not."""
    complaint = "; ".join(export.reasons)
    if export.rejected > len(export.reasons):
        complaint += f"; and {export.rejected - len(export.reasons)} more"
    if content_type == PROTOBUF:
        answer = logs_service_pb2.ExportLogsServiceResponse()
        if export.rejected:
            answer.partial_success.rejected_log_records = export.rejected
            answer.partial_success.error_message = complaint
        return answer.SerializeToString()
    partial = otlp.PartialSuccess(
        rejected_log_records=str(export.rejected), error_message=complaint
    )
    return msgspec.json.encode(
        otlp.ExportLogsResponse(partial_success=partial if export.rejected else None)
    )


def encode_status(code: int, message: str, content_type: str) -> bytes:
    """A `google.rpc.Status`."""
    if content_type == PROTOBUF:
        # A message of another name with the same two fields, int 1 and string 2, so the same bytes.
        return logs_service_pb2.ExportLogsPartialSuccess(
            rejected_log_records=code, error_message=message
        ).SerializeToString()
    return msgspec.json.encode(otlp.Status(code=code, message=message))


def _from_json(body: bytes) -> Iterator[tuple[Origin, Record]]:
    if body.count(b"{") > MAX_OBJECTS:
        raise HTTPException(
            status_code=413,
            detail=f"the body has more than {MAX_OBJECTS} objects; send fewer at a time",
        )
    try:
        request = _REQUEST.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest.from_msgspec(error) from error
    for resource_logs in request.resource_logs or ():
        described = resource_logs.resource
        resource = _json_members(described.attributes if described else None)
        for scope_logs in resource_logs.scope_logs or ():
            scope = scope_logs.scope
            origin = Origin(
                resource=resource,
                scope=_json_members(scope.attributes if scope else None),
                scope_name=(scope.name if scope else None) or "",
            )
            for record in scope_logs.log_records or ():
                yield origin, _json_record(record)


def _json_record(record: otlp.LogRecord) -> Record:
    return Record(
        nanoseconds=_whole(record.time_unix_nano, "timeUnixNano")
        or _whole(record.observed_time_unix_nano, "observedTimeUnixNano"),
        severity=record.severity_number or 0,
        severity_text=record.severity_text or "",
        event_name=record.event_name or "",
        body=_json_value(record.body),
        attributes=_json_members(record.attributes),
        trace_id=record.trace_id or "",
        span_id=record.span_id or "",
    )


def _json_members(pairs: list[otlp.KeyValue] | None) -> dict[str, object]:
    return {pair.key: _json_value(pair.value) for pair in pairs or ()}


def _json_value(value: otlp.AnyValue | None) -> object:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        return _whole(value.int_value, "intValue")
    if value.double_value is not None:
        # NaN and the infinities come as text.
        return value.double_value
    if value.array_value is not None:
        return [_json_value(each) for each in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _json_members(value.kvlist_value.values)
    return value.bytes_value


def _whole(value: int | str | None, field: str) -> int:
    try:
        return int(value or 0)
    except ValueError:
        raise InvalidRequest(
            ["body", field], f"{str(value)[:64]!r} is not a whole number"
        ) from None
