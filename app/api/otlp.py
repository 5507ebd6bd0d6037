"""`POST /v1/logs`: logs by OTLP/HTTP, stored as lines of runs (docs/otlp.md).

Exporters take an endpoint and add `/v1/logs`, so it is at the root; below `/api` as well, for an
endpoint that is the API's URL.
"""

import asyncio
from typing import Any

from litestar import Request, Response, post
from litestar.exceptions import HTTPException

from app.api.documentation import takes_message
from app.api.otlp_bodies import JSON, PROTOBUF, decode_export, encode_answer
from app.services import Services
from app.wire.base import utc_now

PATH = "/v1/logs"
# As large as any body may be: what a resource says once counts for each of its lines.
MAX_LINES_BYTES = 8 * 1024**2
# A body beyond this is decoded in a thread: it takes more than a millisecond.
INLINE_BYTES = 16 * 1024

_TAKES = takes_message(
    "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest", PROTOBUF, JSON
)


@post(PATH, status_code=200, operation_class=_TAKES)
async def export_logs(request: Request[Any, Any, Any], services: Services) -> Response[bytes]:
    """Store records as lines; answered when they are durable."""
    content_type = form_of(request.headers.get("content-type", ""))
    if content_type is None:
        raise HTTPException(status_code=415, detail=f"Content-Type must be {PROTOBUF} or {JSON}")
    body = await request.body()
    if len(body) <= INLINE_BYTES:
        export = decode_export(body, content_type, now=utc_now(), max_bytes=MAX_LINES_BYTES)
    else:
        export = await asyncio.to_thread(
            decode_export, body, content_type, now=utc_now(), max_bytes=MAX_LINES_BYTES
        )
    await services.ingest.append(export.identity, export.lines, size=export.size)
    return Response(encode_answer(export, content_type), media_type=content_type)


def form_of(content_type: str) -> str | None:
    """The form that a Content-Type names; None when it is none of OTLP's."""
    name = content_type.partition(";")[0].strip().lower()
    return name if name in (PROTOBUF, JSON) else None


ROUTES = [export_logs]
