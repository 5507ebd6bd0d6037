"""OTLP's logs as JSON (OTLP/JSON 1.x): the fields that are read, unknown ones are ignored.

64-bit integers come as text or as numbers, ids as hex. A field that is null is as one that is absent.
Protobuf bodies have the same names in snake case (`opentelemetry.proto`).
"""

from __future__ import annotations

import msgspec


class AnyValue(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """One of several kinds of value; none of them is no value."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    # Base64.
    bytes_value: str | None = None


class ArrayValue(msgspec.Struct, frozen=True, kw_only=True):
    """A list."""

    values: list[AnyValue] | None = None


class KeyValueList(msgspec.Struct, frozen=True, kw_only=True):
    """An object."""

    values: list[KeyValue] | None = None


class KeyValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attribute, or a member of an object."""

    key: str = ""
    value: AnyValue | None = None


class LogRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One record. Times are nanoseconds since the epoch, 0 when not known."""

    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    event_name: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    trace_id: str | None = None
    span_id: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Where records come from."""

    attributes: list[KeyValue] | None = None


class InstrumentationScope(msgspec.Struct, frozen=True, kw_only=True):
    """Which code made records: for Python's loggers, the logger."""

    name: str | None = None
    attributes: list[KeyValue] | None = None


class ScopeLogs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Records of one scope."""

    scope: InstrumentationScope | None = None
    log_records: list[LogRecord] | None = None


class ResourceLogs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Records of one resource."""

    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None


class ExportLogsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of `POST /v1/logs`."""

    resource_logs: list[ResourceLogs] | None = None


class PartialSuccess(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was not taken."""

    # As text, as 64-bit integers are in OTLP/JSON.
    rejected_log_records: str
    error_message: str


class ExportLogsResponse(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """The answer to `POST /v1/logs`; without `partial_success` everything was taken."""

    partial_success: PartialSuccess | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`google.rpc.Status`, the answer when nothing was taken."""

    code: int
    message: str
