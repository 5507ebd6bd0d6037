"""Logs by OTLP/HTTP: what exporters send becomes lines, and what they are told."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

from app.api import otlp
from app.api.otlp_protobuf import MAX_PART_BYTES
from app.server import MAX_BODY_BYTES, create_app
from app.services import ServicesConfig
from app.wire.base import new_id
from tests.conftest import client_of, running_lifespan, started_app

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
# 2026-11-24 12:00:00.123456 UTC
TIME = 1_795_521_600_123_456_789


def text(value: str) -> dict[str, str]:
    """A value of text."""
    return {"stringValue": value}


def attributes(**values: str) -> list[dict[str, Any]]:
    """Attributes of text; `__` in a name is a dot."""
    return [{"key": name.replace("__", "."), "value": text(v)} for name, v in values.items()]


def record(message: str, **more: Any) -> dict[str, Any]:
    """One record in JSON."""
    return {"timeUnixNano": str(TIME), "severityNumber": 9, "body": text(message), **more}


def export(
    *records: dict[str, Any],
    resource: list[dict[str, Any]] | None = None,
    scope: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A request of one resource and scope."""
    scope_logs = {"scope": scope or {}, "logRecords": list(records)}
    return {
        "resourceLogs": [{"resource": {"attributes": resource or []}, "scopeLogs": [scope_logs]}]
    }


def protobuf_of(run: str, *messages: str) -> logs_service_pb2.ExportLogsServiceRequest:
    """A request in protobuf, its run named by the resource."""
    request = logs_service_pb2.ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add()
    name = resource_logs.resource.attributes.add(key="k8s.pod.labels.prefect.io/flow-run-id")
    name.value.string_value = run
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "my.logger"
    for index, message in enumerate(messages):
        made = scope_logs.log_records.add(time_unix_nano=TIME + index * 1000, severity_number=17)
        made.body.string_value = message
    return request


async def send(
    client: httpx.AsyncClient, body: bytes | dict[str, Any], form: str = JSON, **headers: str
) -> httpx.Response:
    """Export as an exporter does, to the root."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(
        "http://server/v1/logs", content=content, headers={"Content-Type": form, **headers}
    )


async def lines(client: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    """What a run has."""
    answer = await client.post("/logs/filter", json={"logs": {"flow_run_id": {"any_": [run]}}})
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.parametrize("packed", [False, True])
async def test_a_record_in_protobuf_becomes_a_line(
    shared_client: httpx.AsyncClient, packed: bool
) -> None:
    run = str(new_id())
    body = protobuf_of(run, "one", "two").SerializeToString()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answer = await send(shared_client, gzip.compress(body) if packed else body, PROTOBUF, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
    assert answer.content == b""
    first, second = await lines(shared_client, run)
    assert (first["message"], second["message"]) == ("one", "two")
    assert (first["level"], first["name"]) == (40, "my.logger")
    assert first["timestamp"] == "2026-11-24T12:00:00.123456Z"


async def test_a_record_in_json_becomes_a_line(shared_client: httpx.AsyncClient) -> None:
    run, task = str(new_id()), str(new_id())
    body = export(
        record(
            "hello",
            attributes=attributes(flow_run_id=run, task_run_id=task, customer="a b", shard="7"),
            traceId="5B8EFFF798038103D269B633813FC60C",
            futureField={"of": ["a", "newer", "version"]},
        ),
        scope={"name": "prefect.task_runs"},
    )
    answer = await send(shared_client, body, f"{JSON}; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {})
    (line,) = await lines(shared_client, run)
    assert line["message"] == (
        'hello customer="a b" shard=7 trace_id=5B8EFFF798038103D269B633813FC60C'
    )
    assert (line["task_run_id"], line["name"]) == (task, "prefect.task_runs")


async def test_a_record_may_be_sent_below_the_api(shared_client: httpx.AsyncClient) -> None:
    run = str(new_id())
    body = export(record("here", attributes=attributes(flow_run_id=run)))
    assert (await shared_client.post("/v1/logs", json=body)).status_code == 200
    assert [line["message"] for line in await lines(shared_client, run)] == ["here"]


async def test_a_body_that_comes_again_is_stored_once(shared_client: httpx.AsyncClient) -> None:
    run = str(new_id())
    body = protobuf_of(run, "once").SerializeToString()
    for _ in range(2):
        assert (await send(shared_client, body, PROTOBUF)).status_code == 200
    assert len(await lines(shared_client, run)) == 1


async def test_records_without_a_time_are_not_taken_for_a_retry(
    shared_client: httpx.AsyncClient,
) -> None:
    run = str(new_id())
    body = export({"body": text("tick"), "attributes": attributes(flow_run_id=run)})
    for _ in range(2):
        assert (await send(shared_client, body)).status_code == 200
    assert len(await lines(shared_client, run)) == 2


@pytest.mark.parametrize("form", [JSON, PROTOBUF])
async def test_a_record_of_a_wrong_run_is_rejected_and_the_others_are_stored(
    shared_client: httpx.AsyncClient, form: str
) -> None:
    run = str(new_id())
    wrong = record("lost", attributes=attributes(flow_run_id="otter"))
    body: bytes | dict[str, Any] = export(
        wrong, record("kept", attributes=attributes(flow_run_id=run))
    )
    if form == PROTOBUF:
        request = protobuf_of(run, "lost", "kept")
        made = request.resource_logs[0].scope_logs[0].log_records[0].attributes.add()
        made.key, made.value.string_value = "flow_run_id", "otter"
        body = request.SerializeToString()
    answer = await send(shared_client, body, form)
    assert answer.status_code == 200
    if form == JSON:
        told = answer.json()["partialSuccess"]
        assert told == {
            "rejectedLogRecords": "1",
            "errorMessage": "flow_run_id 'otter' is not a UUID",
        }
    else:
        partial = logs_service_pb2.ExportLogsServiceResponse.FromString(
            answer.content
        ).partial_success
        assert (partial.rejected_log_records, "otter" in partial.error_message) == (1, True)
    assert [line["message"] for line in await lines(shared_client, run)] == ["kept"]


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (PROTOBUF, b"\x0a\xff\xff"),
        (JSON, b'{"resourceLogs": 7}'),
        (JSON, b"{"),
        (JSON, b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}'),
    ],
)
async def test_what_is_no_export_is_400_with_a_status(
    shared_client: httpx.AsyncClient, form: str, body: bytes
) -> None:
    answer = await send(shared_client, body, form)
    assert (answer.status_code, answer.headers["content-type"]) == (400, form)
    if form == JSON:
        assert answer.json()["code"] == 3
        assert answer.json()["message"]
    else:
        # google.rpc.Status: field 1 is the code, field 2 the message.
        assert answer.content[:3] == b"\x08\x03\x12"
        assert b"ExportLogsServiceRequest" in answer.content


async def test_what_is_not_gzip_is_400_with_a_status(shared_client: httpx.AsyncClient) -> None:
    answer = await send(shared_client, b"{}", JSON, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "not gzip" in answer.json()["message"]


async def test_another_form_is_415(shared_client: httpx.AsyncClient) -> None:
    answer = await send(shared_client, b"{}", "text/plain")
    assert answer.status_code == 415
    assert PROTOBUF in answer.json()["message"]
    answer = await send(shared_client, b"{}", JSON, **{"Content-Encoding": "zstd"})
    assert answer.status_code == 415


async def test_a_bomb_is_413(shared_client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    answer = await send(shared_client, packed, JSON, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, 8)
    # What a scope says once is said by each of its lines.
    body = export(*[record("x")] * 300, scope={"name": "n" * 30_000})
    answer = await send(shared_client, body)
    assert answer.status_code == 413
    assert str(otlp.MAX_LINES_BYTES) in answer.json()["message"]


def delimited(number: int, content: bytes) -> bytes:
    """A field of bytes, as protobuf encodes it."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


HALF = (MAX_BODY_BYTES - 64) // 2
_RECORDS = delimited(1, delimited(2, delimited(2, b"") * HALF))
_ATTRIBUTES = delimited(1, delimited(2, delimited(2, delimited(6, b"") * HALF)))
_OF_RESOURCE = delimited(1, delimited(1, delimited(1, b"") * HALF))
_RESOURCES = delimited(1, b"") * HALF
_OBJECTS = b'{"resourceLogs":[%b{}]}' % (b"{}," * ((MAX_BODY_BYTES - 64) // 3))


@pytest.mark.parametrize(
    ("form", "body"),
    [
        pytest.param(PROTOBUF, _RECORDS, id="records"),
        pytest.param(PROTOBUF, _ATTRIBUTES, id="attributes"),
        pytest.param(PROTOBUF, _OF_RESOURCE, id="resource"),
        pytest.param(PROTOBUF, _RESOURCES, id="resources"),
        pytest.param(JSON, _OBJECTS, id="objects"),
    ],
)
def test_a_body_of_many_empty_parts_takes_little_memory(form: str, body: bytes) -> None:
    # In a process of its own, whose peak is its own.
    program = (
        "import datetime, resource, sys\n"
        "from litestar.exceptions import HTTPException\n"
        "from app.api.otlp_bodies import decode_export\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "body, before = sys.stdin.buffer.read(), peak()\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "try:\n"
        "    made = decode_export(body, sys.argv[1], now=now, max_bytes=len(body)).rejected\n"
        "except HTTPException as error:\n"
        "    made = error.status_code\n"
        "print(made, peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, form],
        input=body,
        capture_output=True,
        check=True,
        timeout=60,
    )
    refused, mebibytes = map(int, done.stdout.split())
    assert refused in (413, 1), done.stdout
    assert mebibytes < 100


async def test_a_record_that_is_too_large_is_rejected_alone(
    shared_client: httpx.AsyncClient,
) -> None:
    run = str(new_id())
    request = protobuf_of(run, "x" * MAX_PART_BYTES, "kept")
    answer = await send(shared_client, request.SerializeToString(), PROTOBUF)
    assert answer.status_code == 200
    partial = logs_service_pb2.ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_log_records == 1
    assert str(MAX_PART_BYTES) in partial.error_message
    assert [line["message"] for line in await lines(shared_client, run)] == ["kept"]


async def test_fields_of_protobuf_may_come_in_any_order_and_in_pieces(
    shared_client: httpx.AsyncClient,
) -> None:
    run = str(new_id())
    (resource_logs,) = protobuf_of(run, "hello").resource_logs
    (scope_logs,) = resource_logs.scope_logs
    (attribute,) = resource_logs.resource.attributes
    body = delimited(
        1,
        # A field that nobody knows, the scope's lines, the resource's empty and then its real piece.
        b"\x98\x06\x07"
        + delimited(2, scope_logs.SerializeToString())
        + delimited(1, b"")
        + delimited(1, delimited(1, attribute.SerializeToString())),
    )
    assert (await send(shared_client, body, PROTOBUF)).status_code == 200
    assert [line["message"] for line in await lines(shared_client, run)] == ["hello"]


async def test_a_server_without_room_says_when_to_come_again(
    services_config: ServicesConfig,
) -> None:
    async with (
        started_app(replace(services_config, hot_limit_bytes=0)) as app,
        client_of(app) as client,
    ):
        answer = await send(client, export(record("x")))
    assert (answer.status_code, answer.json()["code"]) == (503, 14)
    assert answer.headers["Retry-After"] == "5"


async def test_the_secret_is_asked_for(services_config: ServicesConfig) -> None:
    app = create_app(services_config, auth_string="admin:pass")
    async with running_lifespan(app), client_of(app) as client:
        body = json.dumps(export(record("x"))).encode()
        assert (await send(client, body)).status_code == 401
        admitted = await client.post(
            "http://server/v1/logs",
            content=body,
            headers={"Content-Type": JSON},
            auth=("admin", "pass"),
        )
        assert admitted.status_code == 200
